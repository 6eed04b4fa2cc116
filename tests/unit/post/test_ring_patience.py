"""The pauses between two attempts to reach a ring that is out of reach."""

from __future__ import annotations

import asyncio

from epost.post.config import PostConfig
from epost.post.ring_patience import JITTER_PART, RingPatience
from epost.simulation.clock import run
from tests.support.post_world import Machine, World

CONFIG = PostConfig()
HOUR = 3600.0


def machine() -> Machine:
    alice = World().enrol("alice")
    alice.boot()
    return alice


def test_the_pauses_grow_with_the_absence_up_to_a_limit() -> None:
    async def story() -> None:
        patience = RingPatience(machine().ports, CONFIG)
        loop = asyncio.get_running_loop()
        pauses = []
        while loop.time() < 8 * HOUR:
            before = loop.time()
            await patience.pause()
            pauses.append(loop.time() - before)
        longest = CONFIG.log_retry_seconds_max * (1 + JITTER_PART)
        assert CONFIG.log_retry_seconds_min <= pauses[0] <= 2 * CONFIG.log_retry_seconds_min
        assert CONFIG.log_retry_seconds_max <= pauses[-1] <= longest
        assert len(pauses) < 600, "not every few seconds of a night"
        assert len(set(pauses[-20:])) > 10, "not all machines in step"

    run(story())


def test_after_the_ring_was_reached_the_pauses_are_short_again() -> None:
    async def story() -> None:
        patience = RingPatience(machine().ports, CONFIG)
        loop = asyncio.get_running_loop()
        while loop.time() < HOUR:
            await patience.pause()
        patience.on_reached()
        before = loop.time()
        await patience.pause()
        assert loop.time() - before <= 2 * CONFIG.log_retry_seconds_min

    run(story())


def test_a_change_in_the_ring_ends_a_long_pause() -> None:
    async def story() -> None:
        alice = machine()
        patience = RingPatience(alice.ports, CONFIG)
        loop = asyncio.get_running_loop()
        while loop.time() < HOUR:
            await patience.pause()
        alice.ring_view = "a machine came back"
        waiting = asyncio.ensure_future(patience.pause())
        await asyncio.sleep(10)
        assert not waiting.done(), "what was seen before is no news"
        alice.ring_view = "another one"
        before = loop.time()
        await waiting
        assert loop.time() - before <= 2 * CONFIG.log_retry_seconds_min

    run(story())
