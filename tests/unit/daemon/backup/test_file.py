"""The file of a backup opens with its secret, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from epost.crypto.sealing import HpkeSealing
from epost.daemon.backup.file import Lock, open_backup, read_backup, write_backup
from epost.daemon.world import SystemEntropy
from epost.foundation.errors import ConfigError, RefusedError
from epost.post.accounts.devices import AccountKeys

SEALING, ENTROPY = HpkeSealing(), SystemEntropy()
CONTENTS = b"keys " * 1000
SEED, OTHER = bytes(32), b"o" * 32


def for_words() -> Lock:
    key = SEALING.public_key(AccountKeys(SEED).recovery_sealing_seed)
    return Lock.words_of("alice@example.org", key)


def write(path: Path, closing: Lock) -> None:
    write_backup(path, CONTENTS, closing, 7, SEALING, ENTROPY)


@pytest.mark.parametrize(
    ("closing", "secret", "wrong"),
    [(for_words(), SEED, OTHER), (Lock.passphrase("tea"), "tea", "coffee")],
)
def test_a_backup_opens_with_its_secret_only(
    tmp_path: Path, closing: Lock, secret: str | bytes, wrong: str | bytes
) -> None:
    path = tmp_path / "backup"
    write(path, closing)
    assert path.stat().st_mode & 0o777 == 0o600
    file = read_backup(path)
    assert file.created_at == 7
    assert open_backup(file, secret, SEALING) == CONTENTS
    assert CONTENTS[:20] not in path.read_bytes()
    with pytest.raises(RefusedError, match="does not open"):
        open_backup(file, wrong, SEALING)


def test_a_changed_backup_does_not_open_and_a_cut_one_is_none(tmp_path: Path) -> None:
    path = tmp_path / "backup"
    write(path, for_words())
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes((data[-1] ^ 1,)))
    with pytest.raises(RefusedError):
        open_backup(read_backup(path), SEED, SEALING)
    path.write_bytes(data[:-1])
    with pytest.raises(ConfigError, match="not a backup"):
        read_backup(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_backup(tmp_path / "none")


def test_a_backup_needs_a_passphrase_that_is_not_empty() -> None:
    with pytest.raises(RefusedError):
        Lock.passphrase("")
