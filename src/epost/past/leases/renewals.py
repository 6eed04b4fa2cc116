"""Leases prolonged in bulk (design 8): one message goes along the ring, from root to root.

Whoever wants blocks kept sends their handles, in the order of the ring, to the root of the first.
Each root prolongs what is near it, tells the other replicas, one message each, and passes the
rest on to the root of the next. Nothing is answered: a renewal is repeated monthly, and a lease is
longer than a year. Who asks is not looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from epost.foundation.codec import encode
from epost.foundation.errors import Overloaded
from epost.foundation.ids import Handle
from epost.foundation.ports import Role
from epost.foundation.rates import Rates
from epost.foundation.wire import Application
from epost.past.config import KEYS_LIMITED_MAX
from epost.past.leases.terms import LEASED, leased_until, noted
from epost.past.leases.words import Prolong
from epost.past.messages import Renewal
from epost.past.ring_view import Membership
from epost.past.shelf import RENEWAL_MS_MIN, Shelf
from epost.past.surroundings import Surroundings
from epost.past.tickets import LEASE_MS_MAX

_ALL = "all"


class Renewals:
    """The storage node's part; a part of the replica machine."""

    def __init__(self, around: Surroundings, membership: Membership, shelf: Shelf) -> None:
        self._around = around
        self._membership = membership
        self._shelf = shelf
        config = around.config
        self._rates: Rates[str] = Rates(
            config.renewals_per_second, config.renewals_burst, KEYS_LIMITED_MAX
        )

    def on_routed(self, renewal: Renewal, now: float) -> None:
        """This node is the root of the first block."""
        view = self._membership.view
        near = [handle for handle in renewal.handles if handle.place in view.own_arc]
        self.prolong(near, renewal.until, now)
        for node in view.live:
            arc = view.arc(node.id)
            if shared := tuple(handle for handle in near if handle.place in arc):
                body = encode(Prolong(shared, renewal.until))
                self._around.outbox.notify(node, Application.PAST, body)
        # The first one is done whether or not this node thinks so: the way along the ring ends.
        rest = tuple(h for h in renewal.handles[1:] if h.place not in view.own_arc)
        if rest:
            body = encode(Renewal(rest, renewal.until))
            self._around.overlay.route(rest[0].place, Application.PAST, body)

    def prolong(self, handles: Sequence[Handle], until: int, now: float) -> None:
        """Keep those that are here until a time (ms since 1970), and take them out of the trash."""
        until = min(until, self._around.clock.wall_ms() + LEASE_MS_MAX)
        with suppress(Overloaded):  # it is repeated in a month
            self._rates.take(_ALL, now, len(handles))
            for handle in handles:
                self._prolong(handle, until)

    def _prolong(self, handle: Handle, until: int) -> None:
        vault = self._around.vault
        entry = vault.entry(handle)
        if entry is None or handle.kind not in LEASED or not entry.ticket:
            return
        if until < leased_until(vault, entry) + RENEWAL_MS_MIN:
            return
        self._around.outbox.write(noted(handle, until))
        if entry.roles & Role.TRASH:
            self._shelf.recover(entry)
