"""What delegates signed for the notices that they keep for us (crypto 7.6, 7.7): the proof of
"delegated", kept for those who ask where a mail is.

Notes of this machine, not records of the log: losing them costs a proof, not a mail.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec

from epost.foundation.codec import Format, encode
from epost.foundation.durations import DAY_MS
from epost.foundation.ids import U63
from epost.foundation.ports import Write
from epost.past.attestations import ATTESTATION_SIZE_MAX
from epost.post.accounts.devices import Device
from epost.post.ports import NodePorts
from epost.post.sealed_notes import SealedNotes

TABLE = "post.deposits"
KEPT_MS = 30 * DAY_MS
DEPOSITS_MAX = 16


class _Note(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    kept_until: U63
    signed: Annotated[
        tuple[Annotated[bytes, msgspec.Meta(max_length=ATTESTATION_SIZE_MAX)], ...],
        msgspec.Meta(max_length=DEPOSITS_MAX),
    ]


_NOTE: Format[_Note] = Format(_Note, size_max=(DEPOSITS_MAX + 1) * ATTESTATION_SIZE_MAX)


class Deposits:
    """Remembers deposit receipts by the digest of the envelope."""

    def __init__(self, device: Device, ports: NodePorts) -> None:
        self._notes = SealedNotes(TABLE, secret=device.notes_secret, ports=ports)
        self._ports = ports

    def keep_soon(self, pending: bytes, signed: Sequence[bytes]) -> None:
        """Write down in the background what delegates have signed for an envelope."""
        note = _Note(self._ports.clock.wall_ms() + KEPT_MS, tuple(signed[:DEPOSITS_MAX]))
        write = self._notes.put(self._notes.name(pending), encode(note))
        self._ports.stories.run_story(self._ports.disk.durable([write]))

    def find(self, pending: bytes) -> Sequence[bytes]:
        """Return what was signed for an envelope; nothing after a month."""
        value = self._notes.get(self._notes.name(pending))
        return () if value is None else _NOTE.decode(value).signed

    def expired(self) -> list[Write]:
        """Return the writes that forget what is old; reads the whole table."""
        now_ms = self._ports.clock.wall_ms()
        return [
            self._notes.delete(name)
            for name, value in self._notes.all()
            if _NOTE.decode(value).kept_until < now_ms
        ]
