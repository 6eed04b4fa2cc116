"""Work of tens of milliseconds (cutting a large mail, searching) on threads beside the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

T = TypeVar("T")


class ThreadOffload:
    """The real Offload: the pool is the daemon's, so it is bounded with everything else."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def __call__(self, work: Callable[[], T]) -> T:
        """Return what `work` returns."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)
