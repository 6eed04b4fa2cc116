"""Blocks that lie far from their place, where no neighbour should hold them, are brought home.

A few machines that are cut off are a ring of their own for a while: what is inserted there lies on
k of them, wherever its place is. When the ring is one again, the leaf sets of these machines say
nothing of who should hold it, so the rounds between neighbours never offer it to anybody. Its
holders look for the replica roots as its inserter would, securely, and offer it to them; what all
of them have confirmed is given up like any other surplus.

One stretch of the ring at a time: as much as the nodes found around one stray tell the replicas of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from epost.foundation.ids import RING_SIZE, Id, NodeHandle, NodeId, number
from epost.foundation.wire import Application
from epost.past.arcs import Arc
from epost.past.comparing import Comparisons, RoundDone
from epost.past.config import SET_SIZE_MAX
from epost.past.ring_view import Membership, RingView
from epost.past.rows import held_slice
from epost.past.surroundings import Surroundings


@dataclass(frozen=True, slots=True)
class _Stretch:
    """A part of the ring whose replicas were found, and who should hold which of its keys."""

    arc: Arc
    found: RingView
    offers: dict[NodeId, tuple[NodeHandle, Sequence[Arc]]]
    """Still to be made."""


class Strays:
    """Walks the ring outside of what the leaf set knows, from stray to stray."""

    TIMER = "strays"

    def __init__(
        self, around: Surroundings, membership: Membership, comparisons: Comparisons
    ) -> None:
        self._around = around
        self._config = around.config
        self._membership = membership
        self._comparisons = comparisons
        self._has_any = False
        self._not_before = 0.0
        self._pause = self._config.recheck_seconds
        self._settled, self._settled_until = b"", 0.0
        self._ahead: Arc | None = None
        """What is left of the walk under way."""
        self._digest = b""
        self._is_searching = False
        self._stretch: _Stretch | None = None
        self._asked: dict[NodeId, None] = {}
        self._has_failed = False

    def __contains__(self, peer: NodeId) -> bool:
        """Is the open round with a peer about strays?"""
        return peer in self._asked

    def replicas(self, place: Id) -> Sequence[NodeId]:
        """Return the k nodes that should hold a stray on offer now, none for any other block."""
        if self._stretch is None or place not in self._stretch.arc:
            return ()
        return self._stretch.found.replicas(place)

    def held(self) -> int:
        """Return how many blocks are kept here whose replicas are not known to this node."""
        far = self._membership.view.far_arc
        held = None if far is None else self._around.vault.fingerprint(far.start, far.end)
        return 0 if held is None else held.count

    def tick(self, now: float) -> None:
        """Begin a walk if it is time for one, or go on with the one under way."""
        if self._ahead is None and self._stretch is None:
            self._begin(now)
        else:
            self.go_on(now)

    def on_round_done(self, done: RoundDone) -> None:
        """All that a peer should hold was offered to it; what it lacks it fetches now."""
        del self._asked[done.peer.id]
        self._has_failed = self._has_failed or done.lacking > 0
        self._go_on_soon()

    def go_on(self, now: float) -> None:
        """Offer to the next peers, or look for the next stray."""
        if self._stretch is None or self._is_searching:
            return
        given_up = [peer for peer in self._asked if peer not in self._comparisons]
        for peer in given_up:  # it does not answer, or who counts has changed
            del self._asked[peer]
            self._has_failed = True
        self._offer(self._stretch, now)
        if not self._asked and not self._stretch.offers:
            self._search(now)

    # A walk.

    def _begin(self, now: float) -> None:
        far = self._membership.view.far_arc
        held = None if far is None else self._around.vault.fingerprint(far.start, far.end)
        if far is None or held is None or not held.count:
            self._has_any = False
            return
        if not self._has_any:  # perhaps this node has not met all of its neighbours yet
            self._has_any = True
            self._not_before = max(self._not_before, now + self._config.recheck_seconds)
        is_settled = held.digest == self._settled and now < self._settled_until
        is_placed = self._around.overlay.covers(self._around.me.id, 1)
        if now < self._not_before or is_settled or not is_placed:
            return
        self._ahead, self._digest, self._has_failed = far, held.digest, False
        self._search(now)

    def _search(self, now: float) -> None:
        """Look for those who should hold the next stray."""
        self._stretch = None
        stray = self._next_stray()
        if stray is None:
            self._end(now)
            return
        self._is_searching = True
        size = min(2 * self._membership.view.k + 1, SET_SIZE_MAX)
        self._around.overlay.route_securely(stray, size, partial(self._on_found, stray))

    def _next_stray(self) -> Id | None:
        while self._ahead is not None:
            start, end, limit = self._ahead.start, self._ahead.end, self._config.slice_rows
            held, end = held_slice(self._around.vault, start, end, limit)
            if held:
                return held[0].handle.place
            self._walked_to(end)
        return None

    def _walked_to(self, place: Id) -> None:
        assert self._ahead is not None, "a walk is under way"
        left = (number(self._ahead.end) - number(place)) % RING_SIZE
        self._ahead = Arc(number(place), left) if left else None

    def _end(self, now: float) -> None:
        """Walk again soon if a peer lacked something, to see it settled; else after long."""
        config = self._config
        self._not_before = now + self._pause
        if self._has_failed:
            self._pause = min(2 * self._pause, config.maintenance_interval_seconds)
        else:
            self._pause = config.recheck_seconds
            self._settled, self._settled_until = self._digest, now + config.strays_seconds

    # One stretch.

    def _on_found(self, stray: Id, nodes: Sequence[NodeHandle]) -> None:
        """Told in a turn of the overlay's, perhaps at once: what follows has a turn of its own."""
        assert self._ahead is not None, "a walk is under way"
        self._is_searching = False
        self._stretch = stretch = self._stretch_of(stray, self._ahead, nodes)
        self._has_failed = self._has_failed or not stretch.offers
        self._walked_to(stretch.arc.end)
        self._go_on_soon()

    def _stretch_of(self, stray: Id, ahead: Arc, nodes: Sequence[NodeHandle]) -> _Stretch:
        me, k = self._around.me.id, self._membership.view.k
        at, half = number(stray), RING_SIZE // 2
        clockwise = sorted(nodes, key=lambda node: (number(node.node_id) - at + half) % RING_SIZE)
        live = tuple(node for node in clockwise if node.id != me)
        found = RingView(me, k, tuple(node.id for node in clockwise), live, is_whole=False)
        if len(nodes) < k:  # the next walk comes by here again
            return _Stretch(_only(at), found, {})
        # Of more than this place, unless too many of the nodes are on one side of it.
        known = found.certain_arc.shared_with(ahead) if found.certain_arc else ()
        arc = next((part for part in known if part.reaches(at)), _only(at))
        if arc.size > 1:
            arcs: Sequence[Sequence[Arc]] = [found.arc(node.id).shared_with(arc) for node in live]
        else:
            closest = found.replicas(stray)
            arcs = [[arc] if node.id in closest else [] for node in live]
        offers = {node.id: (node, part) for node, part in zip(live, arcs, strict=True) if part}
        return _Stretch(arc, found, offers)

    def _offer(self, stretch: _Stretch, now: float) -> None:
        room = self._config.rounds_open_max - len(self._comparisons)
        free = [peer for peer in stretch.offers if peer not in self._comparisons]
        for peer in free[: max(room, 0)]:
            node, arcs = stretch.offers.pop(peer)
            self._asked[peer] = None
            self._comparisons.begin(node, (), arcs, now)

    def _go_on_soon(self) -> None:
        self._around.outbox.set_timer(Application.PAST, self.TIMER, 0.0)


def _only(place: int) -> Arc:
    return Arc((place - 1) % RING_SIZE, 1)
