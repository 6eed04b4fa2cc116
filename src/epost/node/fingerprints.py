"""Fingerprints of what a vault holds for the ring, by ranges, kept up to date with every write.

Two replicas find what they hold differently by comparing fingerprints of ever smaller ranges
(range-based set reconciliation, Meyer 2023). A fingerprint is the sum of one long hash per block,
so a write changes it in O(log n) and a question is answered in O(log n) whatever the store holds.
The sum is modulo 2^2048: finding sets of blocks with equal sums (Wagner's attack) costs 2^90.

The tree is cut by the digits of places like a routing table. It holds no rows: a leaf stands for
some dozens, which are read again from the index when a question cuts through it or when it splits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator

from epost.foundation.ids import ID_BYTES, Handle, Id, number, point
from epost.foundation.ports import HELD, Fingerprint, VaultEntry
from epost.node.vault_rows import Position, position

MARK_BYTES = 8
"""Of a body hash: as much as other replicas are told of it."""
LEAF_ROWS_MAX = 64
ANSWERS_KEPT_MAX = 64
"""The same few ranges are asked for every few seconds, mostly of a vault that has not changed."""

_DIGIT_BITS = 4
_FANOUT = 1 << _DIGIT_BITS
_DIGITS = 8 * ID_BYTES // _DIGIT_BITS
_SUM_BYTES = 256
_MASK = (1 << 8 * _SUM_BYTES) - 1
_LAST = (1 << 8 * ID_BYTES) - 1

Rows = Callable[[Id, Id, Handle | None, int], Iterable[VaultEntry]]
"""Returns rows of the index on a clockwise arc behind a block, as the port's `entries_between`."""


def term(entry: VaultEntry) -> int:
    """Return what one block adds to the sums of the ranges that it is in."""
    hasher = hashlib.shake_256(entry.handle.kind.to_bytes(1, "big") + entry.handle.digest)
    hasher.update(entry.version.to_bytes(8, "big") + entry.body_hash[:MARK_BYTES])
    return int.from_bytes(hasher.digest(_SUM_BYTES), "big")


def fingerprint_of(entries: Iterable[VaultEntry]) -> Fingerprint:
    """Return the fingerprint of some blocks, in any order."""
    count, total = _summed(entries)
    return _fingerprint(count, total)


class _Branch:
    """The blocks whose places begin with some digits: how many, their sum, and its children."""

    __slots__ = ("children", "count", "total")

    def __init__(self) -> None:
        self.count = 0
        self.total = 0
        self.children: list[_Branch] | None = None


class Fingerprints:
    """The tree over one index; `count_more` builds it along the ring, in slices."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._root = _Branch()
        self._counted: Position | None = (b"", 0, b"")
        """What lies up to here is in the tree; None: everything."""
        self._last: Handle | None = None
        self._answers: dict[tuple[Id, Id], Fingerprint] = {}
        """Of ranges that were asked for since the last change."""

    @property
    def is_whole(self) -> bool:
        """Has everything been counted?"""
        return self._counted is None

    def count_more(self, limit: int) -> None:
        """Count so many rows more of what was there before the tree."""
        if self._counted is None:
            return
        ring = point(_LAST)
        entries = list(self._rows(ring, ring, self._last, limit))
        for entry in entries:
            self._counted, self._last = position(entry.handle), entry.handle
            self._add(entry, 1)
        if len(entries) < limit:
            self._counted = None

    def replace(self, old: VaultEntry | None, new: VaultEntry | None) -> None:
        """A row of the index was replaced: to be told after the index has the new one."""
        entry = new or old
        if entry is None or not self._is_counted(entry) or _are_alike(old, new):
            return
        if old is not None:
            self._add(old, -1)
        if new is not None:
            self._add(new, 1)

    def between(self, start: Id, end: Id) -> Fingerprint | None:
        """Return the fingerprint of the clockwise arc (start, end]; None while still counting."""
        if not self.is_whole:
            return None
        if (known := self._answers.get((start, end))) is not None:
            return known
        if len(self._answers) >= ANSWERS_KEPT_MAX:
            self._answers.clear()
        answer = self._answers[start, end] = self._sum_up(start, end)
        return answer

    def _sum_up(self, start: Id, end: Id) -> Fingerprint:
        if start == end:
            return _fingerprint(self._root.count, self._root.total)
        first, last = number(start) + 1, number(end)
        ranges = [(first, last)] if number(start) < last else [(first, _LAST), (0, last)]
        count, total = 0, 0
        for lowest, highest in ranges:
            for part_count, part_total in self._parts(self._root, 0, 0, lowest, highest):
                count += part_count
                total += part_total
        return _fingerprint(count, total & _MASK)

    def _is_counted(self, entry: VaultEntry) -> bool:
        return self._counted is None or position(entry.handle) <= self._counted

    def _add(self, entry: VaultEntry, sign: int) -> None:
        if not entry.roles & HELD:
            return
        self._answers.clear()
        place, change = number(entry.handle.place), sign * term(entry)
        branch, depth = self._root, 0
        while True:
            branch.count += sign
            branch.total = (branch.total + change) & _MASK
            if branch.children is None:
                if branch.count > LEAF_ROWS_MAX and depth < _DIGITS:
                    self._split(branch, place, depth)
                return
            if branch.count <= LEAF_ROWS_MAX // 2:
                branch.children = None
                return
            depth += 1
            branch = branch.children[_digit(place, depth)]

    def _split(self, branch: _Branch, place: int, depth: int) -> None:
        size = 1 << _DIGIT_BITS * (_DIGITS - depth)
        first = place - place % size
        branch.children = [_Branch() for _ in range(_FANOUT)]
        for entry in self._held(first, first + size - 1):
            child = branch.children[_digit(number(entry.handle.place), depth + 1)]
            child.count += 1
            child.total = (child.total + term(entry)) & _MASK

    def _parts(
        self, branch: _Branch, first: int, depth: int, lowest: int, highest: int
    ) -> Iterator[tuple[int, int]]:
        """Yield counts and sums that make up lowest..highest of the branch that begins at first."""
        last = first + (1 << _DIGIT_BITS * (_DIGITS - depth)) - 1
        if not branch.count or last < lowest or first > highest:
            return
        if lowest <= first and last <= highest:
            yield branch.count, branch.total
        elif branch.children is None:
            yield _summed(self._held(max(first, lowest), min(last, highest)))
        else:
            step = (last - first + 1) // _FANOUT
            for digit, child in enumerate(branch.children):
                yield from self._parts(child, first + digit * step, depth + 1, lowest, highest)

    def _held(self, first: int, last: int) -> Iterator[VaultEntry]:
        """Yield the counted rows of the places first..last.

        Behind the last that is counted nothing is read: the first leaf that splits while the tree
        is built stands for the whole ring.
        """
        start, end, after = point(first - 1), point(last), None
        while True:
            entries = list(self._rows(start, end, after, LEAF_ROWS_MAX))
            for entry in entries:
                if not self._is_counted(entry):
                    return
                if entry.roles & HELD:
                    yield entry
            if len(entries) < LEAF_ROWS_MAX:
                return
            after = entries[-1].handle


def _are_alike(old: VaultEntry | None, new: VaultEntry | None) -> bool:
    """Do two rows of one block count the same? Most changes of roles are none here."""
    if old is None or new is None:
        return False
    was_held, is_held = bool(old.roles & HELD), bool(new.roles & HELD)
    same = old.version == new.version and old.body_hash == new.body_hash
    return was_held == is_held and (same or not is_held)


def _digit(place: int, depth: int) -> int:
    """Return the digit of a place that chooses the child at a depth, from 1."""
    return place >> _DIGIT_BITS * (_DIGITS - depth) & _FANOUT - 1


def _summed(entries: Iterable[VaultEntry]) -> tuple[int, int]:
    count, total = 0, 0
    for entry in entries:
        count += 1
        total += term(entry)
    return count, total & _MASK


def _fingerprint(count: int, total: int) -> Fingerprint:
    counted = count.to_bytes(8, "big") + total.to_bytes(_SUM_BYTES, "big")
    return Fingerprint(count, hashlib.sha256(counted).digest())
