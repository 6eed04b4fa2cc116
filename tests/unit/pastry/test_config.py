import pytest

from epost.pastry.config import HANDLES_MAX, PastryConfig


def test_the_defaults_are_valid() -> None:
    assert PastryConfig().leaf_set_size == 16


@pytest.mark.parametrize(
    "wrong",
    [
        {"leaf_set_size": 15},
        {"leaf_set_size": 0},
        {"leaf_set_size": HANDLES_MAX + 2},
        {"bits_per_digit": 0},
        {"bits_per_digit": 3},
        {"probe_tries": 0},
        {"hop_tries": 0},
        {"heartbeat_seconds": 10.0, "suspect_after_seconds": 11.0},
        {"heartbeat_seconds": 0.0},
        {"seek_seconds_min": 0.0},
        {"seek_seconds_min": 31.0},
        {"probe_timeout_seconds": 0.0},
    ],
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        PastryConfig(**wrong)  # type: ignore[arg-type]


def test_the_largest_leaf_set_fits_a_packet() -> None:
    assert PastryConfig(leaf_set_size=HANDLES_MAX).leaf_set_size == HANDLES_MAX


def test_brisk_settings_are_valid_and_may_found_a_ring() -> None:
    config = PastryConfig.brisk(is_first=True)
    assert config.is_first
    assert config.suspect_after_seconds < PastryConfig().suspect_after_seconds
