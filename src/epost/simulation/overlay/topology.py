"""Where nodes are and how long messages take between them.

Nodes are numbered from 0. Delays are symmetric, in seconds, and say nothing about node ids: Pastry
assumes that neighbours on the ring are scattered over the world (Middleware 2001, 2.5).
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from math import acos, cos, hypot, pi, sin, sqrt
from random import Random
from typing import Protocol

DIAMETER_SECONDS = 0.2
"""The delay between the two most distant places of the sphere and the plane."""


class Topology(Protocol):
    """A map of delays."""

    def delay(self, one: int, other: int) -> float:
        """Return how long a message takes from one node to another, in seconds."""
        ...

    def nearest(self, node: int, candidates: Sequence[int]) -> int:
        """Return the candidate (at least one) with the smallest delay to a node."""
        ...


class Sphere:
    """Nodes uniform on a sphere, delay by great circle (the model of the proximity report)."""

    def __init__(self, size: int, random: Random) -> None:
        self._x, self._y, self._z = array("d"), array("d"), array("d")
        for _ in range(size):
            height, turn = random.uniform(-1, 1), random.uniform(0, 2 * pi)
            radius = sqrt(1 - height * height)
            self._x.append(radius * cos(turn))
            self._y.append(radius * sin(turn))
            self._z.append(height)

    def delay(self, one: int, other: int) -> float:
        """Return the angle between two nodes, pi being DIAMETER_SECONDS."""
        cosine = (
            self._x[one] * self._x[other]
            + self._y[one] * self._y[other]
            + self._z[one] * self._z[other]
        )
        return acos(max(-1.0, min(1.0, cosine))) / pi * DIAMETER_SECONDS

    def nearest(self, node: int, candidates: Sequence[int]) -> int:
        """Return the nearest candidate: the one with the greatest cosine."""
        xs, ys, zs = self._x, self._y, self._z
        x, y, z = xs[node], ys[node], zs[node]
        cosines = [x * xs[c] + y * ys[c] + z * zs[c] for c in candidates]
        return candidates[cosines.index(max(cosines))]


class Plane:
    """Nodes uniform on a square, delay by straight line (the model of Middleware 2001)."""

    def __init__(self, size: int, random: Random) -> None:
        self._places = [(random.random(), random.random()) for _ in range(size)]

    def delay(self, one: int, other: int) -> float:
        """Return the distance, the diagonal being DIAMETER_SECONDS."""
        (ax, ay), (bx, by) = self._places[one], self._places[other]
        return hypot(ax - bx, ay - by) / sqrt(2) * DIAMETER_SECONDS

    def nearest(self, node: int, candidates: Sequence[int]) -> int:
        """Return the nearest candidate."""
        x, y = self._places[node]
        return min(candidates, key=lambda c: hypot(self._places[c][0] - x, self._places[c][1] - y))


class TransitStub:
    """Routers of an internet in two levels, nodes on LANs at stub routers (after GATech).

    `transit_domains` x `transit_routers` routers of the backbone, each with `stubs` networks of
    `stub_routers` routers: 10, 5, 10, 10 make 5,050 as in the papers. Nodes hang on random stub
    routers by links of one millisecond.
    """

    LAN_SECONDS = 0.001

    def __init__(
        self, size: int, random: Random, *, transit_domains: int = 10, stubs: int = 10
    ) -> None:
        self._random = random
        self._links: list[list[tuple[int, float]]] = []
        self._stub_routers: list[int] = []
        backbone = [self._domain(5, 0.010, 0.030) for _ in range(transit_domains)]
        for rank, domain in enumerate(backbone):
            for other in {(rank + 1) % transit_domains, random.randrange(transit_domains)} - {rank}:
                self._link(random.choice(domain), random.choice(backbone[other]), 0.030, 0.060)
            for router in domain:
                self._hang_stubs(router, stubs)
        self._homes = [random.choice(self._stub_routers) for _ in range(size)]
        self._distances: dict[int, array[float]] = {}

    def delay(self, one: int, other: int) -> float:
        """Return the shortest way over the routers and both LAN links."""
        if one == other:
            return 0.0
        return self._from(self._homes[one])[self._homes[other]] + 2 * self.LAN_SECONDS

    def nearest(self, node: int, candidates: Sequence[int]) -> int:
        """Return the nearest candidate."""
        distances, homes = self._from(self._homes[node]), self._homes
        return min(candidates, key=lambda candidate: distances[homes[candidate]])

    def _domain(self, size: int, low: float, high: float) -> list[int]:
        """Make routers in a ring with a chord for every other one: connected, not a tree."""
        routers = list(range(len(self._links), len(self._links) + size))
        self._links.extend([] for _ in routers)
        for rank, router in enumerate(routers):
            self._link(router, routers[(rank + 1) % size], low, high)
            if rank % 2:
                self._link(router, routers[(rank + size // 2) % size], low, high)
        return routers

    def _hang_stubs(self, router: int, stubs: int) -> None:
        for _ in range(stubs):
            stub = self._domain(10, 0.001, 0.004)
            self._stub_routers.extend(stub)
            self._link(router, self._random.choice(stub), 0.004, 0.010)

    def _link(self, one: int, other: int, low: float, high: float) -> None:
        seconds = self._random.uniform(low, high)
        self._links[one].append((other, seconds))
        self._links[other].append((one, seconds))

    def _from(self, router: int) -> array[float]:
        """Return the distances from a router to all others (Dijkstra, kept)."""
        known = self._distances.get(router)
        if known is None:
            known = self._distances[router] = self._dijkstra(router)
        return known

    def _dijkstra(self, start: int) -> array[float]:
        distances = array("d", [float("inf")]) * len(self._links)
        distances[start] = 0.0
        queue = [(0.0, start)]
        while queue:
            so_far, router = heappop(queue)
            if so_far > distances[router]:
                continue
            for other, seconds in self._links[router]:
                if so_far + seconds < distances[other]:
                    distances[other] = so_far + seconds
                    heappush(queue, (so_far + seconds, other))
        return distances


TOPOLOGIES: dict[str, Callable[[int, Random], Topology]] = {
    "sphere": Sphere,
    "plane": Plane,
    "transit-stub": TransitStub,
}
