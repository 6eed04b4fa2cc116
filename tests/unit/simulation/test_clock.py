"""The loop on virtual time."""

from __future__ import annotations

import asyncio
import time
from contextvars import ContextVar

import pytest

from epost.simulation.clock import Stuck, run


def test_hours_pass_in_no_time_and_in_order() -> None:
    passed: list[tuple[int, float]] = []

    async def wait(hours: int) -> None:
        await asyncio.sleep(hours * 3600)
        passed.append((hours, asyncio.get_running_loop().time()))

    async def story() -> None:
        await asyncio.gather(*(wait(hours) for hours in (3, 1, 10_000, 2)))

    begun = time.monotonic()
    run(story())
    assert time.monotonic() - begun < 5
    assert passed == [(hours, pytest.approx(hours * 3600)) for hours in (1, 2, 3, 10_000)]


def test_callbacks_of_one_deadline_run_in_the_order_of_asking_and_cancelled_ones_do_not() -> None:
    ran: list[int] = []

    async def story() -> None:
        loop = asyncio.get_running_loop()
        handles = [loop.call_at(5.0, ran.append, number) for number in range(100)]
        for handle in handles[::2]:
            handle.cancel()
        assert handles[0].cancelled()
        assert handles[1].when() == 5.0
        await asyncio.sleep(10)

    run(story())
    assert ran == list(range(1, 100, 2))


def test_what_is_due_comes_between_callbacks_that_always_ask_for_another_turn() -> None:
    came: list[float] = []

    async def story() -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(0, lambda: came.append(loop.time()))
        while not came:
            await asyncio.sleep(0)

    run(story())
    assert came == [0.0]


def test_context_variables_are_those_of_each_task() -> None:
    who: ContextVar[str] = ContextVar("who")
    heard: list[str] = []

    async def say(name: str) -> None:
        who.set(name)
        await asyncio.sleep(1)
        heard.append(who.get())

    async def story() -> None:
        await asyncio.gather(say("alice"), say("bob"))

    run(story())
    assert heard == ["alice", "bob"]


def test_a_run_returns_what_its_story_returns_and_raises_what_it_raises() -> None:
    async def seven() -> int:
        return 7

    async def broken() -> None:
        raise ZeroDivisionError

    assert run(seven()) == 7
    with pytest.raises(ZeroDivisionError):
        run(broken())


def test_a_story_that_would_hang_for_ever_is_stuck() -> None:
    async def story() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(Stuck):
        run(story())


def test_deadlines_hold_in_virtual_time() -> None:
    async def story() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(86_400 * 365):
                await asyncio.sleep(86_400 * 366)

    run(story())


def test_an_error_in_a_callback_ends_the_run(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        asyncio.get_running_loop().call_later(1, lambda: 1 / 0)
        await asyncio.sleep(1000)

    with pytest.raises(ZeroDivisionError):
        run(story())
    assert "ZeroDivisionError" in caplog.text


def test_threads_are_refused() -> None:
    async def story() -> None:
        with pytest.raises(AssertionError, match="thread"):
            await asyncio.to_thread(print)

    run(story())


def test_a_task_group_that_fails_cancels_its_tasks_in_one_order() -> None:
    def cancelled_order() -> list[int]:
        order: list[int] = []

        async def wait(number: int) -> None:
            try:
                await asyncio.sleep(1e6)
            except asyncio.CancelledError:
                order.append(number)
                raise

        async def fail() -> None:
            await asyncio.sleep(1)
            raise ZeroDivisionError

        async def story() -> None:
            async with asyncio.TaskGroup() as group:
                for number in range(50):
                    group.create_task(wait(number))
                group.create_task(fail())

        with pytest.raises(ExceptionGroup):
            run(story())
        return order

    ballast = [[object() for _ in range(size)] for size in range(100)]
    first = cancelled_order()
    del ballast
    assert cancelled_order() == first
