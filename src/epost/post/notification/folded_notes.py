"""A table of private notes that POST's own records lead to, written at checkpoints.

What has changed since the last checkpoint is in memory: after a crash it is folded again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from epost.foundation.codec import Format, encode
from epost.foundation.ports import Write
from epost.post.accounts.devices import Device
from epost.post.ports import NodePorts
from epost.post.sealed_notes import SealedNotes

N = TypeVar("N")


class FoldedNotes(Generic[N]):
    """Notes of one kind, by whatever names them."""

    def __init__(self, table: str, kind: Format[N], device: Device, ports: NodePorts) -> None:
        self._sealed = SealedNotes(table, secret=device.notes_secret, ports=ports)
        self._kind = kind
        self._changed: dict[bytes, N | None] = {}

    def find(self, *parts: bytes) -> N | None:
        """Return the note about these parts."""
        name = self._sealed.name(*parts)
        if name in self._changed:
            return self._changed[name]
        value = self._sealed.get(name)
        return None if value is None else self._kind.decode(value)

    def put(self, note: N | None, *parts: bytes) -> None:
        """Keep a note about these parts in place of the former one; None forgets it."""
        self._changed[self._sealed.name(*parts)] = note

    def checkpoint(self) -> list[Write]:
        """Return the writes that bring the notes on the disk up to date."""
        writes: list[Write] = [
            self._sealed.delete(name) if note is None else self._sealed.put(name, encode(note))
            for name, note in self._changed.items()
        ]
        self._changed.clear()
        return writes

    def expired(self, is_over: Callable[[N], bool]) -> list[Write]:
        """Return the writes that forget notes whose time is over; reads the whole table."""
        return [
            self._sealed.delete(name)
            for name, value in self._sealed.all()
            if is_over(self._kind.decode(value))
        ]
