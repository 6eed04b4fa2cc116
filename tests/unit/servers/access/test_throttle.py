"""Slowing failures down without locking anybody out."""

import asyncio

from epost.servers.access import FailureThrottle, ThrottleLimits
from tests.support.access import FakeTime


def throttle(time: FakeTime, **limits: float) -> FailureThrottle:
    return FailureThrottle(now=time.read, sleep=time.sleep, limits=ThrottleLimits(**limits))


def test_the_delay_doubles_to_a_minute_and_stays_there() -> None:
    time = FakeTime()
    slow = throttle(time)
    for _ in range(9):
        assert asyncio.run(slow.turn("here", "alice"))
        slow.failed("here", "alice")
    assert time.slept == [1, 2, 4, 8, 16, 32, 60, 60]


def test_other_sources_and_accounts_are_not_slowed() -> None:
    time = FakeTime()
    slow = throttle(time)
    slow.failed("here", "alice")
    asyncio.run(slow.turn("there", "alice"))
    asyncio.run(slow.turn("here", "bob"))
    assert time.slept == []


def test_time_that_has_passed_already_is_not_waited_again() -> None:
    time = FakeTime()
    slow = throttle(time)
    slow.failed("here", "alice")
    slow.failed("here", "alice")
    time.now += 1.5
    asyncio.run(slow.turn("here", "alice"))
    assert time.slept == [0.5]


def test_old_failures_are_forgotten() -> None:
    time = FakeTime()
    slow = throttle(time, forget_after_seconds=100)
    slow.failed("here", "alice")
    time.now += 101
    asyncio.run(slow.turn("here", "alice"))
    slow.failed("here", "alice")
    asyncio.run(slow.turn("here", "alice"))
    assert time.slept == [1]


def test_the_table_is_bounded_and_forgets_the_least_recent() -> None:
    time = FakeTime()
    slow = throttle(time, entries_max=2)
    for name in ("alice", "bob", "alice", "carol"):
        slow.failed("here", name)
    asyncio.run(slow.turn("here", "bob"))
    assert time.slept == []
    asyncio.run(slow.turn("here", "alice"))
    assert time.slept == [2]


def test_attempts_in_parallel_wait_for_each_other() -> None:
    time = FakeTime()
    slow = throttle(time)
    slow.failed("here", "alice")

    async def three() -> list[bool]:
        time.stop()
        tasks = [asyncio.create_task(slow.turn("here", "alice")) for _ in range(3)]
        await asyncio.sleep(0)
        time.go_on.set()
        return await asyncio.gather(*tasks)

    assert asyncio.run(three()) == [True] * 3
    assert time.slept == [1, 2, 3]
