"""Small files are replaced whole; what a secret file held before is gone."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from epost.daemon.files import replace_secret, write_private
from epost.daemon.folder import NodeFolder
from epost.daemon.world import SystemEntropy
from epost.post.accounts.devices import PrekeySecret, with_new_prekey
from tests.support.post_world import World


def test_a_secret_file_is_replaced_and_its_former_content_overwritten(tmp_path: Path) -> None:
    path, former = tmp_path / "secret", tmp_path / "former"
    replace_secret(path, b"old secret")
    os.link(path, former)  # what a thief could still find on the disk
    replace_secret(path, b"new")
    assert path.read_bytes() == b"new"
    assert former.read_bytes() == bytes(len(b"old secret"))


def test_a_file_that_cannot_be_written_is_named_itself(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as error:
        write_private(tmp_path / "missing" / "file", b"")
    assert error.value.filename == str(tmp_path / "missing" / "file")


def test_a_destroyed_prekey_is_in_no_file_of_the_folder(tmp_path: Path) -> None:
    folder, entropy = NodeFolder(tmp_path), SystemEntropy()
    secrets = World().enrol("alice").secrets
    old: PrekeySecret = secrets.prekeys[0]
    folder.write_device_secrets(secrets, entropy)
    os.link(tmp_path / "device.keys", tmp_path / "former")
    newer = with_new_prekey(secrets, b"n" * 32, 1)
    without = msgspec.structs.replace(newer, prekeys=newer.prekeys[1:])
    folder.write_device_secrets(without, entropy)
    assert folder.read_device_secrets().prekeys == newer.prekeys[1:]
    assert not any(old.seed in file.read_bytes() for file in tmp_path.iterdir())
