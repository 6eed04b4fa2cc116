"""Long work that nobody waits for: it gives way to what somebody does wait for.

To let every other task have one turn is not enough: an answer takes a dozen turns of the loop (to
read, to commit, to write), and each of them would wait for another slice of the work.
"""

from __future__ import annotations

import asyncio

from epost.foundation.ports import Clock

SLICE_SECONDS = 0.005
REST_SECONDS_MAX = 0.1


class Pacing:
    """Half of the time at most: after a slice of work, a rest as long as that took."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began = clock.now()

    @property
    def is_due(self) -> bool:
        """Has the work gone on for long enough?"""
        return self._clock.now() - self._began >= SLICE_SECONDS

    async def give_way(self) -> None:
        """Let others have a turn; if it is due, rest."""
        if not self.is_due:
            await asyncio.sleep(0)
            return
        await asyncio.sleep(min(self._clock.now() - self._began, REST_SECONDS_MAX))
        self._began = self._clock.now()
