"""How many hops a route takes: static rings of any size, and rings that the protocol built."""

from __future__ import annotations

from random import Random

from epost.foundation.wire import Application
from epost.pastry.config import PastryConfig
from epost.pastry.observed import Delivered, HopFailed
from epost.pastry.routing import ID_BITS
from epost.simulation.overlay.lookups import Lookups
from epost.simulation.overlay.oracle_ring import OracleRing
from epost.simulation.overlay.protocol_ring import ProtocolRing
from epost.simulation.overlay.statistics import Estimate, Mean
from epost.simulation.overlay.topology import Sphere

SETTLE_SECONDS = 60.0
PATIENCE_SECONDS = 15.0


class HopCounter:
    """Counts the hops of delivered look-ups, without those to nodes that were dead (Observer)."""

    def __init__(self) -> None:
        self.hops = Mean()
        self.failed = 0

    def record(self, event: object) -> None:
        """Take note of deliveries and of hops that were not acknowledged."""
        if isinstance(event, Delivered) and event.application is Application.PAST:
            self.hops.add(event.hops)
        elif isinstance(event, HopFailed):
            self.failed += 1

    def travelled(self) -> Estimate:
        """Return the mean over nodes that took the message over."""
        whole = self.hops.estimate()
        wasted = self.failed / self.hops.count
        return Estimate(whole.value - wasted, whole.low - wasted, whole.high - wasted)

    def reset(self) -> None:
        """Begin anew."""
        self.hops, self.failed = Mean(), 0


def static_hops(size: int, routes: int, seed: int, *, leaf_set_size: int = 16) -> Mean:
    """Return the hops of routes from random nodes to random keys; each must end at its root."""
    random = Random(seed)  # noqa: S311 - a simulation
    ring = OracleRing(size, random, leaf_set_size=leaf_set_size)
    hops = Mean()
    for _ in range(routes):
        key = random.getrandbits(ID_BITS)
        way = ring.route(random.randrange(size), key)
        assert way[-1] == ring.closest(key, 1)[0], "delivered at a wrong node"
        hops.add(len(way) - 1)
    return hops


def protocol_ring(
    size: int,
    seed: int,
    *,
    machines: int = 0,
    joins_per_second: float = 50.0,
    config: PastryConfig | None = None,
) -> tuple[ProtocolRing, Lookups, HopCounter]:
    """Return a ring that grew by joins on a sphere, has settled, and can be asked look-ups.

    `machines` is how many there will ever be, if more than `size`.
    """
    random = Random(seed)  # noqa: S311 - a simulation
    counter, lookups = HopCounter(), Lookups()
    sphere = Sphere(max(size, machines), random)
    ring = ProtocolRing(sphere, random, counter, config=config, equip=lookups.equip)
    ring.grow(size, joins_per_second)
    ring.run(SETTLE_SECONDS)
    return ring, lookups, counter


def measure_hops(ring: ProtocolRing, lookups: Lookups, counter: HopCounter, count: int) -> Estimate:
    """Return the hops of look-ups at random members, asked within half a second."""
    counter.reset()
    for _ in range(count):
        ring.at(ring.now + ring.random.random() / 2, _ask_anybody, ring, lookups)
    ring.run(PATIENCE_SECONDS)
    return counter.travelled()


def _ask_anybody(ring: ProtocolRing, lookups: Lookups) -> None:
    lookups.ask(ring.a_member())


def leaf_sets_wrong(ring: ProtocolRing) -> int:
    """Return how many members have another leaf set than the nodes next to them on the ring."""
    ids, half = ring.ready_ids, PastryConfig().leaf_set_size // 2
    wrong = 0
    for rank, value in enumerate(ids):
        near = {ids[(rank + step) % len(ids)] for step in range(-half, half + 1)} - {value}
        known = ring.host(value.to_bytes(20, "big")).node.neighbours()
        wrong += {int.from_bytes(node.node_id, "big") for node in known} != near
    return wrong
