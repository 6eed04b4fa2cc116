"""Amounts of data as people write them."""

import pytest

from epost.cli.sizes import in_words, parse_mebibytes
from epost.foundation.errors import RefusedError


@pytest.mark.parametrize(
    ("text", "mebibytes"),
    [("50G", 51_200), ("50 GB", 51_200), ("50GiB", 51_200), ("1.5t", 1_572_864),
     ("1,5 TB", 1_572_864), ("500M", 500), ("1K", 1), ("1025k", 2), ("0", 0), ("none", 0),
     (" Unlimited ", 0)],
)  # fmt: skip
def test_what_people_write_is_understood_and_rounded_up(text: str, mebibytes: int) -> None:
    assert parse_mebibytes(text) == mebibytes


@pytest.mark.parametrize("text", ["", "much", "50", "-5G", "5X", "G", "1e3G", "99999999P", "5 5G"])
def test_what_is_no_amount_is_refused_in_words(text: str) -> None:
    with pytest.raises(RefusedError, match=r"no amount|of what|more than"):
        parse_mebibytes(text)


def test_amounts_are_said_in_the_unit_that_fits() -> None:
    said = [in_words(amount) for amount in (0, 500, 51_200, 1_572_864)]
    assert said == ["no limit", "500 MiB", "50 GiB", "1.5 TiB"]
