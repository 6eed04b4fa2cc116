"""How long to wait before a ring that was out of reach is asked again.

A part of the absence so far: who comes back waits little, who is away for a night does not ask all
night. A change of what this node sees of the ring ends the wait.
"""

from __future__ import annotations

import asyncio

from epost.post.config import PostConfig
from epost.post.ports import NodePorts

ABSENCE_PART = 0.25
"""Of the time for which the ring has been out of reach the next pause is this part."""
JITTER_PART = 0.25
"""By up to this part a pause is longer: many are cut off, and come back, in the same moment."""


class RingPatience:
    """The pauses between two attempts to reach the ring."""

    def __init__(self, ports: NodePorts, config: PostConfig) -> None:
        self._ports = ports
        self._config = config
        self._away_since: float | None = None

    def on_reached(self) -> None:
        """The ring has answered: the next absence begins with the shortest pause."""
        self._away_since = None

    async def pause(self) -> None:
        """Wait before the next attempt, `log_retry_seconds_min` at least."""
        now, shortest = self._ports.clock.now(), self._config.log_retry_seconds_min
        if self._away_since is None:
            self._away_since = now
        wanted = max(ABSENCE_PART * (now - self._away_since), shortest)
        jitter = int.from_bytes(self._ports.entropy.token(2), "big") / 0x10000
        pause = min(wanted, self._config.log_retry_seconds_max) * (1 + JITTER_PART * jitter)
        view, looks = self._ports.ring_view(), int(pause / shortest)
        for _ in range(looks):
            await asyncio.sleep(pause / looks)
            if self._ports.ring_view() != view:
                return
