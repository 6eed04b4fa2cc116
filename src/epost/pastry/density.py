"""Is a claimed root's neighbourhood as dense as the ring? (Castro et al., OSDI 2002, section 4.2).

Node ids are drawn uniformly, so the gaps between neighbours have the same mean everywhere. Whoever
hides correct nodes can show only accomplices, a fraction c of all nodes: gaps 1/c times as wide.
With c = 0.3, gamma = 1.23 and 256 own samples the published rates are 12 % false alarms, 77 % where
accomplices keep silent to widen the gaps, and 0.1 % forged sets that pass. An alarm costs a
redundant route, nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

from epost.foundation.ids import RING_SIZE

GAMMA = 1.23
"""A claimed set is accepted while its mean gap is less than so many times the own estimate."""

SAMPLES_MAX = 256
"""Gaps from which the own estimate is made."""

CLAIMED_GAPS = 32
"""Gaps of the claimed set for which GAMMA was chosen (l = 32)."""

GAMMA_MAX = 2.0
"""Beyond it forged sets would pass."""


def mean_gap(arc: Sequence[int]) -> float:
    """Return the mean gap between consecutive nodes of an arc, given clockwise; two at least."""
    assert len(arc) > 1, "an arc of one node has no gap"
    return ((arc[-1] - arc[0]) % RING_SIZE) / (len(arc) - 1)


def looks_genuine(claimed_gap: float, own_gap: float, gamma: float = GAMMA) -> bool:
    """Tell whether a claimed set is dense enough to be what it says."""
    return claimed_gap < gamma * own_gap


def gamma_for(claimed_gaps: int, own_gaps: int) -> float:
    """Return the bound that keeps the rate of false alarms where there are fewer samples.

    It is GAMMA for CLAIMED_GAPS and SAMPLES_MAX, and grows as the deviation of the two means.
    """
    published = 1 / CLAIMED_GAPS + 1 / SAMPLES_MAX
    deviation = sqrt((1 / claimed_gaps + 1 / own_gaps) / published)
    return min(1 + (GAMMA - 1) * max(1.0, deviation), GAMMA_MAX)


class DensityEstimate:
    """The mean gap of the ring as far as this node knows: its own arc and those it has proven."""

    __slots__ = ("_arcs", "_gaps", "_total")

    def __init__(self) -> None:
        self._arcs: dict[int, tuple[int, int]] = {}
        self._gaps = 0
        self._total = 0

    @property
    def samples(self) -> int:
        """How many gaps of other arcs the estimate rests on."""
        return self._gaps

    def learn(self, arc: Sequence[int]) -> None:
        """Take the gaps of a proven arc, clockwise; the oldest beyond SAMPLES_MAX are dropped.

        Arcs that begin at one node are one sample, so that a popular key does not count twice.
        """
        if len(arc) < 2:
            return
        self._drop(arc[0])
        gaps, length = len(arc) - 1, (arc[-1] - arc[0]) % RING_SIZE
        self._arcs[arc[0]] = gaps, length
        self._gaps += gaps
        self._total += length
        while self._gaps > SAMPLES_MAX and len(self._arcs) > 1:
            self._drop(next(iter(self._arcs)))

    def accepts(self, arc: Sequence[int], own_arc: Sequence[int]) -> bool:
        """Tell whether a claimed arc of two nodes or more is as dense as what is known."""
        own_gaps = self._gaps + len(own_arc) - 1
        if not own_gaps:
            return True
        gamma = gamma_for(len(arc) - 1, own_gaps)
        return looks_genuine(mean_gap(arc), self.mean_gap(own_arc), gamma)

    def mean_gap(self, own_arc: Sequence[int]) -> float:
        """Return the estimate; `own_arc` is this node with its leaf set, clockwise."""
        own_gaps = len(own_arc) - 1
        own_length = (own_arc[-1] - own_arc[0]) % RING_SIZE if own_gaps else 0
        gaps = self._gaps + own_gaps
        return (self._total + own_length) / gaps if gaps else float(RING_SIZE)

    def _drop(self, start: int) -> None:
        gaps, length = self._arcs.pop(start, (0, 0))
        self._gaps -= gaps
        self._total -= length
