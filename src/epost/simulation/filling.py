"""Filling a ring of small disks until they are full (PAST, SOSP 2001, section 5.1), lean.

No messages and no cryptography: nodes are their ids and the room that they have left. Whether a
node takes a replica, who keeps it instead and how often a block is tried elsewhere are the
product's own decisions (`past.space.placement`).

The files stand in for the web trace of the paper, which is not to be had: a lognormal body and a
Pareto tail with its count, mean (10,517 octets), median (1,312) and maximum (138 MB). What is left
free, the sigma of the body, was chosen so that the ring ends about as full as the paper's (98.2 %;
ours 98.9 %), and it matters: with 1.6 in place of 1.585 the ring is full before the trace ends, and
99.0 to 99.5 % succeed; with 1.5 it ends 93 % full, and 99.9 % succeed. Files and disks are the
quantiles of their distributions in random order: the end depends on the few largest files, and
every trial has them.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random
from statistics import NormalDist

from epost.past.space.placement import DIVERTED_PART, PLACES_TRIED_MAX, PRIMARY_PART, fits, roomiest

ID_BITS = 160
RING = 1 << ID_BITS
MEGABYTE = 1_000_000
NODES, FILES = 2250, 1_863_055
"""Of the paper; a smaller ring is offered fewer files in proportion."""

CAPACITY = NormalDist(27.2 * MEGABYTE, 10.8 * MEGABYTE)
CAPACITY_MIN, CAPACITY_MAX = 2 * MEGABYTE, 51 * MEGABYTE
"""Distribution d1 of the paper: a truncated normal, of 61,009 MB in all."""

SMALL_LOG = NormalDist(math.log(1281.0), 1.585)
LARGE_PART, LARGE_MIN, LARGE_ALPHA = 0.012, 60_000.0, 1.0162
SIZE_MAX = 138 * MEGABYTE


@dataclass(frozen=True, slots=True)
class Rules:
    """Which of the mechanisms are at work."""

    primary_part: float = PRIMARY_PART
    diverted_part: float = DIVERTED_PART
    places_tried: int = PLACES_TRIED_MAX


NO_DIVERSION = Rules(primary_part=1.0, diverted_part=0.0, places_tried=1)
"""What the paper compares with: whatever fits is taken, and a refusal is final."""


@dataclass(slots=True)
class Filling:
    """What came of it."""

    offered: int = 0
    failed: int = 0
    elsewhere: int = 0
    """Blocks that went to another place than their first."""
    replicas: int = 0
    diverted: int = 0
    used_part: float = 0.0
    curve: list[tuple[float, float]] = field(default_factory=list)
    """(part of the disks in use, part of the insertions so far that failed) at every percent."""

    @property
    def success(self) -> float:
        """The part of all insertions that succeeded."""
        return 1.0 - self.failed / self.offered


class Disks:
    """The nodes of a ring in the order of their ids, and the room left on each."""

    def __init__(self, ids: Sequence[int], room: Sequence[int], *, k: int, leaf_set: int) -> None:
        assert all(a < b for a, b in pairwise(ids)), "ids are sorted and differ"
        self.ids = ids
        self.room = list(room)
        self._k = k
        self._half = leaf_set // 2

    def closest(self, place: int) -> list[int]:
        """Return the indexes of the k nodes closest to a place, closest first."""
        ids, count = self.ids, len(self.ids)
        right = bisect_left(ids, place)
        left = right - 1
        chosen: list[int] = []
        for _ in range(min(self._k, count)):
            before = (place - ids[left % count]) % RING
            after = (ids[right % count] - place) % RING
            if before < after or (before == after and ids[left % count] < ids[right % count]):
                chosen.append(left % count)
                left -= 1
            else:
                chosen.append(right % count)
                right += 1
        return chosen

    def others(self, node: int, but: Sequence[int]) -> Iterator[tuple[int, int]]:
        """Yield the members of a node's leaf set and their room, without some."""
        room, count = self.room, len(self.ids)
        for step in range(1, self._half + 1):
            for other in ((node - step) % count, (node + step) % count):
                if other not in but:
                    yield other, room[other]

    def place(self, place: int, size: int, rules: Rules) -> list[tuple[int, int]] | None:
        """Return (replica, holder) for each of the k and take the room; None if one has none."""
        replicas = self.closest(place)
        placed: list[tuple[int, int]] = []
        taken = list(replicas)
        for node in replicas:
            holder: int | None = node
            if not fits(size, self.room[node], rules.primary_part):
                holder = roomiest(self.others(node, taken), size, rules.diverted_part)
            if holder is None:
                self._give_back(placed, size)
                return None
            self.room[holder] -= size
            taken.append(holder)
            placed.append((node, holder))
        return placed

    def _give_back(self, placed: Sequence[tuple[int, int]], size: int) -> None:
        for _, holder in placed:
            self.room[holder] += size


def fill(nodes: int, *, k: int, leaf_set: int, rules: Rules, random: Random) -> Filling:
    """Offer the files of the trace, as many as a ring of this size is due, one after the other."""
    ids = sorted({random.getrandbits(ID_BITS) for _ in range(nodes)})
    room = capacities(len(ids))
    sizes = file_sizes(FILES * len(ids) // NODES)
    random.shuffle(room)
    random.shuffle(sizes)
    disks = Disks(ids, room, k=k, leaf_set=leaf_set)
    filling, used, capacity = Filling(), 0, sum(room)
    for size in sizes:
        placed = _insert(disks, size, rules, random, filling)
        used += len(placed) * size
        if used * 100 >= len(filling.curve) * capacity:
            filling.curve.append((used / capacity, filling.failed / filling.offered))
    filling.used_part = used / capacity
    return filling


def capacities(count: int) -> list[int]:
    """Return the sizes of the disks, smallest first."""
    low, high = CAPACITY.cdf(CAPACITY_MIN), CAPACITY.cdf(CAPACITY_MAX)
    parts = (low + (high - low) * (n + 0.5) / count for n in range(count))
    return [int(CAPACITY.inv_cdf(part)) for part in parts]


def file_sizes(count: int) -> list[int]:
    """Return the sizes of the files: the body, then the tail."""
    large = round(count * LARGE_PART)
    small = count - large
    body = [max(1, int(math.exp(SMALL_LOG.inv_cdf((n + 0.5) / small)))) for n in range(small)]
    tail = [LARGE_MIN * ((n + 0.5) / large) ** (-1 / LARGE_ALPHA) for n in range(large)]
    return body + [min(SIZE_MAX, int(size)) for size in tail]


def _insert(
    disks: Disks, size: int, rules: Rules, random: Random, filling: Filling
) -> list[tuple[int, int]]:
    filling.offered += 1
    for attempt in range(rules.places_tried):
        placed = disks.place(random.getrandbits(ID_BITS), size, rules)
        if placed is not None:
            filling.elsewhere += attempt > 0
            filling.replicas += len(placed)
            filling.diverted += sum(node != holder for node, holder in placed)
            return placed
    filling.failed += 1
    return []
