"""The density test tells forged neighbourhoods from sparse ones as published."""

import random

import pytest

from epost.foundation.ids import RING_SIZE
from epost.pastry.density import (
    CLAIMED_GAPS,
    GAMMA,
    GAMMA_MAX,
    SAMPLES_MAX,
    DensityEstimate,
    gamma_for,
    looks_genuine,
    mean_gap,
)

ACCOMPLICES = 0.3
LEAVES = 32


def share_accepted(density: float, *, trials: int) -> float:
    """How often a neighbourhood of this density passes against 256 own samples."""
    dice = random.Random(1)
    accepted = 0
    for _ in range(trials):
        claimed = dice.gammavariate(LEAVES, 1 / density) / LEAVES
        own = dice.gammavariate(SAMPLES_MAX, 1.0) / SAMPLES_MAX
        accepted += looks_genuine(claimed, own)
    return accepted / trials


@pytest.mark.parametrize(
    ("density", "accepted"),
    [(1.0, 1 - 0.12), (1 - ACCOMPLICES, 1 - 0.77), (ACCOMPLICES, 0.0015)],
)
def test_the_published_rates_come_out(density: float, accepted: float) -> None:
    assert share_accepted(density, trials=20_000) == pytest.approx(accepted, abs=0.012)


def test_fewer_samples_are_judged_less_strictly() -> None:
    assert gamma_for(CLAIMED_GAPS, SAMPLES_MAX) == pytest.approx(GAMMA)
    assert GAMMA < gamma_for(16, SAMPLES_MAX) < gamma_for(16, 16) < 1.5
    assert gamma_for(1, 1) == GAMMA_MAX


def test_an_arc_is_accepted_if_it_is_as_dense_as_what_is_known() -> None:
    estimate = DensityEstimate()
    own = range(0, 170, 10)
    assert estimate.accepts(range(1000, 1170, 10), own)
    assert not estimate.accepts(range(1000, 1480, 30), own)
    assert estimate.accepts([5, 9], [0]), "who knows nothing doubts nothing"


def test_the_mean_gap_of_an_arc_goes_clockwise_over_the_end_of_the_ring() -> None:
    assert mean_gap([10, 20, 50]) == 20.0
    assert mean_gap([RING_SIZE - 10, 10]) == 20.0


def test_an_estimate_rests_on_the_own_arc_until_others_are_proven() -> None:
    estimate = DensityEstimate()
    assert estimate.mean_gap([5]) == RING_SIZE
    assert estimate.mean_gap([0, 10, 20]) == 10.0
    estimate.learn([100, 104, 108])
    assert estimate.mean_gap([0, 10, 20]) == 7.0
    estimate.learn([7])
    assert estimate.samples == 2


def test_an_arc_counts_once_and_the_oldest_are_forgotten() -> None:
    estimate = DensityEstimate()
    for _ in range(3):
        estimate.learn([100, 104, 108])
    assert estimate.samples == 2
    for start in range(0, 1000, 10):
        estimate.learn(range(start, start + 6))
    assert SAMPLES_MAX - 6 < estimate.samples <= SAMPLES_MAX
    assert estimate.mean_gap([0]) == 1.0
