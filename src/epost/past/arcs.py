"""Arcs of the ring: which keys a node keeps replicas of (PAST: the k numerically closest nodes).

A node is among the k closest to exactly the keys from half-way to its k-th predecessor to half-way
to its k-th successor; with k members or fewer everybody keeps everything.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from epost.foundation.ids import RING_SIZE, Id, number, point

DIGIT_BITS = 4


class Arc(msgspec.Struct, frozen=True):
    """The points clockwise after `before`, `size` of them; never empty."""

    before: int
    size: int

    @property
    def start(self) -> Id:
        """The point before the first: not part of the arc."""
        return point(self.before)

    @property
    def end(self) -> Id:
        """The last point; equal to `start` if the arc is the whole ring."""
        return point(self.before + self.size)

    def __contains__(self, place: bytes) -> bool:
        return self.reaches(number(place))

    def reaches(self, place: int) -> bool:
        """Is a place, as a number, on the arc?"""
        return (place - self.before - 1) % RING_SIZE < self.size

    def shared_with(self, other: Arc) -> list[Arc]:
        """Return the points in both: none, one or two arcs, clockwise from our start."""
        offset = (other.before - self.before) % RING_SIZE
        pieces = [(offset, min(self.size, offset + other.size))]
        beyond = offset + other.size - RING_SIZE
        if beyond > 0:
            pieces.insert(0, (0, min(self.size, beyond)))
        return [Arc((self.before + a) % RING_SIZE, b - a) for a, b in pieces if a < b]

    def meets(self, other: Arc) -> bool:
        """Is any point in both?"""
        offset = (other.before - self.before) % RING_SIZE
        return offset < self.size or offset + other.size > RING_SIZE

    def without(self, other: Arc) -> list[Arc]:
        """Return our points that are not in the other."""
        if other.size == RING_SIZE:
            return []
        rest = Arc((other.before + other.size) % RING_SIZE, RING_SIZE - other.size)
        return self.shared_with(rest)

    def parts(self) -> list[Arc]:
        """Cut the arc between points with as many trailing zero digits as possible: 2 to 16 parts.

        Everybody cuts alike, parts get shorter by a digit each time, and the cuts are those of
        the vault's fingerprints. An arc of one point is its own only part.
        """
        first, last = self.before + 1, self.before + self.size
        step = RING_SIZE
        while step > 1 and last // step == first // step:
            step >>= DIGIT_BITS
        cuts = range((first // step + 1) * step, last + 1, step)
        starts = [first, *cuts]
        ends = [*(cut - 1 for cut in cuts), last]
        return [
            Arc((start - 1) % RING_SIZE, end - start + 1)
            for start, end in zip(starts, ends, strict=True)
        ]


WHOLE_RING = Arc(0, RING_SIZE)


def arc_between(start: bytes, end: bytes) -> Arc:
    """Return the arc (start, end]; the whole ring if they are equal."""
    before = number(start)
    return Arc(before, (number(end) - before - 1) % RING_SIZE + 1)


def replica_arc(node_id: bytes, ring: Sequence[bytes], k: int) -> Arc:
    """Return the keys to which a node is among the k closest of `ring` (sorted, it included).

    Two nodes equally far from a key: the smaller id is the closer one (`ids.closeness`).
    """
    if len(ring) <= k:
        return WHOLE_RING
    at = ring.index(node_id)
    return _arc_between_nodes(ring[(at - k) % len(ring)], node_id, ring[(at + k) % len(ring)])


def known_arc(node_id: bytes, span: Sequence[bytes], k: int) -> Arc:
    """Return the keys to which a node is among the k closest whatever lies outside of `span`.

    `span` is a part of the ring, clockwise from its first node to its last, with every node in
    between. A node near its ends keeps more than can be told from here.
    """
    at = span.index(node_id)
    return _arc_between_nodes(span[max(at - k, 0)], node_id, span[min(at + k, len(span) - 1)])


def _arc_between_nodes(before: bytes, node_id: bytes, after: bytes) -> Arc:
    """Return the keys nearer to a node than to either of the others."""
    left = _reach((number(node_id) - number(before)) % RING_SIZE, wins_tie=node_id < before)
    right = _reach((number(after) - number(node_id)) % RING_SIZE, wins_tie=node_id < after)
    return Arc((number(node_id) - left - 1) % RING_SIZE, left + 1 + right)


def _reach(distance: int, *, wins_tie: bool) -> int:
    """Return how far a node's keys reach towards another node at that distance."""
    return distance // 2 if wins_tie or distance == 0 else (distance - 1) // 2
