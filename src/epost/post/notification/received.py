"""Which notices were received, so that none is handled twice and all are answered alike.

The replay set of crypto 7.4, folded from POST's own records. Kept as long as a notice can be valid,
and two days; later ones are refused by their time.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from epost.foundation.codec import Format
from epost.foundation.durations import DAY_MS
from epost.foundation.ids import U63
from epost.foundation.ports import Write
from epost.past.pending import ReceiptStatus
from epost.post.accounts.devices import Device
from epost.post.notification import records
from epost.post.notification.folded_notes import FoldedNotes
from epost.post.ports import NodePorts

TABLE = "post.received"
KEPT_MS_AFTER_EXPIRY = 2 * DAY_MS


class _Note(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    sequence: U63
    status: ReceiptStatus
    at: U63
    expires_at: U63


_NOTE: Format[_Note] = Format(_Note, size_max=256)


@dataclass(frozen=True, slots=True)
class Handled:
    """What was decided about a notice, when (ms), and by which record."""

    sequence: int
    status: ReceiptStatus
    at: int


class ReceivedNotices:
    """Remembers notices by sender and id."""

    def __init__(self, device: Device, ports: NodePorts) -> None:
        self._notes = FoldedNotes(TABLE, _NOTE, device, ports)
        self._clock = ports.clock

    def find(self, from_account: bytes, notice_id: bytes) -> Handled | None:
        """Return what became of a notice, None if it is new."""
        note = self._notes.find(from_account, notice_id)
        return None if note is None else Handled(note.sequence, note.status, note.at)

    def on_received(self, sequence: int, received: records.Received) -> None:
        """A notice was accepted or refused; logged again after a fork, the first word holds."""
        name = received.from_account, received.notice_id
        first = self._notes.find(*name) or received
        note = _Note(sequence, first.status, first.at, received.expires_at)
        self._notes.put(note, *name)

    def checkpoint(self) -> list[Write]:
        """Return the writes that bring the notes up to date."""
        return self._notes.checkpoint()

    def expired(self) -> list[Write]:
        """Return the writes that forget what can no longer be replayed; reads the whole table."""
        oldest = self._clock.wall_ms() - KEPT_MS_AFTER_EXPIRY
        return self._notes.expired(lambda note: note.expires_at < oldest)
