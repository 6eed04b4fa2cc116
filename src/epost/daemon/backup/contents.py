"""What a backup holds: small files of the two folders, and the notes of the vault.

With its notes a restored machine knows how far its log had come, so it goes on where it was; the
blocks themselves come from the ring, and what the ring has more wins (design 6: nothing forks).
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import apsw
import msgspec

from epost.daemon.authority.catching_up import mark_restored
from epost.daemon.authority.founding import ORGANISATION, PUBLIC_FILE, is_founded, write_public
from epost.daemon.authority.keys import ISSUER_FILE, ROOT_FILE
from epost.daemon.authority.register import REGISTER_FILE
from epost.daemon.config import NodeConfig, parse_address
from epost.daemon.files import make_private_folder, write_private
from epost.daemon.folder import NodeFolder
from epost.daemon.mail_programs.passwords import FILE_NAME as PASSWORD_FILE
from epost.daemon.observability.logs import LoggingObserver
from epost.daemon.unlocking import passphrase_for
from epost.daemon.vault import SqliteVault
from epost.daemon.vault.database import DATABASE_FILE
from epost.foundation.codec import Format, encode
from epost.foundation.errors import ConfigError, PeerError
from epost.foundation.ports import Entropy, PutNote
from epost.post.accounts.devices import DEVICE_SECRETS, DeviceSecrets, PrekeySecret

CONTENTS_SIZE_MAX = 1 << 30
NODE_FILES = ("config.toml", "node.key", PASSWORD_FILE)
"""All that is small and cannot be made anew; the membership comes last when it is put back."""
AUTHORITY_FILES = (ROOT_FILE, ISSUER_FILE)
"""The root key may be kept elsewhere; the public part comes last when they are put back."""
NOTES_SAVED = ("post.", "rings.", "node.", "pastry.contacts", "past.pins")
"""Tables, by the beginnings of their names: what concerns blocks on the lost disk is not wanted."""


class SavedFile(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A file of a folder."""

    name: str
    data: bytes


class SavedNote(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A note of the vault."""

    table: str
    key: bytes
    value: bytes


class Contents(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A machine's folders. `membership` and `public` are empty if there is no such folder.

    `device` are the device's secrets without its prekeys, empty on a machine that only stores.
    """

    format: Annotated[int, msgspec.Meta(ge=1, le=1)]
    node: tuple[SavedFile, ...]
    notes: tuple[SavedNote, ...]
    device: bytes
    membership: bytes
    authority: tuple[SavedFile, ...]
    register: bytes
    public: bytes


CONTENTS: Format[Contents] = Format(Contents, size_max=CONTENTS_SIZE_MAX)


@dataclass(frozen=True, slots=True)
class Moved:
    """Where a restored machine is reached now; what is empty stays as it was."""

    listen: str = ""
    advertise: tuple[str, ...] = ()
    enrol_listen: str = ""

    def config(self, config: NodeConfig, authority: str) -> NodeConfig:
        """Return the settings for here, with the authority's folder if there is one."""
        ring, own = config.ring, config.authority
        if self.listen:
            ring = msgspec.structs.replace(ring, listen=self.listen, advertise=self.advertise)
        if authority:
            listen = self.enrol_listen or own.listen
            own = msgspec.structs.replace(own, directory=authority, listen=listen)
        return msgspec.structs.replace(config, ring=ring, authority=own)


def collect(folder: NodeFolder | None, authority: Path | None) -> bytes:
    """Return what is to be saved of either folder; a daemon may run. Raises ConfigError."""
    assert folder or authority, "a backup is of something"
    membership = (folder.path / "membership").read_bytes() if folder else b""
    return encode(
        Contents(
            format=1,
            node=_files(folder.path, NODE_FILES) if folder else (),
            notes=tuple(_notes(folder.vault / DATABASE_FILE)) if folder else (),
            device=_device(folder) if folder and folder.is_users else b"",
            membership=membership,
            authority=_files(authority, AUTHORITY_FILES) if authority else (),
            register=_database(authority / REGISTER_FILE) if authority else b"",
            public=(authority / PUBLIC_FILE).read_bytes() if authority else b"",
        )
    )


async def put_back(
    data: bytes, folder: NodeFolder, authority: Path, moved: Moved, entropy: Entropy
) -> tuple[bool, bool]:
    """Write the folders of a backup; return whether there was a node's, and an authority's.

    Raises ConfigError if a folder is in use or the backup is not whole.
    """
    try:
        contents = CONTENTS.decode(data)
    except PeerError as error:
        raise ConfigError(f"the backup is of another version of ePOST: {error}") from error
    if contents.public and is_founded(authority):
        raise ConfigError(f"{authority} holds an authority already; choose another folder")
    if contents.membership and folder.is_enrolled:
        raise ConfigError(f"{folder.path} is the folder of a member already; choose another")
    if contents.public:
        _put_authority(contents, make_private_folder(authority), moved)
    if contents.membership:
        make_private_folder(folder.path)
        await _put_node(contents, folder, entropy)
        directory = str(authority) if contents.public else ""
        folder.write_config(moved.config(folder.read_config(), directory))
        write_private(folder.path / "membership", contents.membership)
    return bool(contents.membership), bool(contents.public)


async def _put_node(contents: Contents, folder: NodeFolder, entropy: Entropy) -> None:
    for file in contents.node:
        write_private(folder.path / file.name, file.data)
    if contents.device:
        secrets = DEVICE_SECRETS.decode(contents.device)
        fresh = (PrekeySecret(entropy.token(32), secrets.prekeys[-1].created_at),)
        folder.write_device_secrets(msgspec.structs.replace(secrets, prekeys=fresh), entropy)
    vault = SqliteVault(
        make_private_folder(folder.vault),
        contributed_bytes_max=folder.read_config().storage.contributed_bytes,
        observer=LoggingObserver(),
    )
    try:
        await vault.commit([PutNote(n.table, n.key, n.value) for n in contents.notes])
    finally:
        await vault.close()


def _put_authority(contents: Contents, authority: Path, moved: Moved) -> None:
    for file in contents.authority:
        write_private(authority / file.name, file.data)
    write_private(authority / REGISTER_FILE, contents.register)
    mark_restored(authority / REGISTER_FILE)
    public = ORGANISATION.decode(contents.public)
    if moved.enrol_listen:
        address = parse_address(moved.enrol_listen)
        public = msgspec.structs.replace(public, enrolment=address)
    write_public(authority, public)


def _files(folder: Path, names: Sequence[str]) -> tuple[SavedFile, ...]:
    there = [folder / name for name in names if (folder / name).exists()]
    return tuple(SavedFile(path.name, path.read_bytes()) for path in there)


def _device(folder: NodeFolder) -> bytes:
    secrets: DeviceSecrets = folder.read_device_secrets(passphrase_for(folder))
    # One has to be there; that it serves for nothing is seen to when it is put back.
    forgotten = PrekeySecret(bytes(32), secrets.prekeys[-1].created_at)
    return encode(msgspec.structs.replace(secrets, prekeys=(forgotten,)))


def _notes(database: Path) -> Iterator[SavedNote]:
    if not database.exists():
        return
    with contextlib.closing(apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READONLY)) as db:
        for table, key, value in db.execute(
            "SELECT name, key, value FROM notes ORDER BY name, key"
        ):
            if table.startswith(NOTES_SAVED):
                yield SavedNote(table, bytes(key), bytes(value))


def _database(path: Path) -> bytes:
    """Return a whole, consistent copy of a database that others may be writing to."""
    with tempfile.TemporaryDirectory(prefix="epost-backup-") as folder:
        copy = Path(folder) / path.name
        with (
            contextlib.closing(apsw.Connection(str(path))) as source,
            contextlib.closing(apsw.Connection(str(copy))) as target,
        ):
            with target.backup("main", source, "main") as backup:
                while not backup.done:
                    backup.step(1000)
            target.execute("PRAGMA journal_mode=DELETE")
        return copy.read_bytes()
