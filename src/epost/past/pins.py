"""The newest version of each mutable block that this node has ever seen (crypto 4.3).

A replica set that is rolled back as a whole is noticed only by a reader with memory.
"""

from __future__ import annotations

from collections.abc import Callable

from epost.crypto.hashing import u64
from epost.foundation.bounded import BoundedDict
from epost.foundation.codec import encode
from epost.foundation.ids import Handle
from epost.foundation.ports import DeleteNote, PutNote, Vault, Write
from epost.past.config import PINS_MAX

NOTES = "past.pins"
_VERSION_BYTES = 8

Order = tuple[int, bytes]


class Pins:
    """Remembers (version, body hash) by handle; the longest unseen is forgotten at 100,000."""

    def __init__(self, vault: Vault, write: Callable[[Write], None]) -> None:
        self._write = write
        self._pins: BoundedDict[bytes, Order] = BoundedDict(PINS_MAX)
        for key, value in vault.notes(NOTES):
            version = int.from_bytes(value[:_VERSION_BYTES], "big")
            self._pins.put(key, (version, value[_VERSION_BYTES:]))

    def get(self, handle: Handle) -> Order | None:
        """Return the newest order ever seen."""
        return self._pins.get(encode(handle))

    def saw(self, handle: Handle, order: Order) -> None:
        """Remember an authentic version, unless a newer one was seen."""
        key = encode(handle)
        known = self._pins.get(key)
        if known is not None and known >= order:
            return
        forgotten = self._pins.put(key, order)
        self._write(PutNote(NOTES, key, u64(order[0]) + order[1]))
        if forgotten is not None:
            self._write(DeleteNote(NOTES, forgotten))
