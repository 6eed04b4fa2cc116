"""The leaf set: the l/2 live nodes closest to us on either side of the ring (Pastry 2.2)."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Sequence, Set

from epost.foundation.ids import (
    RING_SIZE,
    Id,
    NodeHandle,
    NodeId,
    clockwise_distance,
    closeness,
    number,
    point,
)
from epost.pastry.routing import Neighbourhood


class LeafSet:
    """Up to l members in clockwise order from the owner; fewer than l are the whole ring, or lack
    some that were lost (`lacks_members`).

    A seam half-way around, between the farthest on either side, parts successors and predecessors
    once the set has been full: without it a set that lost a predecessor would take any successor
    beyond its end for one, then the one beyond that, all around the ring. Whoever enters must have
    been heard directly: the set itself believes everything.
    """

    def __init__(self, owner: NodeId, size_max: int) -> None:
        self._owner = owner
        self._size_max = size_max
        self._half = size_max // 2
        self._members: dict[bytes, NodeHandle] = {}
        self._offsets: list[tuple[int, bytes]] = []
        self._clockwise: tuple[NodeHandle, ...] = ()
        self._seam: int | None = None
        self._neighbourhood = Neighbourhood(number(owner), (), None)

    def __len__(self) -> int:
        return len(self._offsets)

    def __contains__(self, node_id: bytes) -> bool:
        return node_id in self._members

    def __iter__(self) -> Iterator[NodeHandle]:
        """Members clockwise from the owner."""
        return iter(self._clockwise)

    @property
    def is_full(self) -> bool:
        """Whether there are l members, so that unknown nodes may lie beyond them."""
        return len(self._offsets) == self._size_max

    @property
    def lacks_members(self) -> bool:
        """Whether members were lost since the set was full, and nobody took their places yet."""
        return self._seam is not None and not self.is_full

    @property
    def ring_size_estimate(self) -> float:
        """How many nodes the ring has if they lie as densely everywhere as around the owner."""
        if self._neighbourhood.span is None:
            return len(self._offsets) + 1
        leftmost, rightmost = self._neighbourhood.span
        return len(self._offsets) * RING_SIZE / max(1, (rightmost - leftmost) % RING_SIZE)

    @property
    def neighbourhood(self) -> Neighbourhood:
        """The members as numbers, for routing decisions."""
        return self._neighbourhood

    @property
    def successor(self) -> NodeHandle | None:
        """The next node clockwise, None alone."""
        return self._clockwise[0] if self._clockwise else None

    @property
    def predecessor(self) -> NodeHandle | None:
        """The next node counterclockwise, None alone."""
        return self._clockwise[-1] if self._clockwise else None

    def ids(self) -> Set[bytes]:
        """Return the ids of the members."""
        return self._members.keys()

    def get(self, node_id: bytes) -> NodeHandle | None:
        """Return the handle of a member, None of others."""
        return self._members.get(node_id)

    def admits(self, node_id: bytes) -> bool:
        """Tell whether a node would be among the l/2 closest on one side."""
        if node_id in self._members or node_id == self._owner:
            return False
        if self._seam is None:
            return True
        offset, side = clockwise_distance(self._owner, node_id), self._successors
        if offset < self._seam:
            return side < self._half or offset < self._offsets[self._half - 1][0]
        return len(self._offsets) - side < self._half or offset > self._offsets[-self._half][0]

    def missing_of(self, node_ids: Iterable[bytes]) -> set[bytes]:
        """Return those that would be members, were all of these nodes live and added.

        Asking only them, not all that `admits` lets in one by one, spares a set that lacks one
        member from asking everybody beyond its end.
        """
        strangers = {node_id for node_id in node_ids if node_id not in self._members}
        strangers.discard(self._owner)
        offsets = [(clockwise_distance(self._owner, node_id), node_id) for node_id in strangers]
        merged = sorted([*offsets, *self._offsets])
        seam = len(merged) // 2 if self._seam is None else bisect_left(merged, (self._seam, b""))
        if self._seam is not None or len(merged) > self._size_max:
            merged = merged[:seam][: self._half] + merged[seam:][-self._half :]
        return strangers.intersection(node_id for _, node_id in merged)

    def add(self, node: NodeHandle) -> NodeHandle | None:
        """Enter a node that `admits` lets in; return the member that it displaces, if any."""
        assert self.admits(node.node_id)
        self._members[node.node_id] = node
        insort(self._offsets, (clockwise_distance(self._owner, node.node_id), node.node_id))
        displaced, side = None, self._successors
        if self._seam is not None and max(side, len(self._offsets) - side) > self._half:
            _, farthest = self._offsets.pop(min(side, self._half))
            displaced = self._members.pop(farthest)
        self._renew()
        return displaced

    def remove(self, node_id: bytes) -> NodeHandle | None:
        """Take a member out and return it; None if it was none."""
        node = self._members.pop(node_id, None)
        if node is not None:
            self._offsets.remove((clockwise_distance(self._owner, node_id), node_id))
            self._renew()
        return node

    def close(self) -> None:
        """Take the members for the whole ring: it has become too small to fill the set."""
        self._seam = None
        self._renew()

    def refresh(self, node: NodeHandle) -> bool:
        """Take over the addresses of a member; True if they are new."""
        if self._members.get(node.node_id, node) == node:
            return False
        self._members[node.node_id] = node
        self._put_in_order()
        return True

    def neighbours(self, reach: int = 1) -> Sequence[NodeHandle]:
        """Return the nearest members, `reach` on each side if there are as many."""
        nearest = (*self._clockwise[:reach], *self._clockwise[-reach:])
        return list({node.node_id: node for node in nearest}.values())

    def adviser(self, lost: bytes | None = None) -> NodeHandle | None:
        """Return whom to ask who replaces a lost member; None if nobody is left.

        A member half-way out on the same side (without `lost`, on the side that lacks more): its
        own leaf set reaches beyond ours, even when several of that side are lost.
        """
        seam = RING_SIZE // 2 if self._seam is None else self._seam
        side = bisect_left(self._offsets, (seam, b""))
        successors, predecessors = self._offsets[:side], self._offsets[side:][::-1]
        if lost is None:
            is_successor = len(successors) <= len(predecessors)
        else:
            is_successor = clockwise_distance(self._owner, lost) < seam
        near, other = (successors, predecessors) if is_successor else (predecessors, successors)
        if not near:
            near = other[:1]
        return self._members[near[min(self._half // 2, len(near) - 1)][1]] if near else None

    def closest(self, key: Id, size: int, owner: NodeHandle) -> Sequence[NodeHandle]:
        """Return the `size` nodes closest to a key, among the members and the owner."""
        everybody = [owner, *self._members.values()]
        everybody.sort(key=lambda node: closeness(key, node.node_id))
        return everybody[:size]

    def covers(self, key: Id, size: int) -> bool:
        """Tell whether no unknown node can be among the `size` closest to a key."""
        if not self.is_full:
            return not self.lacks_members
        first, last = self._offsets[-self._half][0], self._offsets[self._half - 1][0]
        offset = clockwise_distance(self._owner, key)
        if last < offset < first:
            return False
        # Unknown nodes lie beyond both ends, so they are farther than the nearer end.
        reach = min((last - offset) % RING_SIZE, (offset - first) % RING_SIZE)
        farthest = RING_SIZE - reach
        within = 0
        for member in (0, *(o for o, _ in self._offsets)):
            gap = (offset - member) % RING_SIZE
            if gap <= reach or gap >= farthest:
                within += 1
                if within == size:
                    return True
        return False

    @property
    def _successors(self) -> int:
        """How many members lie before the seam."""
        return 0 if self._seam is None else bisect_left(self._offsets, (self._seam, b""))

    def _put_in_order(self) -> None:
        self._clockwise = tuple(self._members[node_id] for _, node_id in self._offsets)

    def _renew(self) -> None:
        self._put_in_order()
        if self.is_full:
            self._seam = (self._offsets[self._half - 1][0] + self._offsets[self._half][0]) // 2 + 1
        own, leaves = number(self._owner), tuple(number(name) for _, name in self._offsets)
        span = None
        if self._seam is not None:
            around = (own, *leaves, own)
            span = around[self._successors + 1], around[self._successors]
        self._neighbourhood = Neighbourhood(own, leaves, span)


def arc_among(node_id: NodeId, others: Iterable[bytes], k: int) -> tuple[Id, Id]:
    """Return the keys (start, end] for which a node is among the k closest; PAST's share.

    It reaches half-way to the k-th node on either side; with at most k nodes it is the whole
    ring, given as start == end. `others` are the other nodes of the ring; order is free.
    """
    own = number(node_id)
    ring = sorted({number(other) for other in others} - {own})
    if len(ring) < k:
        return Id(node_id), Id(node_id)
    at = bisect_left(ring, own)
    successor = ring[(at + k - 1) % len(ring)]
    predecessor = ring[(at - k) % len(ring)]
    end = own + _half_way((successor - own) % RING_SIZE, wins_tie=own < successor)
    first = own - _half_way((own - predecessor) % RING_SIZE, wins_tie=own < predecessor)
    return point(first - 1), point(end)


def _half_way(gap: int, *, wins_tie: bool) -> int:
    """Return how far a node is the closer one of two; a tie goes to the smaller id."""
    return (gap if wins_tie else gap - 1) // 2
