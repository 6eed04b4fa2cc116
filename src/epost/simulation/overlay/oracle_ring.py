"""A ring whose leaf sets and routing tables are filled by global knowledge, for 100,000 nodes.

Only who knows whom comes from the oracle; it goes into the product's LeafSet and RoutingTable, and
routes are the decisions of the product's `next_hop`. A node's state is made when a route first
needs it, so a large ring costs what is used of it. Nodes are numbered in the order of their ids.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from random import Random

from epost.foundation.ids import Address, Id, NodeHandle, NodeId, point
from epost.pastry.leaf_set import LeafSet
from epost.pastry.routing import ID_BITS, distance, next_hop, shared_digits, slot_point
from epost.pastry.routing_table import RoutingTable
from epost.simulation.overlay.topology import Topology

RING = b"overlay experiments!"
ADDRESSES = (Address("127.0.0.1", 1),)
HOPS_MAX = 64


Choice = Callable[["OracleRing", int, int, int, range], int]
"""Which candidate fills a slot: (ring, node, row, digit, candidates) to one of the candidates."""


def at_random(ring: OracleRing, _node: int, _row: int, _digit: int, candidates: range) -> int:
    """Fill a slot with anybody: what joins without regard to proximity make on average."""
    return candidates[int(ring.random.random() * len(candidates))]


def nearest_in(topology: Topology) -> Choice:
    """Fill slots with the nearest in delay: perfect proximity neighbour selection."""

    def nearest(_ring: OracleRing, node: int, _row: int, _digit: int, candidates: range) -> int:
        return topology.nearest(node, candidates)

    return nearest


def constrained(ring: OracleRing, node: int, row: int, digit: int, candidates: range) -> int:
    """Fill a slot with the only node that may stand there (Castro et al. 2002, 3.2)."""
    at_point = slot_point(ring.ids[node], row, digit, ring.bits_per_digit)
    at = bisect_left(ring.ids, at_point, candidates.start, candidates.stop)
    beside = [n for n in (at - 1, at) if n in candidates]
    return min(beside, key=lambda n: (distance(at_point, ring.ids[n]), n))


@dataclass(frozen=True, slots=True)
class State:
    """What one node knows of the others."""

    leaf_set: LeafSet
    table: RoutingTable


class OracleRing:
    """N nodes with random ids; `choice` fills the slots of their routing tables."""

    def __init__(
        self,
        size: int,
        random: Random,
        *,
        leaf_set_size: int = 16,
        bits_per_digit: int = 4,
        choice: Choice = at_random,
    ) -> None:
        self.random = random
        self.bits_per_digit = bits_per_digit
        self.leaf_set_size = leaf_set_size
        self._choice = choice
        self.ids = sorted({random.getrandbits(ID_BITS) for _ in range(size)})
        self.nodes = [NodeHandle(RING, point(value), ADDRESSES) for value in self.ids]
        self._index = {value: index for index, value in enumerate(self.ids)}
        self._bounds: dict[tuple[int, int], Sequence[int]] = {}
        self._states: dict[int, State] = {}

    def __len__(self) -> int:
        return len(self.ids)

    def index(self, value: int) -> int:
        """Return the number of the node with an id."""
        return self._index[value]

    def closest(self, key: int, count: int) -> Sequence[int]:
        """Return the nodes closest to a key, closest first."""
        return [self._index[value] for value in closest_in(self.ids, key, count)]

    def state(self, node: int) -> State:
        """Return a node's state, made now if it was not used before."""
        state = self._states.get(node)
        if state is None:
            owner = NodeId(Id(self.nodes[node].node_id))
            state = State(self._leaf_set(node, owner), self.table(node, self._choice))
            self._states[node] = state
        return state

    def hop(self, node: int, key: int) -> int:
        """Return where the product sends a message on; the node itself if it is the root."""
        state = self.state(node)
        neighbourhood = state.leaf_set.neighbourhood
        return self._index[next_hop(neighbourhood, key, state.table, self.bits_per_digit)]

    def route(self, source: int, key: int) -> Sequence[int]:
        """Return the nodes on the way from a source (included) to where the key is delivered."""
        way = [source]
        while (to := self.hop(way[-1], key)) != way[-1]:
            way.append(to)
            assert len(way) <= HOPS_MAX, "a loop"
        return way

    def table(self, node: int, choice: Choice) -> RoutingTable:
        """Return a routing table for a node, filled by a choice."""
        table = RoutingTable(self.nodes[node].id, self.bits_per_digit)
        for row in range(self._rows(node)):
            bounds = self._split(row, self.ids[node] >> (ID_BITS - self.bits_per_digit * row))
            for digit, (first, end) in enumerate(pairwise(bounds)):
                candidates = range(first, end)
                if candidates and node not in candidates:
                    chosen = choice(self, node, row, digit, candidates)
                    table.offer(self.nodes[chosen])
        return table

    def _leaf_set(self, node: int, owner: NodeId) -> LeafSet:
        leaf_set = LeafSet(owner, self.leaf_set_size)
        half = min(self.leaf_set_size, len(self.ids) - 1) // 2
        for step in (*range(-half, 0), *range(1, half + 1)):
            leaf_set.add(self.nodes[(node + step) % len(self.ids)])
        return leaf_set

    def _rows(self, node: int) -> int:
        """Return how many rows of a node have candidates: the digits shared with somebody, + 1."""
        around = (self.ids[(node + step) % len(self.ids)] for step in (-1, 1))
        return 1 + max(
            shared_digits(self.ids[node], other, self.bits_per_digit) for other in around
        )

    def _split(self, row: int, prefix: int) -> Sequence[int]:
        """Return where the ids that begin with `row` digits divide by their next digit."""
        bounds = self._bounds.get((row, prefix))
        if bounds is None:
            shift = ID_BITS - self.bits_per_digit * (row + 1)
            first = prefix << self.bits_per_digit
            bounds = [
                bisect_left(self.ids, first + digit << shift)
                for digit in range((1 << self.bits_per_digit) + 1)
            ]
            self._bounds[row, prefix] = bounds
        return bounds


def closest_in(ids: Sequence[int], key: int, count: int) -> Sequence[int]:
    """Return the ids closest to a key among sorted ones, closest first; ties: the smaller."""
    at = bisect_left(ids, key)
    around = {ids[(at + step) % len(ids)] for step in range(-count, count)}
    return sorted(around, key=lambda value: (distance(key, value), value))[:count]
