"""The file of a backup: sealed for the 24 words, or locked under a passphrase.

A random key encrypts the contents; that key is sealed to the account's recovery key, which the
machine knows only the public half of, or locked under a passphrase (Argon2id).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec

from epost.crypto.boxes import box, pad, unbox, unpad
from epost.crypto.keyfile import lock, unlock
from epost.daemon.files import write_private
from epost.foundation.codec import Format, encode
from epost.foundation.errors import ConfigError, EpostError, PeerError, RefusedError
from epost.foundation.ids import U8, U63
from epost.foundation.ports import Entropy, Sealing
from epost.post.accounts.devices import AccountKeys

PURPOSE = "backup"
FILE_SIZE_MAX = 1 << 30
PASSPHRASE, WORDS = 1, 2
_KEY_BYTES = 32


class BackupFile(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What is on disk. `key` is a key file, or sealed to the recovery key; `name` is whose words
    open it, for people."""

    format: Annotated[int, msgspec.Meta(ge=1, le=1)]
    opened_by: U8
    name: str
    created_at: U63
    key: bytes
    contents: bytes

    @property
    def outside(self) -> bytes:
        """What the contents are bound to."""
        return encode((self.format, self.opened_by, self.name, self.created_at))


FILE: Format[BackupFile] = Format(BackupFile, size_max=FILE_SIZE_MAX)


class Lock:
    """How a backup is closed: with a passphrase, or for the holder of the 24 words."""

    def __init__(self, opened_by: int, name: str, secret: str | bytes) -> None:
        self.opened_by = opened_by
        self.name = name
        self._secret = secret

    @staticmethod
    def passphrase(passphrase: str) -> Lock:
        """Close with a passphrase; raises RefusedError if it is empty."""
        if not passphrase:
            raise RefusedError("a backup needs a passphrase: it holds keys")
        return Lock(PASSPHRASE, "", passphrase)

    @staticmethod
    def words_of(name: str, recovery_sealing_key: bytes) -> Lock:
        """Close for the 24 words of an account."""
        return Lock(WORDS, name, recovery_sealing_key)

    def close(self, key: bytes, outside: bytes, sealing: Sealing, entropy: Entropy) -> bytes:
        """Return the key of the contents, closed."""
        if isinstance(self._secret, str):
            return lock(key, PURPOSE, self._secret, entropy)
        return sealing.seal(self._secret, PURPOSE, outside, key)


def write_backup(
    path: Path, contents: bytes, closing: Lock, created_at: int, sealing: Sealing, entropy: Entropy
) -> None:
    """Write a backup (mode 0600, whole or not at all) and read it back.

    Raises ConfigError if what is on the disk is not what was written.
    """
    key = entropy.token(_KEY_BYTES)
    file = BackupFile(1, closing.opened_by, closing.name, created_at, b"", b"")
    file = msgspec.structs.replace(
        file,
        key=closing.close(key, file.outside, sealing, entropy),
        contents=box(key, file.outside, pad(contents)),
    )
    write_private(path, encode(file))
    found = read_backup(path)
    if found != file or unpad(unbox(key, found.outside, found.contents)) != contents:
        raise ConfigError(f"{path}: was not written as it should be. Is the disk sound?")


def read_backup(path: Path) -> BackupFile:
    """Read the outside of a backup; raises ConfigError."""
    try:
        return FILE.decode(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except PeerError as error:
        raise ConfigError(f"{path}: not a backup of ePOST, or damaged: {error}") from error


def open_backup(file: BackupFile, secret: str | bytes, sealing: Sealing) -> bytes:
    """Return the contents, by the passphrase or the recovery seed; raises RefusedError."""
    try:
        if isinstance(secret, str):
            key = unlock(file.key, PURPOSE, secret)
        else:
            seed = AccountKeys(secret).recovery_sealing_seed
            key = sealing.unseal(seed, PURPOSE, file.outside, file.key)
        return unpad(unbox(key, file.outside, file.contents))
    except EpostError as error:
        what = "the words are of another account" if file.opened_by == WORDS else "wrong passphrase"
        raise RefusedError(f"the backup does not open: {what}, or it is damaged") from error
