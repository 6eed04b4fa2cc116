"""What lies on a stand-in though all who should hold it are there: it is offered to them soon.

A replica was slow, so the next closest node took the block (design 4), or a notice. Rounds would
find that out too, but may be minutes away while nothing changes; until then the block seems to be
lost where it should be, and a notice that was settled meanwhile, to be missing.
"""

from __future__ import annotations

from collections import defaultdict

from epost.foundation.codec import encode
from epost.foundation.ids import Handle, NodeHandle
from epost.foundation.ports import Role
from epost.foundation.wire import Application
from epost.past.messages import Offer, Row
from epost.past.ring_view import Membership
from epost.past.rows import row_of
from epost.past.surroundings import Surroundings

DISPLACED_MAX = 1_000
"""Blocks remembered at a time; what is beyond is found by the rounds."""
UNANSWERED = 0
"""The serial of an offer that is part of no round."""


class Displaced:
    """Remembers such blocks until whoever was slow has had time to store them, then offers them."""

    def __init__(self, around: Surroundings, membership: Membership) -> None:
        self._outbox = around.outbox
        self._vault = around.vault
        self._config = around.config
        self._membership = membership
        self._fresh: dict[Handle, None] = {}
        self._ripe: dict[Handle, None] = {}
        """These wait since the last offer: for `recheck_seconds`, at most twice as long."""
        self._next_at = 0.0

    def __len__(self) -> int:
        return len(self._fresh) + len(self._ripe)

    def note(self, handle: Handle) -> None:
        """A block was stored by this node in place of none that is absent."""
        if len(self) < DISPLACED_MAX:
            self._fresh[handle] = None

    def tick(self, now: float) -> None:
        """Offer what has waited long enough."""
        if now < self._next_at or not (self._fresh or self._ripe):
            return
        self._next_at = now + self._config.recheck_seconds
        for to, rows in self._offers().items():
            for at in range(0, len(rows), self._config.slice_rows):
                offer = Offer(UNANSWERED, tuple(rows[at : at + self._config.slice_rows]))
                self._outbox.notify(to, Application.PAST, encode(offer))
        self._ripe, self._fresh = self._fresh, {}

    def _offers(self) -> dict[NodeHandle, list[Row]]:
        view = self._membership.view
        live = {node.id: node for node in view.live}
        offers: dict[NodeHandle, list[Row]] = defaultdict(list)
        for handle in self._ripe:
            entry = self._vault.entry(handle)
            if entry is None or not entry.roles & Role.STAND_IN:
                continue  # settled, or this node's own by now
            if view.knows_replicas(handle.place):
                for replica in view.replicas(handle.place):
                    if replica in live:
                        offers[live[replica]].append(row_of(entry))
        return offers
