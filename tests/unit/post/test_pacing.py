"""Work that nobody waits for leaves half of the time to what somebody waits for."""

from __future__ import annotations

import asyncio

import pytest

from epost.post.pacing import REST_SECONDS_MAX, SLICE_SECONDS, Pacing
from epost.simulation.clock import run


class Watch:
    """A clock of the virtual loop on which work takes time as well."""

    def __init__(self) -> None:
        self.worked = 0.0

    def now(self) -> float:
        return asyncio.get_running_loop().time() + self.worked

    def wall_ms(self) -> int:
        return round(1000 * self.now())


@pytest.mark.parametrize(
    ("worked", "rest"),
    [
        (SLICE_SECONDS / 2, 0.0),
        (SLICE_SECONDS * 2, SLICE_SECONDS * 2),
        (REST_SECONDS_MAX * 5, REST_SECONDS_MAX),
    ],
)
def test_a_rest_is_as_long_as_the_work_before_it_within_bounds(worked: float, rest: float) -> None:
    async def rested() -> float:
        loop, watch = asyncio.get_running_loop(), Watch()
        pacing = Pacing(watch)
        watch.worked += worked
        assert pacing.is_due is (rest > 0)
        before = loop.time()
        await pacing.give_way()
        assert rest == 0 or not pacing.is_due, "it begins anew"
        return loop.time() - before

    assert run(rested()) == pytest.approx(rest)


def test_short_slices_come_to_a_rest_together() -> None:
    async def rested() -> float:
        loop, watch = asyncio.get_running_loop(), Watch()
        pacing, before = Pacing(watch), loop.time()
        for _ in range(10):
            watch.worked += SLICE_SECONDS / 4
            await pacing.give_way()
        return loop.time() - before

    assert run(rested()) >= SLICE_SECONDS * 2
