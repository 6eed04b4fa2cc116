"""Numbers, durations and times in words."""

from __future__ import annotations

import pytest

from epost.cli.wording import count, day, duration, octets


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 seconds"), (1, "1 second"), (119, "119 seconds"), (120, "2 minutes"),
     (7200, "2 hours"), (172_800, "2 days")],
)  # fmt: skip
def test_durations_are_said_in_the_largest_unit_that_fits_twice(seconds: int, words: str) -> None:
    assert duration(seconds) == words


def test_one_of_something_is_said_in_the_singular() -> None:
    assert count(1, "block") == "1 block"
    assert count(2000, "block") == "2,000 blocks"
    assert count(0, "copy", "copies") == "0 copies"


@pytest.mark.parametrize(
    ("size_bytes", "words"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1 kB"), (2_500_000, "2 MB"), (10**16, "10000 TB")],
)
def test_amounts_of_data_are_said_in_powers_of_1000(size_bytes: int, words: str) -> None:
    assert octets(size_bytes) == words


def test_a_day_is_said_in_utc() -> None:
    assert day(86_400_000 - 1) == "1970-01-01"
    assert day(86_400_000) == "1970-01-02"
