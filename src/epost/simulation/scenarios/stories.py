"""What goes on side by side in a run: mails, look-ups, churn."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from epost.simulation.host import World

_STEP_SECONDS = 1.0


class Stories:
    """The stories of one run, which end with it."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []

    def begin(self, story: Coroutine[Any, Any, None]) -> None:
        """Let a story go on until it ends by itself, or all are ended."""
        self._tasks.append(asyncio.get_running_loop().create_task(story))

    def cancel(self) -> None:
        """Have all of them end; more may be begun."""
        for task in self._tasks:
            task.cancel()

    async def end(self) -> None:
        """Cancel what still goes on and wait until it has ended."""
        self.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def run_through(world: World, story: Coroutine[Any, Any, None]) -> None:
    """Let the world go on until a story has ended; raises what either raises."""
    task = asyncio.get_running_loop().create_task(story)
    while not task.done():
        await world.run_for(_STEP_SECONDS)
    task.result()
