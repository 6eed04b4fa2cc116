"""Filling small disks with heavy-tailed files: the published figures in small, and the model."""

from random import Random
from statistics import mean, median

import pytest

from epost.foundation.ids import closeness, point
from epost.simulation.filling import (
    CAPACITY_MAX,
    CAPACITY_MIN,
    FILES,
    MEGABYTE,
    NO_DIVERSION,
    NODES,
    SIZE_MAX,
    Disks,
    Rules,
    capacities,
    file_sizes,
    fill,
)


@pytest.mark.no_cover
def test_the_files_have_the_published_mean_median_and_maximum() -> None:
    sizes = file_sizes(FILES // 10)
    assert mean(sizes) == pytest.approx(10_517, rel=0.02)
    assert median(sizes) == pytest.approx(1_312, rel=0.01)
    assert max(sizes) == SIZE_MAX


def test_the_disks_have_the_published_bounds_and_total() -> None:
    disks = capacities(NODES)
    assert CAPACITY_MIN <= min(disks) < max(disks) <= CAPACITY_MAX
    assert sum(disks) == pytest.approx(61_009 * MEGABYTE, rel=0.01)


def test_the_closest_disks_are_those_that_the_ring_would_choose() -> None:
    random = Random(3)
    ids = sorted(random.getrandbits(160) for _ in range(40))
    disks = Disks(ids, [0] * 40, k=5, leaf_set=16)
    for _ in range(200):
        place = random.getrandbits(160)
        by_product = sorted(ids, key=lambda node: closeness(point(place), point(node)))[:5]
        assert [ids[n] for n in disks.closest(place)] == by_product


def test_what_could_not_be_placed_whole_leaves_no_copies_behind() -> None:
    disks = Disks([10, 20, 30], [1000, 1000, 0], k=3, leaf_set=2)
    assert disks.place(15, 50, Rules()) is None
    assert disks.room == [1000, 1000, 0]
    assert disks.place(15, 50, Rules(diverted_part=1.0)) is None, "all others have a copy already"


@pytest.mark.no_cover  # tracing takes twice the time, and other tests run the same lines
def test_diversion_fills_a_ring_that_would_refuse_half_of_the_files_without() -> None:
    diverting = fill(NODES // 25, k=5, leaf_set=32, rules=Rules(), random=Random(2))
    assert diverting.success >= 0.993
    assert diverting.used_part >= 0.98
    failed_at_95 = next(failed for used, failed in diverting.curve if used >= 0.95)
    assert failed_at_95 < 0.002, "degrades gracefully"
    plain = fill(NODES // 25, k=5, leaf_set=32, rules=NO_DIVERSION, random=Random(2))
    assert plain.success < 0.6
    assert plain.used_part < 0.65


@pytest.mark.long
def test_the_whole_ring_of_the_paper() -> None:
    filling = fill(NODES, k=5, leaf_set=32, rules=Rules(), random=Random(1))
    assert filling.offered == FILES
    assert filling.success >= 0.993
    assert filling.used_part >= 0.98
