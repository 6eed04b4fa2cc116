"""Parts of the ring that proved genuine: what others are measured by.

An arc may be sparse by chance, and the density test then doubts its root every time; once the
redundant route has shown who is really there, the same nodes need not be proven again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from epost.pastry.config import PROVEN_ARCS_MAX
from epost.pastry.density import DensityEstimate

FAMILIAR_SHARE = 0.75
"""Of a claimed arc that redundant routing has shown before, so that churn is allowed for."""


class ProvenArcs:
    """The density of the ring, and the nodes that redundant routes found."""

    __slots__ = ("_estimate", "_nodes")

    def __init__(self) -> None:
        self._estimate = DensityEstimate()
        self._nodes: OrderedDict[int, frozenset[int]] = OrderedDict()

    def are_credible(self, arc: Sequence[int], own_arc: Sequence[int]) -> bool:
        """Tell whether a claimed arc is dense enough, or known; both arcs are clockwise."""
        if len(arc) < 2:
            return False
        if self._estimate.accepts(arc, own_arc):
            return True
        return any(
            len(known.intersection(arc)) >= FAMILIAR_SHARE * max(len(known), len(arc))
            for known in self._nodes.values()
        )

    def learn(self, arc: Sequence[int], *, is_proven: bool = False) -> None:
        """Take an arc that was believed; `is_proven` if by a redundant route."""
        if len(arc) < 2:
            return
        self._estimate.learn(arc)
        if is_proven:
            self._nodes.pop(arc[0], None)
            self._nodes[arc[0]] = frozenset(arc)
            if len(self._nodes) > PROVEN_ARCS_MAX:
                self._nodes.popitem(last=False)
