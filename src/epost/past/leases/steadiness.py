"""Has the wall clock been right for a while? Nothing is freed by a clock that jumped (design 8)."""

from __future__ import annotations

JUMP_MS_MAX = 5 * 60 * 1000
"""The wall clock may be put right by so much without being doubted."""


class SteadyClock:
    """Compares the wall clock with the monotonic one, which goes on while the machine sleeps."""

    def __init__(self, steady_seconds: float) -> None:
        self._steady_seconds = steady_seconds
        self._since: tuple[float, int] | None = None

    def is_steady(self, now: float, wall_ms: int, *, is_sound: bool) -> bool:
        """Have both gone along together, and with the peers' clocks, for long enough?

        To be asked now and then: what happens between two questions is seen at the second.
        """
        if not is_sound:
            self._since = None
            return False
        if self._since is None or self._has_jumped(self._since, now, wall_ms):
            self._since = now, wall_ms
        return now - self._since[0] >= self._steady_seconds

    def _has_jumped(self, since: tuple[float, int], now: float, wall_ms: int) -> bool:
        began, began_ms = since
        return abs((wall_ms - began_ms) - 1000 * (now - began)) > JUMP_MS_MAX
