"""GreedyDual-Size with cost 1 (Cao and Irani 1997), the replacement policy of PAST's caches.

What was used lately and what is small stays. The worth of an entry is `inflation + 1 / size`; the
least worthy one goes, and the inflation becomes its worth, so that everything else has aged.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import Generic, TypeVar

K = TypeVar("K")

_STALE_MIN = 64
"""Outdated places in the order that are put up with whatever the size of the cache."""


class GreedyDual(Generic[K]):
    """Which entry of a cache goes next; the cache itself is its owner's."""

    def __init__(self) -> None:
        self._inflation = 0.0
        self._uses = 0
        self._entries: dict[K, tuple[int, int]] = {}
        self._order: list[tuple[float, int, K]] = []
        self.octets = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: K) -> bool:
        return key in self._entries

    def add(self, key: K, size: int) -> None:
        """Enter something new, or use it once more at its present size in octets."""
        self.remove(key)
        self._entries[key] = size, self._uses
        self.octets += size
        # Of two of one worth the one used earlier goes; and keys are never compared.
        heappush(self._order, (self._inflation + 1 / max(size, 1), self._uses, key))
        self._uses += 1
        if len(self._order) > 2 * len(self._entries) + _STALE_MIN:
            self._order = [place for place in self._order if self._is_current(place)]
            heapify(self._order)

    def use(self, key: K) -> None:
        """Make an entry worth as much as a new one; unknown keys are ignored."""
        if key in self._entries:
            self.add(key, self._entries[key][0])

    def remove(self, key: K) -> bool:
        """Forget an entry; return whether it was there."""
        entry = self._entries.pop(key, None)
        if entry is None:
            return False
        self.octets -= entry[0]
        return True

    def evict(self) -> K:
        """Remove the least worthy entry and return it; IndexError if there is none."""
        while True:
            place = heappop(self._order)
            if self._is_current(place):
                self._inflation, _, key = place
                self.remove(key)
                return key

    def _is_current(self, place: tuple[float, int, K]) -> bool:
        _, use, key = place
        return self._entries.get(key, (0, -1))[1] == use
