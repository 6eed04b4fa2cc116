"""The contacts a node writes to its vault, so that it finds its ring after a restart."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec

from epost.foundation.codec import Format, encode
from epost.foundation.effects import Outbox
from epost.foundation.errors import PeerError
from epost.foundation.ids import NodeHandle
from epost.foundation.ports import PutNote
from epost.foundation.wire import Application
from epost.pastry.alarm import Alarm
from epost.pastry.config import CONTACTS_MAX, PastryConfig

TABLE = "pastry.contacts"
KEY = b"contacts"
SIZE_MAX = CONTACTS_MAX * 2400


class StoredContacts(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The note: members by id."""

    nodes: tuple[NodeHandle, ...]


_FORMAT: Format[StoredContacts] = Format(StoredContacts, size_max=SIZE_MAX)


def stored_contacts(notes: Iterable[tuple[bytes, bytes]]) -> Sequence[NodeHandle]:
    """Return the contacts from `vault.notes(TABLE)`; what cannot be read is left out."""
    nodes: list[NodeHandle] = []
    for _, value in notes:
        try:
            nodes.extend(_FORMAT.decode(value).nodes)
        except PeerError:
            continue  # a node can do without: it still has its bootstraps
    return nodes[:CONTACTS_MAX]


class ContactNotes:
    """Writes the contacts when they changed, not more often than allowed."""

    TIMER = "contacts"

    def __init__(
        self, config: PastryConfig, outbox: Outbox, collect: Callable[[], Iterable[NodeHandle]]
    ) -> None:
        """`collect()` returns the contacts, the most useful ones first."""
        self._config = config
        self._outbox = outbox
        self._collect = collect
        self._alarm = Alarm(outbox, Application.PASTRY, self.TIMER)
        self._written: bytes | None = None
        self._written_at = -config.contacts_write_seconds

    def on_change(self, now: float) -> None:
        """Write soon."""
        self._alarm.set_by(max(now, self._written_at + self._config.contacts_write_seconds), now)

    def on_timer(self, now: float) -> None:
        """Write if the note would differ from the last one."""
        self._alarm.rang()
        nodes = {node.node_id: node for node in reversed(list(self._collect())[:CONTACTS_MAX])}
        value = encode(StoredContacts(tuple(nodes[node_id] for node_id in sorted(nodes))))
        if value != self._written and nodes:
            self._written, self._written_at = value, now
            self._outbox.write(PutNote(TABLE, KEY, value))
