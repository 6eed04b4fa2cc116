"""Rows of the table of figures, and how sure they are."""

from __future__ import annotations

import pytest

from epost.simulation.overlay.figure import REPORTED, Figure, Target
from epost.simulation.overlay.statistics import Estimate, Mean, Ratio, exactly, ratio_of, share


def test_a_mean_comes_with_its_interval() -> None:
    estimate = Mean([1.0, 2.0, 3.0, 4.0]).estimate()
    assert estimate.value == 2.5
    assert estimate.high - estimate.value == pytest.approx(1.96 * 1.29099 / 2, rel=1e-3)
    assert Mean().estimate() == exactly(0.0)


def test_a_share_of_nothing_seen_is_not_surely_nothing() -> None:
    estimate = share(0, 1000)
    assert estimate.value == estimate.low == 0
    assert 0.003 < estimate.high < 0.005
    assert share(500, 1000).low == pytest.approx(0.469, abs=1e-3)


def test_a_ratio_is_of_the_sums() -> None:
    ratio = Ratio()
    for above, below in ((2.0, 1.0), (6.0, 3.0), (2.0, 2.0)):
        ratio.add(above, below)
    estimate = ratio.estimate()
    assert ratio.count == 3
    assert estimate.value == pytest.approx(10 / 6)
    assert estimate.low < estimate.value < estimate.high
    assert ratio_of(Estimate(2.0, 1.0, 3.0), 2.0) == Estimate(1.0, 0.5, 1.5)


def test_whether_a_target_is_met_is_computed_not_stored() -> None:
    figure = Figure("hops", 1000, 10, exactly(2.5), Target.within(2.49, 0.03), "2.49", (1, 2))
    row = figure.as_dict() | {"met": False}
    assert Figure.from_dict(row).met is True
    assert Figure.from_dict(row) == figure
    assert Figure("hops", 10, 1, exactly(9.0), REPORTED).met is None
    assert Target(at_most=1.0).is_met_by(1.0)
    assert not Target(at_least=1.0).is_met_by(0.9)


def test_a_row_says_all_and_shouts_when_a_target_is_missed() -> None:
    figure = Figure("loss", 1000, 10, share(1, 10), Target(at_most=1e-5), "1e-5", (7,)).timed(61.6)
    assert figure.row() == (
        "| loss | 1,000 | 10 | 1e-5 | <= 1e-05 | 0.1 [0.01788, 0.4042] | **no** | 7 | 62 |"
    )
    assert [str(t) for t in (REPORTED, Target(at_least=0.7), Target.within(2.0, 0.1))] == [
        "reported",
        ">= 0.7",
        "1.8 to 2.2",
    ]


def test_means_that_are_merged_are_the_mean_of_all_samples() -> None:
    together = Mean([1.0, 2.0, 4.0])
    together.merge(Mean())
    together.merge(Mean([8.0, 16.0]))
    once = Mean([1.0, 2.0, 4.0, 8.0, 16.0])
    assert together.count == once.count
    assert together.estimate().value == pytest.approx(once.value)
    assert together.estimate().high == pytest.approx(once.estimate().high)
