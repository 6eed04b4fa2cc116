"""Virtual time: an asyncio loop that never waits but jumps to its next callback.

The same coroutines run as in the daemon, an hour in a fraction of a second, and in the same order
each time: the order in which asyncio runs callbacks follows from deadlines and from the order of
scheduling alone, and tasks hash by their number here, so that the sets of tasks inside asyncio keep
no order of memory addresses either.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from itertools import count
from typing import Any, NoReturn, TypeVar

T = TypeVar("T")


class Stuck(AssertionError):  # noqa: N818 - it is a state, not somebody's error
    """Every task waits and nothing is scheduled: in real time this would hang for ever."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on virtual seconds, which start at 0; it knows no threads."""

    def __init__(self) -> None:
        self._virtual_seconds = 0.0
        super().__init__(_JumpingSelector(self._jump))
        # asyncio's own nanosecond vanishes in a float of 50 virtual days: no deadline would pass.
        self._clock_resolution = 1e-6
        self._serials = count()
        self._broken: BaseException | None = None
        self.set_task_factory(self._numbered_task)

    def time(self) -> float:
        """Return the virtual seconds since the loop was made."""
        return self._virtual_seconds

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Let an error in a callback end the run: it is a bug of ours, never to be logged only."""
        if "handle" in context and self._broken is None:
            self._broken = context.get("exception")
        super().call_exception_handler(context)

    def run_in_executor(  # type: ignore[override]  # it never returns what the base class promises
        self, executor: Any, func: Any, *args: Any
    ) -> NoReturn:
        """Refuse: the order of threads is not ours to decide."""
        raise AssertionError(f"{func!r} wants a thread, the simulation has none")

    def _numbered_task(
        self, loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any
    ) -> asyncio.Task[Any]:
        return _NumberedTask(next(self._serials), coroutine, loop=loop, **options)

    def _jump(self, seconds: float | None) -> None:
        if self._broken is not None:
            broken, self._broken = self._broken, None
            raise broken
        if seconds is None:
            raise Stuck("every task waits and nothing is scheduled")
        self._virtual_seconds += max(0.0, seconds)


class _NumberedTask(asyncio.Task[Any]):
    def __init__(self, serial: int, coroutine: Coroutine[Any, Any, Any], **options: Any) -> None:
        self._serial = serial  # before the base class puts the task into a set
        super().__init__(coroutine, **options)

    def __hash__(self) -> int:
        return self._serial


class _JumpingSelector(selectors.SelectSelector):
    """Tells the loop that its time has come instead of waiting for it."""

    def __init__(self, jump: Callable[[float | None], None]) -> None:
        super().__init__()
        self._jump = jump

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._jump(timeout)
        return []


def run(story: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in virtual time; raises Stuck instead of hanging."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(story)
