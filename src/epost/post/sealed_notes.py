"""Small private values of this device in the vault's notes, encrypted and keyed.

The vault is not encrypted as a whole (crypto 9): what would tell a thief who writes to whom, or
how to read a block, is stored under names that are PRFs and as boxes under the device's secret.
"""

from __future__ import annotations

from collections.abc import Iterator

from epost.crypto.boxes import box, pad, unbox, unpad
from epost.crypto.hashing import derive
from epost.foundation.ports import DeleteNote, PutNote
from epost.post.ports import NodePorts

_SALT_BYTES = 16
_NAME_BYTES = 16


class SealedNotes:
    """One table of private notes."""

    def __init__(self, table: str, *, secret: bytes, ports: NodePorts) -> None:
        """`secret` is 32 bytes that never leave the device."""
        self._table = table
        self._disk = ports.disk
        self._entropy = ports.entropy
        keys = derive(secret, "notes", table.encode())
        self._name_key, self._value_key = keys.key, keys.commitment

    def name(self, *parts: bytes) -> bytes:
        """Return the name under which a value about these parts is kept."""
        return derive(self._name_key, "name", *parts).key[:_NAME_BYTES]

    def put(self, name: bytes, value: bytes) -> PutNote:
        """Return the write that stores a value (at most about 900 KiB)."""
        salt = self._entropy.token(_SALT_BYTES)
        key = derive(self._value_key, "value", name, salt).key
        return PutNote(self._table, name, salt + box(key, name, pad(value)))

    def delete(self, name: bytes) -> DeleteNote:
        """Return the write that forgets a value."""
        return DeleteNote(self._table, name)

    def get(self, name: bytes) -> bytes | None:
        """Return a value; raises BadSeal if it was made with another secret, or changed."""
        stored = self._disk.note(self._table, name)
        return None if stored is None else self._open(name, stored)

    def all(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield every (name, value), by name; raises BadSeal."""
        for name, stored in self._disk.notes(self._table):
            yield name, self._open(name, stored)

    def _open(self, name: bytes, stored: bytes) -> bytes:
        salt, boxed = stored[:_SALT_BYTES], stored[_SALT_BYTES:]
        key = derive(self._value_key, "value", name, salt).key
        return unpad(unbox(key, name, boxed))
