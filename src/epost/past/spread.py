"""Asking several nodes at once, and more of them when some are slow (design 4: hedging)."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from epost.foundation.errors import EpostError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """What came of it; `unfinished` were still being waited for at the end."""

    successes: tuple[T, ...]
    failures: tuple[EpostError, ...]
    unfinished: int


async def spread(
    attempts: Sequence[Callable[[], Awaitable[T]]],
    *,
    needed: int,
    at_once: int,
    hedge_seconds: float,
    deadline_seconds: float,
    stop_on: tuple[type[EpostError], ...] = (),
) -> Outcome[T]:
    """Make attempts until `needed` succeeded, none is left, or the deadline passed.

    Begins with the first `at_once`. Each that fails is replaced by the next; after hedge_seconds,
    so is each that has not answered, which may still succeed. Errors in `stop_on`, and those that
    are not the project's, are raised at once.
    """
    effort = _Effort(attempts, stop_on)
    loop = asyncio.get_running_loop()
    start = loop.time()
    try:
        effort.begin(at_once)
        await effort.collect(needed, start + min(hedge_seconds, deadline_seconds))
        if effort.lacks(needed):
            effort.begin(effort.open_count)
            await effort.collect(needed, start + deadline_seconds)
    finally:
        effort.cancel()
    return Outcome(tuple(effort.successes), tuple(effort.failures), effort.open_count)


class _Effort(Generic[T]):
    def __init__(
        self,
        attempts: Sequence[Callable[[], Awaitable[T]]],
        stop_on: tuple[type[EpostError], ...],
    ) -> None:
        self._waiting = deque(attempts)
        self._stop_on = stop_on
        self._done: asyncio.Queue[tuple[T] | BaseException] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []
        self.open_count = 0
        self.successes: list[T] = []
        self.failures: list[EpostError] = []

    def begin(self, count: int) -> None:
        """Make up to so many more attempts."""
        for _ in range(min(count, len(self._waiting))):
            self._tasks.append(asyncio.ensure_future(self._run(self._waiting.popleft())))
            self.open_count += 1

    async def collect(self, needed: int, until: float) -> None:
        """Take results until enough succeeded, nothing is open, or a time of the loop."""
        try:
            async with asyncio.timeout_at(until):
                while self.lacks(needed):
                    self._take(await self._done.get())
        except TimeoutError:
            return

    def lacks(self, needed: int) -> bool:
        """May there be more successes, and are they too few?"""
        return self.open_count > 0 and len(self.successes) < needed

    def cancel(self) -> None:
        """Wait for nothing more."""
        for task in self._tasks:
            task.cancel()

    def _take(self, result: tuple[T] | BaseException) -> None:
        self.open_count -= 1
        if isinstance(result, tuple):
            self.successes.append(result[0])
        elif isinstance(result, EpostError) and not isinstance(result, self._stop_on):
            self.failures.append(result)
            self.begin(1)
        else:
            raise result

    async def _run(self, attempt: Callable[[], Awaitable[T]]) -> None:
        try:
            self._done.put_nowait((await attempt(),))
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # handed to the collecting side, which raises it
            self._done.put_nowait(error)
