"""Bodies on their way from the vault to machines, a bounded number at a time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial

from epost.foundation.effects import Load
from epost.foundation.ports import Vault

LOADS_RUNNING_MAX = 64
"""Bodies being read, or read and waiting for their turn."""


class Loads:
    """Reads bodies in the order asked for; `done` makes room for the next.

    `on_failed` hears of a disk that cannot be read at all: a damaged or missing body is None.
    """

    def __init__(
        self,
        vault: Vault,
        *,
        on_loaded: Callable[[Load, bytes | None], None],
        on_failed: Callable[[BaseException], None],
    ) -> None:
        self._vault = vault
        self._on_loaded = on_loaded
        self._on_failed = on_failed
        self._waiting: deque[Load] = deque()
        self._running = 0

    @property
    def waiting(self) -> int:
        """How many wait for room."""
        return len(self._waiting)

    def ask(self, load: Load) -> None:
        """Read a body, when there is room."""
        self._waiting.append(load)
        self._begin_some()

    def done(self) -> None:
        """A body has had its turn."""
        self._running -= 1
        self._begin_some()

    def forget_waiting(self) -> None:
        """Begin none of those that wait."""
        self._waiting.clear()

    def _begin_some(self) -> None:
        while self._waiting and self._running < LOADS_RUNNING_MAX:
            load = self._waiting.popleft()
            self._running += 1
            self._vault.load(load.handle).add_done_callback(partial(self._on_done, load))

    def _on_done(self, load: Load, body: asyncio.Future[bytes | None]) -> None:
        if error := body.exception():
            self._on_failed(error)
        else:
            self._on_loaded(load, body.result())
