"""The time in a log: said now and then, so that the past can be read as it was (design 6)."""

from __future__ import annotations

from collections.abc import Sequence

from epost.foundation.ports import Clock
from epost.post.logs.entries import Entry
from epost.post.logs.snapshot_format import time_mark


class LogClock:
    """Says what time it is before what is logged, if that was not said lately."""

    def __init__(self, clock: Clock, every_seconds: float) -> None:
        self._clock = clock
        self._every_ms = 1000 * every_seconds
        self._marked_ms = 0

    def due(self) -> Sequence[Entry]:
        """Return the mark that must go before the next entries, if it is time for one.

        A clock that was set back is followed at once.
        """
        now_ms = self._clock.wall_ms()
        if 0 <= now_ms - self._marked_ms < self._every_ms:
            return ()
        self._marked_ms = now_ms
        return (time_mark(now_ms),)
