"""Which of our notices were delivered lately: so that a read receipt finds the message it is for.

The receipt names the envelope; the record of the message is settled and forgotten by then.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import msgspec

from epost.crypto.names import NAME_LENGTH_MAX
from epost.foundation.codec import Format
from epost.foundation.durations import DAY_MS
from epost.foundation.ids import U16, U63, Bytes16
from epost.foundation.ports import Write
from epost.post.accounts.devices import Device
from epost.post.notification.folded_notes import FoldedNotes
from epost.post.notification.records import DeliveryState, Step
from epost.post.ports import NodePorts

TABLE = "post.delivered"
KEPT_MS = 90 * DAY_MS
"""After the delivery."""


class _Note(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    message_key: Bytes16
    notice: U16
    name: Annotated[str, msgspec.Meta(max_length=NAME_LENGTH_MAX)]
    at: U63


_NOTE: Format[_Note] = Format(_Note, size_max=512)


@dataclass(frozen=True, slots=True)
class Delivered:
    """A notice that its recipient has, and has not said to have read."""

    message_key: bytes
    notice: int
    name: str


class DeliveredNotices:
    """Remembers them by the digest of the envelope; folded from Steps."""

    def __init__(self, device: Device, ports: NodePorts) -> None:
        self._notes = FoldedNotes(TABLE, _NOTE, device, ports)
        self._clock = ports.clock

    def find(self, pending: bytes) -> Delivered | None:
        """Return the notice that was in an envelope."""
        note = self._notes.find(pending)
        return None if note is None else Delivered(note.message_key, note.notice, note.name)

    def on_step(self, step: Step, name: str) -> None:
        """A notice to somebody came further."""
        if step.state is DeliveryState.DELIVERED and step.pending:
            note = _Note(step.message_key, step.notice, name, step.at)
            self._notes.put(note, step.pending)

    def on_read(self, pending: bytes) -> None:
        """Its recipient has read it: there is nothing more to come."""
        self._notes.put(None, pending)

    def checkpoint(self) -> list[Write]:
        """Return the writes that bring the notes up to date."""
        return self._notes.checkpoint()

    def expired(self) -> list[Write]:
        """Return the writes that forget what is old; reads the whole table."""
        oldest = self._clock.wall_ms() - KEPT_MS
        return self._notes.expired(lambda note: note.at < oldest)
