import pytest

from epost.scribe.config import ScribeConfig


def test_the_defaults_are_valid() -> None:
    assert ScribeConfig().refresh_seconds == 20.0


@pytest.mark.parametrize(
    "wrong",
    [
        {"refresh_tries": 0},
        {"answer_timeout_seconds": 0.0},
        {"answer_timeout_seconds": 21.0},
        {"seek_seconds_min": 0.0},
        {"seek_seconds_min": 31.0},
        {"child_kept_seconds": 31.0},
    ],
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        ScribeConfig(**wrong)  # type: ignore[arg-type]
