"""Which plaintexts this account has stored already, and where (crypto 5.4 rule 1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from epost.foundation.codec import Format, encode
from epost.foundation.ids import U16
from epost.foundation.ports import Write
from epost.past.durability import Durability
from epost.post.accounts.devices import Device
from epost.post.ports import NodePorts
from epost.post.sealed_notes import SealedNotes
from epost.post.storage.references import Reference

TABLE = "post.references"
WAITING_MAX = 10_000


class _Note(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    reference: Reference
    acked: U16
    wanted: U16
    ring_durable: bool


_NOTE: Format[_Note] = Format(_Note, size_max=1024)


@dataclass(frozen=True, slots=True)
class Remembered:
    """Where a plaintext lies, and how safely when it was last stored."""

    reference: Reference
    durability: Durability


class ReferenceMemory:
    """A keyed table: without the device's secret nothing can be tested or read with it.

    Losing an entry costs one more copy of a message and nothing else, so entries are written in the
    background and nobody waits for them.
    """

    def __init__(self, device: Device, ports: NodePorts) -> None:
        self._notes = SealedNotes(TABLE, secret=device.notes_secret, ports=ports)
        self._disk = ports.disk
        self._stories = ports.stories
        self._waiting: dict[bytes, Remembered] = {}
        self._is_writing = False

    def recall(self, sha256: bytes) -> Remembered | None:
        """Return what is known of the plaintext with this hash."""
        name = self._notes.name(sha256)
        if waiting := self._waiting.get(name):
            return waiting
        if (value := self._notes.get(name)) is None:
            return None
        note = _NOTE.decode(value)
        return Remembered(note.reference, Durability(note.acked, note.wanted, note.ring_durable))

    def remember(self, sha256: bytes, remembered: Remembered) -> None:
        """Remember soon; forgets it if too many wait for the disk."""
        if len(self._waiting) >= WAITING_MAX:
            return
        self._waiting[self._notes.name(sha256)] = remembered
        if not self._is_writing:
            self._is_writing = True
            self._stories.run_story(self._write())

    async def _write(self) -> None:
        try:
            while self._waiting:
                written = dict(self._waiting)
                await self._disk.durable(self._writes(written))
                for name, remembered in written.items():
                    if self._waiting.get(name) is remembered:
                        del self._waiting[name]
        finally:
            self._is_writing = False

    def _writes(self, entries: dict[bytes, Remembered]) -> Sequence[Write]:
        return [
            self._notes.put(
                name, encode(_Note(r.reference, *_numbers(r.durability), r.durability.ring_durable))
            )
            for name, r in entries.items()
        ]


def _numbers(durability: Durability) -> tuple[int, int]:
    return durability.acked, durability.wanted
