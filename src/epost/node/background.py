"""Tasks that nobody waits for: kept alive, counted, cancelled together, failures never lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from epost.foundation.errors import EpostError
from epost.foundation.ports import Observer
from epost.node.observed import StoryFailed


class Background:
    """Runs stories as tasks and holds the reference that asyncio does not.

    A story that ends with an EpostError is observed; any other error is a bug and is handed to
    `on_bug`.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        observer: Observer,
        *,
        on_bug: Callable[[BaseException], None],
    ) -> None:
        self._loop = loop
        self._observer = observer
        self._on_bug = on_bug
        # A dict, since a set would cancel in the order of memory addresses.
        self._tasks: dict[asyncio.Task[None], str] = {}

    def __len__(self) -> int:
        return len(self._tasks)

    def run(self, story: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a story; the task may be cancelled by whoever asked for it."""
        task = self._loop.create_task(story)
        self._tasks[task] = getattr(story, "__qualname__", "story")
        task.add_done_callback(self._on_done)
        return task

    def cancel_soon(self) -> None:
        """Ask every task to end, without waiting for it."""
        for task in list(self._tasks):
            task.cancel()

    async def cancel_all(self) -> None:
        """Ask every task to end and wait until all have; not to be called by one of them."""
        while self._tasks:
            self.cancel_soon()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        name = self._tasks.pop(task)
        if task.cancelled():
            return
        error = task.exception()
        if isinstance(error, EpostError):
            self._observer.record(StoryFailed(name, error))
        elif error is not None:
            self._on_bug(error)
