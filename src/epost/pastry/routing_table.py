"""The routing table: for every prefix of our id, one node for each next digit (Pastry 2.2).

Which node fills a slot is the table's preference: the nearest one in time makes routes short
(proximity neighbour selection), the one closest to a point makes a table that nobody can poison,
since only one node fits (the constrained table of Castro et al. 2002).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence, Set

from epost.foundation.ids import NodeHandle, NodeId, number
from epost.pastry.routing import digit_at, distance, shared_digits, slot_point

Preference = Callable[[int, int], bool]
"""Is the first node to be kept in place of the second, which fills the slot now?"""


def first_come(_candidate: int, _entry: int) -> bool:
    """Keep what is there."""
    return False


def closest_to_slot(owner: NodeId, bits_per_digit: int) -> Preference:
    """Prefer the node closest to the point of its slot: the constrained table's rule."""
    own = number(owner)

    def is_closer(candidate: int, entry: int) -> bool:
        row = shared_digits(own, candidate, bits_per_digit)
        digit = digit_at(candidate, row, bits_per_digit)
        point = slot_point(own, row, digit, bits_per_digit)
        return (distance(point, candidate), candidate) < (distance(point, entry), entry)

    return is_closer


class RoutingTable:
    """Rows by the number of digits shared with the owner, made when they get an entry.

    An entry leaves when it fails, or for a node that is preferred. Whoever enters must have been
    heard directly.
    """

    __slots__ = ("_bits", "_handles", "_own", "_prefers", "_rows")

    def __init__(
        self, owner: NodeId, bits_per_digit: int, prefers: Preference = first_come
    ) -> None:
        self._own = number(owner)
        self._prefers = prefers
        self._bits = bits_per_digit
        self._rows: dict[int, dict[int, int]] = {}
        self._handles: dict[bytes, NodeHandle] = {}

    def __len__(self) -> int:
        return len(self._handles)

    def __contains__(self, node_id: bytes) -> bool:
        return node_id in self._handles

    def __iter__(self) -> Iterator[NodeHandle]:
        """All entries, by row and digit."""
        for row in self.rows():
            yield from self.row(row)

    def rows(self) -> Sequence[int]:
        """Return the numbers of the rows that have entries, ascending."""
        return sorted(self._rows)

    def row(self, row: int) -> Sequence[NodeHandle]:
        """Return the entries of one row by digit."""
        entries = self._rows.get(row, {})
        return [self._handle(entries[digit]) for digit in sorted(entries)]

    def ids(self) -> Set[bytes]:
        """Return the ids of all entries."""
        return self._handles.keys()

    def get(self, node_id: bytes) -> NodeHandle | None:
        """Return the handle of an entry, None of others."""
        return self._handles.get(node_id)

    def wants(self, node_id: bytes) -> bool:
        """Tell whether the slot of a node is empty, or held by one that is less preferred."""
        value = number(node_id)
        if value == self._own or node_id in self._handles:
            return False
        holder = self.entry(*self._slot(value))
        return holder is None or self._prefers(value, holder)

    def rival_of(self, node_id: bytes) -> NodeHandle | None:
        """Return the other node that holds the slot of a node, None if there is none."""
        value = number(node_id)
        holder = None if value == self._own else self.entry(*self._slot(value))
        return None if holder is None or holder == value else self._handle(holder)

    def offer(self, node: NodeHandle) -> bool:
        """Enter a node that is wanted, or renew its addresses; True if it is new."""
        if node.node_id in self._handles:
            self._handles[node.node_id] = node
            return False
        if not self.wants(node.node_id):
            return False
        value = number(node.node_id)
        row, digit = self._slot(value)
        holder = self.entry(row, digit)
        if holder is not None:
            del self._handles[holder.to_bytes(20, "big")]
        self._rows.setdefault(row, {})[digit] = value
        self._handles[node.node_id] = node
        return True

    def remove(self, node_id: bytes) -> int | None:
        """Take an entry out; return the row that now has a hole, None if it was no entry."""
        if self._handles.pop(node_id, None) is None:
            return None
        row, digit = self._slot(number(node_id))
        del self._rows[row][digit]
        if not self._rows[row]:
            del self._rows[row]
        return row

    def row_of(self, node_id: bytes) -> int:
        """Return the row where a node belongs: how many digits it shares with the owner."""
        return self._slot(number(node_id))[0]

    def entry(self, row: int, digit: int) -> int | None:
        """Return one entry as a number (routing.Table)."""
        return self._rows.get(row, {}).get(digit)

    def entries_from(self, row: int) -> Iterable[int]:
        """Return the entries of a row and all deeper ones as numbers (routing.Table)."""
        return (e for r, entries in self._rows.items() if r >= row for e in entries.values())

    def _slot(self, value: int) -> tuple[int, int]:
        row = shared_digits(self._own, value, self._bits)
        return row, digit_at(value, row, self._bits)

    def _handle(self, value: int) -> NodeHandle:
        return self._handles[value.to_bytes(20, "big")]
