"""Who counts as a member when replicas are placed, now (design 4: desktops sleep).

A node that has been absent for less than repair_delay still counts: its replicas are not copied
elsewhere yet, and what others keep in its place they keep as stand-ins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf

from epost.foundation.ids import NodeHandle, NodeId, closeness, number, point
from epost.past.arcs import WHOLE_RING, Arc, arc_between, known_arc, replica_arc
from epost.past.config import PastConfig
from epost.past.observed import CopyingPaused
from epost.past.overlay import MemberView, Overlay
from epost.past.surroundings import Surroundings


@dataclass(frozen=True)
class RingView:
    """The nodes that count, this one included, and the live ones of the others.

    In a large ring the leaf set is only the part around this node. `span` begins behind what is
    not known and ends before it; it is in the order of ids where the whole ring is known.
    """

    me: NodeId
    k: int
    span: tuple[NodeId, ...]
    live: tuple[NodeHandle, ...]
    """Sorted by id, without this node."""
    is_whole: bool

    @property
    def own_arc(self) -> Arc:
        """Return the keys of this node."""
        return self._arcs[self.me]

    def arc(self, node_id: NodeId) -> Arc:
        """Return the keys of a counted node, as far as they are known to be its own."""
        return self._arcs[node_id]

    def replicas(self, place: bytes) -> list[NodeId]:
        """Return the k counted nodes closest to a place, closest first."""
        nodes = self._certain_replicas(place) or self.span
        return sorted(nodes, key=lambda node: closeness(place, node))[: self.k]

    def knows_replicas(self, place: bytes) -> bool:
        """Is it certain that those are the k closest of the ring?"""
        return bool(self._certain_replicas(place))

    def _certain_replicas(self, place: bytes) -> list[NodeId]:
        """Return the k closest in any order; none if nodes that are not known may be closer."""
        at = number(place)
        nodes = [node for node, arc in self._arcs.items() if arc.reaches(at)]
        return nodes if len(nodes) == min(self.k, len(self.span)) else []

    @cached_property
    def certain_arc(self) -> Arc | None:
        """Return the keys whose k replicas are certain; None if too little is known."""
        if self.is_whole:
            return WHOLE_RING
        if len(self.span) < self.k:
            return None
        first, last = self._arcs[self.span[self.k - 1]], self._arcs[self.span[-self.k]]
        return None if first.start == last.end else arc_between(first.start, last.end)

    @property
    def far_arc(self) -> Arc | None:
        """Return the keys that others keep, who are not known here; None if there are none."""
        certain = self.certain_arc
        if self.is_whole or certain is None:
            return None
        return arc_between(certain.end, certain.start)

    @cached_property
    def _arcs(self) -> Mapping[NodeId, Arc]:
        arc_of = replica_arc if self.is_whole else known_arc
        return {node: arc_of(node, self.span, self.k) for node in self.span}

    def absent_replica(self, place: bytes) -> bytes:
        """Return the closest of the k that is absent, empty if all live."""
        live = {node.node_id for node in self.live} | {self.me}
        return next((node for node in self.replicas(place) if node not in live), b"")


@dataclass(frozen=True, slots=True)
class _Seen:
    """All that a view follows from, but for the time; looked at often, seldom different.

    Which keys the overlay covers follows from the members, and from whether it knows its place.
    """

    members: Sequence[MemberView]
    knows_own_place: bool
    k: int
    enrolled: int


class Membership:
    """Keeps the view up to date."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._excused: frozenset[NodeId] = frozenset()
        k = around.issuers.replication_factor()
        self.view = RingView(around.me.id, k, (around.me.id,), (), is_whole=True)
        self._seen: _Seen | None = None
        self._holds_until = 0.0

    def refresh(self, now: float) -> bool:
        """Look at the overlay again; return whether the view changed."""
        seen = self._look(now)
        if seen == self._seen and now < self._holds_until:
            return False
        self._seen = seen
        self._holds_until = _next_judgement(seen.members, now, self._around.config)
        return self._judge(seen, now)

    def may_miss_holders(self, now: float) -> bool:
        """May all holders of a block be out of reach? Then it proves nothing that nobody has it.

        So it is if k went before copies could be made, as when a part of the ring is cut off; or if
        this node, started in such a part, knows a whole ring of fewer than half of the machines.
        """
        seen = self._look(now)
        live = sum(member.live for member in seen.members) + 1
        is_small_part = self.view.is_whole and 2 * live < seen.enrolled
        delay = self._around.config.repair_delay_seconds
        return is_small_part or left_at_once(seen.members, seen.k, delay)

    def _look(self, now: float) -> _Seen:
        overlay, issuers = self._around.overlay, self._around.issuers
        return _Seen(
            members=overlay.members(now),
            knows_own_place=overlay.covers(self._around.me.id, 1),
            k=issuers.replication_factor(),
            enrolled=issuers.enrolled_storage_nodes(),
        )

    def _judge(self, seen: _Seen, now: float) -> bool:
        around, members = self._around, seen.members
        config = around.config
        together = gone_together(members, seen.enrolled, now, config)
        # In the morning the last ones are no crowd any more, but excused as before.
        absent = {m.node.id for m in members if _is_absent_within_excuse(m, now, config)}
        excused = together | (self._excused & absent)
        if bool(excused) is not bool(self._excused):
            around.observer.record(CopyingPaused(bool(excused)))
        self._excused = excused
        judged = judge(members, around.me.id, now, config, excused)
        counted, gap = judged.counted, find_gap(judged.counted, around.overlay)
        span = counted if gap is None else counted[gap:] + counted[:gap]
        view = RingView(around.me.id, seen.k, span, judged.live, is_whole=gap is None)
        if view == self.view:
            return False
        self.view = view
        return True


@dataclass(frozen=True, slots=True)
class Judged:
    """The nodes that count and the live ones, both sorted by id; only the former include us."""

    counted: tuple[NodeId, ...]
    live: tuple[NodeHandle, ...]


def judge(
    members: Sequence[MemberView],
    me: NodeId,
    now: float,
    config: PastConfig,
    excused: frozenset[NodeId] = frozenset(),
) -> Judged:
    """Judge the members of the leaf set; `me` may or may not be among them."""
    others = [m for m in members if m.node.node_id != me]
    counted = {m.node.id for m in others if m.live or not _is_lost(m, now, config)}
    counted |= excused | {me}
    live = sorted((m.node for m in others if m.live), key=lambda node: node.node_id)
    return Judged(tuple(sorted(counted)), tuple(live))


def find_gap(ring: Sequence[NodeId], overlay: Overlay) -> int | None:
    """Return before which node of `ring` others lie that are not known; None if none do."""
    for at, node in enumerate(ring):
        between = arc_between(ring[at - 1], node)
        middle = point(between.before + (between.size + 1) // 2)
        if not overlay.covers(middle, 1):
            return at
    return None


def gone_together(
    members: Sequence[MemberView], enrolled: int, now: float, config: PastConfig
) -> frozenset[NodeId]:
    """Return the absent ones who left when so many did that copying would only make it worse.

    In the evening an office goes to sleep, and comes back in the morning: whoever left within the
    same hour as a large part of the leaf set counts as a member for longer. A single node that
    fails meanwhile is replaced as ever.
    """
    if enrolled <= config.mass_absence_ring_min:
        return frozenset()
    gone = sorted(
        (m.absent_since, m.node.id)
        for m in members
        if m.absent_since is not None and _is_absent_within_excuse(m, now, config)
    )
    together: set[NodeId] = set()
    first = 0
    for last, (left_at, _) in enumerate(gone):
        while left_at - gone[first][0] >= config.mass_absence_seconds:
            first += 1
        if last + 1 - first > config.mass_absence_part * len(members):
            together.update(node for _, node in gone[first : last + 1])
    return frozenset(together)


def left_at_once(members: Sequence[MemberView], k: int, within_seconds: float) -> bool:
    """Tell whether k or more of the absent ones left within so short a time."""
    gone = sorted(m.absent_since for m in members if m.absent_since is not None)
    return any(
        last - first < within_seconds for first, last in zip(gone, gone[k - 1 :], strict=False)
    )


def _next_judgement(members: Sequence[MemberView], now: float, config: PastConfig) -> float:
    """Return when time alone will next change who counts."""
    spans = (config.repair_delay_seconds, config.mass_absence_seconds_max)
    absences = [m.absent_since for m in members if m.absent_since is not None]
    ends = (since + span for since in absences for span in spans)
    return min((end for end in ends if end > now), default=inf)


def _is_absent_within_excuse(member: MemberView, now: float, config: PastConfig) -> bool:
    since = member.absent_since
    if member.live or since is None:
        return False
    return now - since < config.mass_absence_seconds_max


def _is_lost(member: MemberView, now: float, config: PastConfig) -> bool:
    since = member.absent_since
    return since is None or now - since >= config.repair_delay_seconds
