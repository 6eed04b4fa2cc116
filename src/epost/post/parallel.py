"""Several stories at once, a bounded number at a time, failing as one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Coroutine, Iterable, Sequence
from typing import Any, TypeVar

T = TypeVar("T")


async def in_parallel(stories: Sequence[Coroutine[Any, Any, T]], *, at_once: int) -> list[T]:
    """Return the results in the order given; the first error cancels the rest and is raised.

    (A TaskGroup would wrap the error in a group, which nobody above expects.)
    """
    slots = asyncio.Semaphore(at_once)

    async def run(story: Coroutine[Any, Any, T]) -> T:
        async with slots:
            return await story

    tasks = [asyncio.ensure_future(run(story)) for story in stories]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        for story in stories:
            story.close()  # those that never got a slot; finished ones do not mind


async def read_ahead(
    stories: Iterable[Coroutine[Any, Any, T]], *, at_once: int
) -> AsyncGenerator[T, None]:
    """Yield the results in the order given; at most `at_once` run or wait to be taken.

    The first error is raised and the rest cancelled. Use `contextlib.aclosing` around it.
    """
    running: deque[asyncio.Task[T]] = deque()
    try:
        for story in stories:
            running.append(asyncio.ensure_future(story))
            if len(running) == at_once:
                yield await running.popleft()
        while running:
            yield await running.popleft()
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
