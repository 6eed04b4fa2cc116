"""Which notices were received, so that none is handled twice and all are answered alike.

The replay set of crypto 7.4, folded from POST's own records. Kept as long as a notice can be valid,
and two days; later ones are refused by their time.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from epost.foundation.codec import Format, encode
from epost.foundation.ids import U63
from epost.foundation.ports import Write
from epost.past.pending import ReceiptStatus
from epost.post import records
from epost.post.devices import Device
from epost.post.ports import NodePorts
from epost.post.sealed_notes import SealedNotes

TABLE = "post.received"
KEPT_MS_AFTER_EXPIRY = 2 * 24 * 3600 * 1000


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
        self._notes = SealedNotes(TABLE, secret=device.notes_secret, ports=ports)
        self._newest: dict[bytes, _Note] = {}
        self._clock = ports.clock

    def find(self, from_account: bytes, notice_id: bytes) -> Handled | None:
        """Return what became of a notice, None if it is new."""
        name = self._notes.name(from_account, notice_id)
        note = self._newest.get(name)
        if note is None:
            value = self._notes.get(name)
            note = None if value is None else _NOTE.decode(value)
        return None if note is None else Handled(note.sequence, note.status, note.at)

    def on_received(self, sequence: int, received: records.Received) -> None:
        """A notice was accepted or refused; logged again after a fork, the first word holds."""
        name = self._notes.name(received.from_account, received.notice_id)
        known = self.find(received.from_account, received.notice_id)
        status, at = (received.status, received.at) if known is None else (known.status, known.at)
        self._newest[name] = _Note(sequence, status, at, received.expires_at)

    def checkpoint(self) -> list[Write]:
        """Return the writes that bring the notes up to date."""
        writes: list[Write] = [
            self._notes.put(name, encode(note)) for name, note in self._newest.items()
        ]
        self._newest.clear()
        return writes

    def expired(self) -> list[Write]:
        """Return the writes that forget what can no longer be replayed; reads the whole table."""
        oldest = self._clock.wall_ms() - KEPT_MS_AFTER_EXPIRY
        return [
            self._notes.delete(name)
            for name, value in self._notes.all()
            if _NOTE.decode(value).expires_at < oldest
        ]
