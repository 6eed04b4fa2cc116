"""Where a message goes next: Pastry's rule as a pure function on numbers (Middleware 2001, 2.3).

Nothing here knows about handles, liveness or time, so that the same decision serves the machine
and static simulations of 100,000 nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from epost.foundation.ids import ID_BYTES, RING_SIZE

ID_BITS = 8 * ID_BYTES
HALF_RING = RING_SIZE // 2


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """A node and its leaf set, clockwise; `span` is (leftmost, rightmost), None = whole ring."""

    own: int
    leaves: Sequence[int]
    span: tuple[int, int] | None

    def contains(self, key: int) -> bool:
        """Tell whether the leaf set alone decides who is the root of a key."""
        if self.span is None:
            return True
        leftmost, rightmost = self.span
        return (key - leftmost) % RING_SIZE <= (rightmost - leftmost) % RING_SIZE


class Table(Protocol):
    """A routing table as numbers."""

    def entry(self, row: int, digit: int) -> int | None:
        """Return the node that shares `row` digits and has `digit` next."""
        ...

    def entries_from(self, row: int) -> Iterable[int]:
        """Return all nodes that share at least `row` digits."""
        ...


def anybody(_node: int) -> bool:
    """Use every node."""
    return True


def next_hop(
    here: Neighbourhood,
    key: int,
    table: Table,
    bits_per_digit: int = 4,
    usable: Callable[[int], bool] = anybody,
) -> int:
    """Return the node that a message for `key` goes to, `here.own` if this is the root.

    Within the leaf set's span that is the root itself, usable or not: only the death of the root
    makes another node the root. Else a usable node that shares a longer prefix with the key, else
    one that shares no shorter prefix and is closer; if all of those are unusable, the best of
    them, since staying would deliver at a wrong node.
    """
    if here.contains(key):
        return closest(key, here.own, here.leaves)
    row = shared_digits(here.own, key, bits_per_digit)
    entry = table.entry(row, digit_at(key, row, bits_per_digit))
    if entry is not None and usable(entry):
        return entry
    # Whatever lies between us and the key shares our common prefix, so the leaf set always has
    # such nodes while the key is beyond its end.
    known = (*here.leaves, *table.entries_from(row))
    nearer = [n for n in known if shared_digits(n, key, bits_per_digit) >= row]
    best = closest(key, here.own, filter(usable, nearer))
    return best if best != here.own else closest(key, here.own, nearer)


def closest(key: int, own: int, nodes: Iterable[int]) -> int:
    """Return which of `own` and `nodes` is numerically closest to a key; ties: the smaller."""
    best, nearest = own, distance(key, own)
    for node in nodes:
        gap = (key - node) % RING_SIZE  # `distance`, without a call for each of many
        away = gap if gap <= HALF_RING else RING_SIZE - gap
        if away < nearest or (away == nearest and node < best):
            best, nearest = node, away
    return best


def shared_digits(a: int, b: int, bits_per_digit: int) -> int:
    """Return how many leading digits two points share."""
    return (ID_BITS - (a ^ b).bit_length()) // bits_per_digit


def digit_at(point: int, position: int, bits_per_digit: int) -> int:
    """Return digit number `position`, 0 being the most significant."""
    shift = ID_BITS - bits_per_digit * (position + 1)
    return (point >> shift) & ((1 << bits_per_digit) - 1)


def slot_point(own: int, row: int, digit: int, bits_per_digit: int) -> int:
    """Return the point of a constrained table's slot: our id with one digit replaced.

    The only node that may stand there is the one closest to it (Castro et al. 2002, 3.2).
    """
    shift = ID_BITS - bits_per_digit * (row + 1)
    mask = ((1 << bits_per_digit) - 1) << shift
    return (own & ~mask) | (digit << shift)


def distance(a: int, b: int) -> int:
    """Return the length of the shorter way around the ring."""
    gap = (a - b) % RING_SIZE
    return min(gap, RING_SIZE - gap)
