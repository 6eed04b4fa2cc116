"""Many numbers found at once in an ascending column, whatever gaps it has."""

from __future__ import annotations

from array import array
from random import Random

import pytest

from epost.apps.mail.folders.ascending import LOOKUPS_PER_PASS, picker, places_of

GAPLESS = array("I", range(50, 150))
WITH_GAPS = array("I", (n for n in range(50, 150 + 10 * LOOKUPS_PER_PASS) if n % 7))


@pytest.mark.parametrize("column", [GAPLESS, WITH_GAPS, array("I", [7]), array("I")])
@pytest.mark.parametrize("count", [0, 1, 2, 8, 60])
def test_places_are_those_of_a_search_one_by_one(column: array[int], count: int) -> None:
    random = Random(count)
    for _ in range(20):
        wanted = sorted(random.sample(range(40, 160), count))
        expected = [column.index(n) for n in wanted if n in column]
        assert list(places_of(column, wanted)) == expected
        assert list(places_of(column, array("I", wanted))) == expected
        assert list(picker(expected)(column)) == [n for n in wanted if n in column]


def test_numbers_side_by_side_are_a_range_and_picked_as_one() -> None:
    places = places_of(WITH_GAPS, WITH_GAPS[3:9])
    assert places == range(3, 9)
    assert picker(places)(WITH_GAPS) == WITH_GAPS[3:9]
    assert picker(range(0))(WITH_GAPS) == array("I")
