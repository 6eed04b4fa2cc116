"""What both clocks promise."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from epost.daemon.world import SystemClock
from epost.foundation.ports import Clock
from epost.simulation.clock import run
from epost.simulation.world import EPOCH_MS, SimulatedClock

Check = Callable[[Clock], None]


def in_reality(check: Check) -> None:
    check(SystemClock())


def in_simulation(check: Check) -> None:
    async def story() -> None:
        check(SimulatedClock())

    run(story())


@pytest.fixture(params=[in_reality, in_simulation])
def with_clock(request: pytest.FixtureRequest) -> Callable[[Check], None]:
    return request.param


def test_the_monotonic_clock_never_goes_back(with_clock: Callable[[Check], None]) -> None:
    def check(clock: Clock) -> None:
        readings = [clock.now() for _ in range(100)]
        assert readings == sorted(readings)

    with_clock(check)


def test_the_wall_clock_counts_milliseconds_of_this_century(
    with_clock: Callable[[Check], None],
) -> None:
    def check(clock: Clock) -> None:
        assert 1_700_000_000_000 < clock.wall_ms() < 4_102_444_800_000

    with_clock(check)


def test_the_real_clock_counts_the_sleep_of_the_machine() -> None:
    if hasattr(time, "CLOCK_BOOTTIME"):
        assert SystemClock().now() == pytest.approx(time.clock_gettime(time.CLOCK_BOOTTIME), abs=1)


def test_the_simulated_clock_follows_virtual_time_and_its_skew() -> None:
    async def story() -> None:
        clock = SimulatedClock(booted_seconds=500.0, skew_seconds=-2.0)
        await asyncio.sleep(3600)
        assert clock.now() == pytest.approx(4100.0)
        assert clock.wall_ms() == EPOCH_MS + 3_598_000
        clock.skew_seconds = 0.0
        assert clock.wall_ms() == EPOCH_MS + 3_600_000

    run(story())
