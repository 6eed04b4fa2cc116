"""Asking several nodes: hedging, deadlines, and what is raised at once."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from epost.foundation.errors import DiskFull, UnavailableError
from epost.past.spread import Outcome, spread
from epost.simulation.clock import run

Attempt = Callable[[], Awaitable[str]]


def after(seconds: float, result: str | Exception) -> Attempt:
    async def attempt() -> str:
        await asyncio.sleep(seconds)
        if isinstance(result, Exception):
            raise result
        return result

    return attempt


def spread_in(seconds: float, attempts: list[Attempt], needed: int = 2, **options) -> Outcome[str]:
    async def story() -> Outcome[str]:
        start = asyncio.get_running_loop().time()
        outcome = await spread(
            attempts, needed=needed, at_once=2, hedge_seconds=0.25, deadline_seconds=5.0, **options
        )
        assert asyncio.get_running_loop().time() - start == pytest.approx(seconds)
        return outcome

    return run(story())


def test_the_first_ones_are_enough_when_they_are_quick() -> None:
    outcome = spread_in(0.2, [after(0.1, "a"), after(0.2, "b"), after(0, "c")])
    assert outcome.successes == ("a", "b")


def test_a_failure_is_replaced_at_once_and_silence_after_the_hedge() -> None:
    lost = UnavailableError("gone")
    outcome = spread_in(0.15, [after(0.1, "a"), after(0.05, lost), after(0.1, "c")])
    assert outcome.successes == ("a", "c")
    assert outcome.failures == (lost,)
    outcome = spread_in(0.35, [after(0.1, "a"), after(99, "b"), after(0.1, "c"), after(0, "d")])
    assert outcome.successes == ("a", "c")
    assert outcome.unfinished == 1


def test_who_is_slow_may_still_answer_after_the_hedge() -> None:
    outcome = spread_in(0.4, [after(0.1, "a"), after(0.4, "b"), after(99, "c")])
    assert outcome.successes == ("a", "b")


def test_the_deadline_and_the_end_of_the_list_end_the_waiting() -> None:
    assert spread_in(5.0, [after(0.1, "a"), after(99, "b")]).successes == ("a",)
    assert spread_in(0.1, [after(0.1, "a")]).unfinished == 0
    assert spread_in(0.0, []).successes == ()


def test_some_errors_are_not_failures_of_one_node() -> None:
    with pytest.raises(DiskFull):
        spread_in(0.1, [after(0.1, DiskFull("full")), after(9, "b")], stop_on=(DiskFull,))
    with pytest.raises(ZeroDivisionError):
        spread_in(0.1, [after(0.1, ZeroDivisionError()), after(9, "b")])
