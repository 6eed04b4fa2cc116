"""The device's keys under a passphrase: put on, given at start, taken off."""

from pathlib import Path

import pytest

from epost.crypto.sealing import HpkeSealing
from epost.daemon.folder import NodeFolder
from epost.daemon.unlocking import passphrase_for, protect
from epost.daemon.world import SystemEntropy
from epost.foundation.errors import ConfigError
from epost.foundation.ids import Address, NodeHandle
from epost.post.accounts.new_devices import create_account

ENTROPY = SystemEntropy()


@pytest.fixture
def folder(tmp_path: Path) -> NodeFolder:
    contact = NodeHandle(bytes(20), bytes(20), (Address("127.0.0.1", 1),))
    account = create_account(
        bytes(32), contact=contact, now_ms=1, sealing=HpkeSealing(), entropy=ENTROPY
    )
    folder = NodeFolder(tmp_path)
    folder.write_device_secrets(account.secrets, ENTROPY)
    return folder


def test_a_passphrase_comes_from_the_service_manager(
    folder: NodeFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = folder.read_device_secrets(passphrase_for(folder))
    assert "unprotected" in folder.key_protection()
    protect(folder, "correct horse", ENTROPY)
    assert folder.key_protection() == "under a passphrase"
    with pytest.raises(ConfigError, match=r"epost\.passphrase"):
        passphrase_for(folder)
    (tmp_path / "epost.passphrase").write_text("correct horse\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert folder.read_device_secrets(passphrase_for(folder)) == before
    protect(folder, "", ENTROPY)
    assert passphrase_for(folder) is None


def test_a_wrong_passphrase_is_a_clear_error(folder: NodeFolder) -> None:
    protect(folder, "right", ENTROPY)
    with pytest.raises(ConfigError, match="wrong passphrase"):
        folder.read_device_secrets("wrong")
