"""Routing among accomplices (Castro et al., OSDI 2002): one plain route, and the redundant one.

An accomplice drops what it should forward, or hands it to another accomplice, which is the same;
asked for its neighbourhood it names accomplices only. It cannot make up nodes, since every node
counts by its certificate. A route has succeeded if all correct replica roots are known at its end.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random

from epost.foundation.ids import number
from epost.pastry.root_sets import arc_around, diverse_first_hops, replica_roots
from epost.pastry.routing import ID_BITS
from epost.simulation.overlay.figure import Progress
from epost.simulation.overlay.oracle_ring import OracleRing
from epost.simulation.overlay.statistics import Mean

COPIES = 64
"""How many questions leave by different first hops."""

ROUNDS_MAX = 3
"""How often those who were named, but did not answer yet, are asked whom they know."""


@dataclass(slots=True)
class Outcome:
    """How many routes succeeded of how many, and what the redundant ones cost."""

    routes: int = 0
    plain: int = 0
    redundant: int = 0
    copies_arrived: Mean = field(default_factory=Mean)
    messages: Mean = field(default_factory=Mean)


class Infiltrated:
    """A ring of which a random part are accomplices."""

    def __init__(self, ring: OracleRing, part: float, random: Random, *, k: int = 3) -> None:
        """`k` is how many replica roots a key has."""
        self._ring = ring
        self._random = random
        self._k = k
        self._bad = bytearray(len(ring))
        for node in random.sample(range(len(ring)), round(len(ring) * part)):
            self._bad[node] = True

    def measure(self, routes: int, progress: Progress) -> Outcome:
        """Route from random correct nodes to random keys in both ways."""
        outcome = Outcome()
        for _ in range(routes):
            source, key = self._a_correct_node(), self._random.getrandbits(ID_BITS)
            outcome.routes += 1
            outcome.plain += self.plain(source, key)
            outcome.redundant += self.redundant(source, key, outcome)
            if outcome.routes % 1000 == 0:
                progress(f"{outcome.routes} routes: plain {outcome.plain}, {outcome.redundant}")
        return outcome

    def plain(self, source: int, key: int) -> bool:
        """Tell whether one route meets correct nodes only, its end included."""
        return not any(self._bad[node] for node in self._ring.route(source, key)[1:])

    def redundant(self, source: int, key: int, outcome: Outcome) -> bool:
        """Tell whether copies by different ways learn of all correct replica roots."""
        ring, state = self._ring, self._ring.state(source)
        leaves, table = state.leaf_set.neighbourhood.leaves, state.table
        rows = [[number(node.node_id) for node in table.row(row)] for row in table.rows()]
        known: set[int] = set()
        asked: set[int] = set()
        messages = arrived = 0
        for first in diverse_first_hops(leaves, COPIES, rows):
            end, hops = self._copy(ring.index(first), key)
            messages += 1 + hops
            if end is not None:
                arrived += 1
                asked.add(end)
                known.update(self._named_by(end))
        messages += len(asked)
        for _ in range(ROUNDS_MAX):
            arc = arc_around(key, known, len(leaves) // 2)
            pending = [n for n in map(ring.index, arc) if n not in asked]
            messages += 2 * len(pending)
            asked.update(pending)
            known.update(*map(self._named_by, pending))
        outcome.copies_arrived.add(arrived)
        outcome.messages.add(messages)
        roots = [node for node in ring.closest(key, self._k) if not self._bad[node]]
        found = {ring.index(value) for value in replica_roots(key, known, self._k)}
        return found.issuperset(roots)

    def _copy(self, node: int, key: int) -> tuple[int | None, int]:
        """Follow one copy to a correct node that knows the root; None if it was dropped."""
        hops = 0
        while not self._bad[node]:
            if self._ring.state(node).leaf_set.neighbourhood.contains(key):
                return node, hops
            node, hops = self._ring.hop(node, key), hops + 1
        return None, hops

    def _named_by(self, node: int) -> Iterable[int]:
        """Return whom a node names: its leaf set and itself, or its accomplices there."""
        named = (self._ring.ids[node], *self._ring.state(node).leaf_set.neighbourhood.leaves)
        if self._bad[node]:
            return [value for value in named if self._bad[self._ring.index(value)]]
        return named

    def _a_correct_node(self) -> int:
        while self._bad[node := self._random.randrange(len(self._ring))]:
            pass
        return node
