"""Virtual time: an asyncio loop that never waits but jumps to its next callback.

The same coroutines run as in the daemon, an hour in a fraction of a second, and in the same order
each time: callbacks run by deadline, those of one deadline in the order in which they were asked
for, and tasks hash by their number, so that the sets of tasks inside asyncio keep no order of
memory addresses either.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from heapq import heappop, heappush
from itertools import count
from typing import Any, NoReturn, TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Stuck(AssertionError):  # noqa: N818 - it is a state, not somebody's error
    """Every task waits and nothing is scheduled: in real time this would hang for ever."""


class VirtualLoop(asyncio.BaseEventLoop):
    """An event loop on virtual seconds, which start at 0; it knows no threads and no sockets.

    An error in a callback ends the run: it is a bug of ours, never to be logged only.
    """

    def __init__(self) -> None:
        self._is_running = False
        super().__init__()
        self._now = 0.0
        self._soon: deque[_Callback] = deque()
        # Tuples with a serial: compared in C, and equal deadlines keep the order of asking.
        self._later: list[tuple[float, int, _Callback]] = []
        self._serials = count()
        self._task_numbers = count()
        self._is_stopping = False
        self.set_task_factory(self._numbered_task)

    def time(self) -> float:
        """Return the virtual seconds since the loop was made."""
        return self._now

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """Run a callback after those that were asked for before."""
        handle = _Callback(self._now, callback, args, context)
        self._soon.append(handle)
        return handle

    call_soon_threadsafe = call_soon

    def call_later(
        self,
        delay: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Run a callback after so many virtual seconds."""
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Run a callback at a virtual second, at the next chance if that is over."""
        handle = _Callback(when, callback, args, context)
        heappush(self._later, (when, next(self._serials), handle))
        return handle

    def run_forever(self) -> None:
        """Run until `stop`; raises Stuck, and what a callback raises."""
        assert not self._is_running, "the loop runs already"
        self._is_running = True
        asyncio._set_running_loop(self)
        try:
            self._run_until_stopped()
        finally:
            asyncio._set_running_loop(None)
            self._is_running = self._is_stopping = False

    def stop(self) -> None:
        """Have `run_forever` end after the callback that runs now."""
        self._is_stopping = True

    def is_running(self) -> bool:
        """Tell whether callbacks are being run."""
        return self._is_running

    def run_in_executor(  # type: ignore[override]  # it never returns what the base class promises
        self, executor: Any, func: Any, *args: Any
    ) -> NoReturn:
        """Refuse: the order of threads is not ours to decide."""
        raise AssertionError(f"{func!r} wants a thread, the simulation has none")

    def _run_until_stopped(self) -> None:
        """Run what waits, round by round; what is asked for meanwhile waits for the next one."""
        soon, later = self._soon, self._later
        while True:
            for _ in range(len(soon)):
                if self._is_stopping:
                    return
                handle = soon.popleft()
                callback, context = handle.callback, handle.context
                if callback is None:
                    continue
                try:
                    if context is None:
                        callback(*handle.arguments)
                    else:
                        context.run(callback, *handle.arguments)
                except Exception as error:
                    text = f"an error in {callback!r}"
                    self.call_exception_handler({"message": text, "exception": error})
                    raise
            if self._is_stopping:
                return
            if not soon:
                self._jump()
            while later and later[0][0] <= self._now:
                soon.append(heappop(later)[2])

    def _jump(self) -> None:
        """Nothing is left to be run now: let the time come for whatever is next."""
        later = self._later
        while later and later[0][2].callback is None:
            heappop(later)
        if not later:
            raise Stuck("every task waits and nothing is scheduled")
        self._now = max(self._now, later[0][0])

    def _numbered_task(
        self, loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any
    ) -> asyncio.Task[Any]:
        return _NumberedTask(next(self._task_numbers), coroutine, loop=loop, **options)


class _Callback(asyncio.TimerHandle):
    """Something to be run; a handle in name, since asyncio's own does three times the work.

    Callbacks of tasks bring their context; the others need none.
    """

    __slots__ = ("arguments", "callback", "context", "deadline")

    def __init__(
        self,
        deadline: float,
        callback: Callable[..., object],
        arguments: tuple[Any, ...],
        context: Context | None,
    ) -> None:
        self.deadline = deadline
        self.callback: Callable[..., object] | None = callback
        self.arguments = arguments
        self.context = context

    def cancel(self) -> None:
        """Do not run it."""
        self.callback, self.arguments = None, ()

    def cancelled(self) -> bool:
        """Tell whether it will not run."""
        return self.callback is None

    def when(self) -> float:
        """Return the virtual second for which it was asked."""
        return self.deadline

    def __repr__(self) -> str:
        return f"<{self.callback!r} at {self.deadline}>"


class _NumberedTask(asyncio.Task[Any]):
    def __init__(self, number: int, coroutine: Coroutine[Any, Any, Any], **options: Any) -> None:
        self._number = number  # before the base class puts the task into a set
        super().__init__(coroutine, **options)

    def __hash__(self) -> int:
        return self._number


def run(story: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in virtual time; raises Stuck instead of hanging."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(story)
