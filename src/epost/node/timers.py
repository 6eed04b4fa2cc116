"""The named timers of the machines, on the loop's clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from epost.foundation.wire import Application

Key = tuple[Application, str]


class Timers:
    """At most one timer per (application, name).

    A timer that went off may be set anew until its turn comes: the driver asks
    `take_due` before it tells the machine.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, on_due: Callable[[Application, str], None]
    ) -> None:
        self._loop = loop
        self._on_due = on_due
        self._running: dict[Key, asyncio.TimerHandle] = {}
        self._due: dict[Key, None] = {}

    def set(self, application: Application, name: str, delay_seconds: float) -> None:
        """Start a timer, replacing one of the same name."""
        key = (application, name)
        self._due.pop(key, None)
        if handle := self._running.pop(key, None):
            handle.cancel()
        self._running[key] = self._loop.call_later(delay_seconds, self._expire, key)

    def cancel_all(self) -> None:
        """Forget every timer."""
        for handle in self._running.values():
            handle.cancel()
        self._running.clear()
        self._due.clear()

    def take_due(self, application: Application, name: str) -> bool:
        """Return whether the timer is still due, and forget it."""
        key = (application, name)
        is_due = key in self._due
        self._due.pop(key, None)
        return is_due

    def _expire(self, key: Key) -> None:
        del self._running[key]
        self._due[key] = None
        self._on_due(*key)
