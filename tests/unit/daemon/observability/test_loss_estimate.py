"""The model of data loss, and what it is fed with."""

import pytest

from epost.daemon.observability.loss_estimate import YEAR_SECONDS, LossWatch, yearly_probability
from epost.foundation.ids import Address, NodeHandle
from epost.pastry.overlay import Member

DAY = 86_400.0


def member(number: int, absent_since: float | None = None) -> Member:
    node = NodeHandle(b"r" * 20, bytes([number]) * 20, (Address("192.0.2.1", 4510),))
    return Member(node, absent_since is None, absent_since)


def test_three_copies_and_a_day_of_repair() -> None:
    # By hand: 10 replica sets, 3 * 0.1 * (0.1 / 365.25) ** 2 each.
    expected = 10 * 3 * 0.1 * (0.1 / 365.25) ** 2
    said = yearly_probability(copies=3, machines=10, losses_per_year=0.1, repair_seconds=DAY)
    assert said == pytest.approx(expected, rel=1e-6)


def test_alone_the_data_goes_with_the_disk() -> None:
    said = yearly_probability(copies=1, machines=1, losses_per_year=0.1, repair_seconds=DAY)
    assert said == pytest.approx(0.0952, abs=1e-4)


@pytest.mark.parametrize("worse", [{"copies": 2}, {"losses_per_year": 1.0}, {"machines": 100}])
def test_fewer_copies_more_losses_and_more_machines_are_worse(worse: dict[str, float]) -> None:
    usual = {"copies": 3, "machines": 10, "losses_per_year": 0.1, "repair_seconds": DAY}
    assert yearly_probability(**usual | worse) > yearly_probability(**usual)  # type: ignore[arg-type]


def test_who_has_seen_nothing_assumes_one_loss_in_three_years() -> None:
    estimate = LossWatch(900.0).estimate(copies=3, machines=5, repair_seconds=900.0)
    assert estimate.losses_per_machine_year == pytest.approx(1 / 3)
    assert estimate.losses_seen == 0


def test_long_watching_without_losses_lowers_the_rate() -> None:
    watch = LossWatch(900.0)
    watch.sample([member(1), member(2)], 0.0)
    watch.sample([member(1), member(2)], 3 * YEAR_SECONDS)
    estimate = watch.estimate(copies=3, machines=5, repair_seconds=900.0)
    assert estimate.machine_years_watched == pytest.approx(6.0)
    assert estimate.losses_per_machine_year == pytest.approx(1 / 9)


def test_a_neighbour_away_for_long_counts_once_and_again_after_it_was_back() -> None:
    watch = LossWatch(900.0)
    for now in (0.0, 60.0, 899.0):
        watch.sample([member(1, absent_since=0.0)], now)
    assert watch.estimate(copies=3, machines=5, repair_seconds=1.0).losses_seen == 0
    for now in (900.0, 960.0):
        watch.sample([member(1, absent_since=0.0)], now)
    assert watch.estimate(copies=3, machines=5, repair_seconds=1.0).losses_seen == 1
    watch.sample([member(1)], 1000.0)
    watch.sample([member(1, absent_since=1000.0)], 2000.0)
    assert watch.estimate(copies=3, machines=5, repair_seconds=1.0).losses_seen == 2
