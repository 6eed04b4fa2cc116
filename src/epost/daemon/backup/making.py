"""Making a backup of what is on this machine, and a machine of a backup."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from epost.crypto.certificates import recall_account
from epost.crypto.sealing import HpkeSealing
from epost.daemon.authority.founding import is_founded
from epost.daemon.backup.contents import Moved, collect, put_back
from epost.daemon.backup.file import BackupFile, Lock, open_backup, write_backup
from epost.daemon.folder import NodeFolder
from epost.daemon.unlocking import passphrase_for
from epost.daemon.world import SystemClock, SystemEntropy
from epost.foundation.errors import ConfigError

STORES = "a machine that stores"


@dataclass(frozen=True, slots=True)
class Made:
    """What a backup holds; `name` is empty if no node is in it."""

    name: str
    authority: bool
    octets: int

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)


def make_backup(file: Path, data_dir: Path, authority_dir: Path, passphrase: str | None) -> Made:
    """Save what there is of both folders; for the 24 words if there is no passphrase.

    Raises ConfigError, RefusedError (no user here, so no words that could open it).
    """
    folder = NodeFolder(data_dir) if NodeFolder(data_dir).is_enrolled else None
    authority = authority_dir if is_founded(authority_dir) else None
    if folder is None and authority is None:
        raise ConfigError(f"neither {data_dir} nor {authority_dir} has anything to save")
    name, words = _user_of(folder) if folder else ("", None)
    closing = Lock.passphrase(passphrase) if passphrase is not None else words
    if closing is None:
        raise ConfigError("there is no user's account here: lock the backup with --passphrase")
    contents = collect(folder, authority)
    entropy = SystemEntropy()
    write_backup(file, contents, closing, SystemClock().wall_ms(), HpkeSealing(), entropy)
    return Made(name, authority is not None, file.stat().st_size)


async def restore_backup(
    file: BackupFile, secret: str | bytes, data_dir: Path, authority_dir: Path, moved: Moved
) -> tuple[bool, bool]:
    """Write the folders of a backup; return whether there was a node's, and an authority's.

    `secret` is the passphrase, or the recovery seed. Raises RefusedError, ConfigError.
    """
    contents = open_backup(file, secret, HpkeSealing())
    return await put_back(contents, NodeFolder(data_dir), authority_dir, moved, SystemEntropy())


def _user_of(folder: NodeFolder) -> tuple[str, Lock | None]:
    data = folder.read_membership().account
    if not data:
        return STORES, None
    name = recall_account(data).name
    secrets = folder.read_device_secrets(passphrase_for(folder))
    return name, Lock.words_of(name, secrets.recovery_sealing_key)
