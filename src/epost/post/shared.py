"""One running story per key, however many wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Generic, TypeVar

K = TypeVar("K")
T = TypeVar("T")


class Shared(Generic[K, T]):
    """Lets those who want the same thing at the same time share the work.

    The story ends when nobody waits for it any more.
    """

    def __init__(self) -> None:
        self._running: dict[K, tuple[asyncio.Future[T], int]] = {}

    async def run(self, key: K, story: Coroutine[Any, Any, T]) -> T:
        """Return the result of the story that runs for the key, or of this one if none does."""
        known = self._running.get(key)
        if known is None:
            known = asyncio.ensure_future(story), 0
        else:
            story.close()
        future, waiting = known
        self._running[key] = future, waiting + 1
        try:
            return await asyncio.shield(future)
        finally:
            self._leave(key, future)

    def _leave(self, key: K, future: asyncio.Future[T]) -> None:
        _, waiting = self._running[key]
        if waiting > 1:
            self._running[key] = future, waiting - 1
            return
        del self._running[key]
        if not future.done():
            future.cancel()
