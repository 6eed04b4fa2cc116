"""How long a machine waits before it asks the issuing daemons again."""

from __future__ import annotations

from epost.node.issuing_daemons import AskingConfig


def test_who_got_no_answer_asks_again_soon_and_then_less_and_less_often() -> None:
    config = AskingConfig(retry_seconds_min=10, retry_seconds_max=50)
    assert [config.pause_after(failures) for failures in (1, 2, 3, 4)] == [10, 20, 40, 50]


def test_a_year_of_failures_is_no_trouble_to_count() -> None:
    config = AskingConfig(retry_seconds_max=3600)
    assert config.pause_after(10_000) == 3600
