"""What is routed to the root of a key: who is closest to it, who has its block, leases."""

from __future__ import annotations

from collections.abc import Callable

from epost.foundation.codec import encode
from epost.foundation.effects import Caller
from epost.foundation.errors import PeerError
from epost.foundation.ids import Handle, Id, NodeHandle
from epost.foundation.wire import Application
from epost.past.caching.route_cache import RouteCache
from epost.past.leases.renewals import Renewals
from epost.past.messages import Candidates, LookupQuery, OnTheWay, Renewal, Reply, read_routed
from epost.past.surroundings import Surroundings


class Queries:
    """Answers queries at their root, and look-ups on their way if the block is here."""

    def __init__(
        self,
        around: Surroundings,
        cache: RouteCache,
        renewals: Renewals,
        holds: Callable[[Handle], bool],
    ) -> None:
        """`holds` says whether a block is here as one of the ring's copies."""
        self._around = around
        self._cache = cache
        self._renewals = renewals
        self._holds = holds

    def deliver(self, key: Id, origin: NodeHandle, body: bytes, now: float) -> None:
        """This node is the root of a key: tell the asker who is closest to it."""
        try:
            query = read_routed(body)
        except PeerError:
            return  # whoever handed it on is not to blame
        if isinstance(query, Renewal):
            self._renewals.on_routed(query, now)
            return
        nodes = tuple(self._around.overlay.replica_set(key, query.size))
        self._reply(origin, query.call_id, Candidates(nodes))

    def passes(self, key: Id, origin: NodeHandle, body: bytes, now: float) -> bool:
        """Let a query pass to its root; False for a look-up that is answered here.

        The answer is only who has the block: its origin is what others say, and might be flooded.
        """
        if origin.node_id == self._around.me.node_id:
            return True
        try:
            query = read_routed(body)
        except PeerError:
            return True
        if not isinstance(query, LookupQuery) or query.handle.place != key:
            return True
        if self._holds(query.handle) or self._cache.answers(query.handle):
            self._reply(origin, query.call_id, OnTheWay(self._around.me))
            return False
        self._cache.passed(query.handle, now)
        return True

    def _reply(self, origin: NodeHandle, call_id: bytes, reply: Reply) -> None:
        caller = Caller(origin, Application.PAST, int.from_bytes(call_id, "big"))
        self._around.outbox.reply(caller, encode(reply))
