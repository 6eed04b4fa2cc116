"""What proximity neighbour selection gains: delay stretch, and the nearest of k replicas.

Tables hold for each slot the nearest of all candidates (or a random one, for contrast); the routes
are the product's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random

from epost.foundation.ids import RING_SIZE, number, point
from epost.pastry.routing import ID_BITS, Neighbourhood, distance
from epost.simulation.overlay.oracle_ring import OracleRing, at_random, nearest_in
from epost.simulation.overlay.statistics import Mean, Ratio
from epost.simulation.overlay.topology import Sphere, Topology


@dataclass(slots=True)
class Delays:
    """Delays of routes: their stretch over the direct way, and the share of each hop."""

    stretch: Ratio = field(default_factory=Ratio)
    per_hop: dict[int, Mean] = field(default_factory=dict)

    def shape(self) -> str:
        """Return the mean of the first hop, the second, ..., in milliseconds."""
        return ", ".join(f"{hop.value * 1000:.1f}" for _, hop in sorted(self.per_hop.items()))


def stretch(
    ring: OracleRing, topology: Topology, routes: int, random: Random, delays: Delays
) -> None:
    """Add how long routes take, and how long the direct ways."""
    for _ in range(routes):
        way = ring.route(random.randrange(len(ring)), random.getrandbits(ID_BITS))
        if len(way) < 2:
            continue
        hops = [topology.delay(a, b) for a, b in pairwise(way)]
        delays.stretch.add(sum(hops), topology.delay(way[0], way[-1]))
        for rank, seconds in enumerate(hops):
            delays.per_hop.setdefault(rank, Mean()).add(seconds)


def nearest_replica_ranks(
    ring: OracleRing, topology: Topology, trials: int, random: Random, *, k: int = 5
) -> Counter[int]:
    """Return how often look-ups first reached the nearest replica (0), the second nearest, ...

    Nearness is to the node that asks.
    """
    ranks: Counter[int] = Counter()
    for _ in range(trials):
        source, key = random.randrange(len(ring)), random.getrandbits(ID_BITS)
        replicas = ring.closest(key, k)
        by_delay = sorted(replicas, key=lambda node: topology.delay(source, node))
        ranks[by_delay.index(_first_replica(ring, topology, source, key, k))] += 1
    return ranks


@dataclass(slots=True)
class Nearness:
    """What several rings on spheres showed; `ranks` counts which replica was reached first."""

    delays: Delays = field(default_factory=Delays)
    ranks: Counter[int] = field(default_factory=Counter)

    def measure(
        self, size: int, trials: int, seed: int, *, leaf_set_size: int, selection: bool
    ) -> None:
        """Add a ring; with selection each slot holds the nearest node that fits it."""
        random = Random(seed)  # noqa: S311 - a simulation
        sphere = Sphere(size, random)
        choice = nearest_in(sphere) if selection else at_random
        ring = OracleRing(size, random, leaf_set_size=leaf_set_size, choice=choice)
        stretch(ring, sphere, trials, random, self.delays)
        if selection:
            self.ranks.update(nearest_replica_ranks(ring, sphere, trials, random))


def _first_replica(ring: OracleRing, topology: Topology, source: int, key: int, k: int) -> int:
    """Follow a look-up to the first of the k replicas.

    Each node uses what it knows itself: if its leaf set covers all k, the nearest of them comes
    next; else the ordinary next hop or a leaf that is likely to cover them, whichever is nearer.
    """
    here, replicas = source, ring.closest(key, k)
    while here not in replicas:
        leaf_set = ring.state(here).leaf_set
        if leaf_set.covers(point(key), k):
            known = leaf_set.closest(point(key), k, ring.nodes[here])
            return topology.nearest(here, [ring.index(number(n.node_id)) for n in known])
        near_key = [ring.index(leaf) for leaf in _likely_to_cover(leaf_set.neighbourhood, key, k)]
        here = topology.nearest(here, [ring.hop(here, key), *near_key])
    return here


def _likely_to_cover(here: Neighbourhood, key: int, k: int) -> Sequence[int]:
    """Return the leaves closer to a key than we are whose leaf sets, if as wide as ours, cover it.

    The look-up gets closer with every hop, so it ends.
    """
    if here.span is None:
        return ()
    leftmost, rightmost = here.span
    gap = ((rightmost - leftmost) % RING_SIZE) / len(here.leaves)
    reach = min(distance(here.own, key), gap * (len(here.leaves) - k) / 2)
    return [leaf for leaf in here.leaves if distance(leaf, key) < reach]
