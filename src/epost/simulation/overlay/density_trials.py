"""How often the density test errs: exponential gaps, as uniform node ids have them (OSDI 2002).

An honest set has the density of the ring; where accomplices (a part c of all nodes) keep silent, it
has 1 - c of it; a set of accomplices only has c of it. The own estimate rests on the own leaf set
and on arcs proven before, 256 gaps in all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from random import Random

from epost.foundation.ids import RING_SIZE
from epost.pastry.density import SAMPLES_MAX, DensityEstimate, looks_genuine, mean_gap

NODES = 100_000
MEAN_GAP = RING_SIZE / NODES


@dataclass(frozen=True, slots=True)
class DensityTrials:
    """How many of the trials erred, each way."""

    trials: int
    false_positives: int
    suppressed_positives: int
    false_negatives: int


def density_trials(
    trials: int, seed: int, *, accomplices: float = 0.3, leaf_set_size: int = 32
) -> DensityTrials:
    """Test an honest set, one with silent accomplices and a forged one, `trials` times each."""
    random = Random(seed)  # noqa: S311 - a simulation
    honest_alarms = suppressed_alarms = passed = 0
    for _ in range(trials):
        own_gap = _own_estimate(random, leaf_set_size)
        honest_alarms += not _passes(random, 1.0, leaf_set_size, own_gap)
        suppressed_alarms += not _passes(random, 1 - accomplices, leaf_set_size, own_gap)
        passed += _passes(random, accomplices, leaf_set_size, own_gap)
    return DensityTrials(trials, honest_alarms, suppressed_alarms, passed)


def _own_estimate(random: Random, leaf_set_size: int) -> float:
    estimate = DensityEstimate()
    for _ in range(SAMPLES_MAX // leaf_set_size - 1):
        estimate.learn(_arc(random, 1.0, leaf_set_size))
    return estimate.mean_gap(_arc(random, 1.0, leaf_set_size))


def _passes(random: Random, density: float, leaf_set_size: int, own_gap: float) -> bool:
    return looks_genuine(mean_gap(_arc(random, density, leaf_set_size)), own_gap)


def _arc(random: Random, density: float, gaps: int) -> Sequence[int]:
    """Return a random stretch of the ring, clockwise, where so much of its density is seen."""
    start = random.randrange(RING_SIZE)
    rate = density / MEAN_GAP
    offsets = accumulate(random.expovariate(rate) for _ in range(gaps))
    return [start, *((start + int(offset)) % RING_SIZE for offset in offsets)]
