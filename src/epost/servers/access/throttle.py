"""Slows repeated login failures down, per (source, account), and never locks anybody out.

After n failures the next attempt waits min(60, 2^(n-1)) seconds before its password is looked at;
attempts in parallel queue behind each other. An attempt that would wait longer than the longest
delay is told to come back instead, so that sleeping attempts do not pile up.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ThrottleLimits:
    """Numbers of the throttle."""

    first_delay_seconds: float = 1.0
    longest_delay_seconds: float = 60.0
    forget_after_seconds: float = 3600.0
    entries_max: int = 10_000


@dataclass(slots=True)
class _Failures:
    count: int = 0
    last_at: float = 0.0
    next_turn_at: float = 0.0


class FailureThrottle:
    """Remembers recent failures in a bounded table; the least recently touched are forgotten."""

    def __init__(
        self,
        *,
        now: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
        limits: ThrottleLimits | None = None,
    ) -> None:
        self._now = now
        self._sleep = sleep
        self._limits = limits or ThrottleLimits()
        self._failures: OrderedDict[tuple[str, str], _Failures] = OrderedDict()

    async def turn(self, source: str, account: str) -> bool:
        """Wait until this attempt may be checked; False if too many are waiting already."""
        failures = self._recent(source, account)
        if failures is None:
            return True
        now = self._now()
        turn_at = max(now, failures.next_turn_at)
        if turn_at - now > self._limits.longest_delay_seconds:
            return False
        failures.next_turn_at = turn_at + self._delay_seconds(failures.count)
        if turn_at > now:
            await self._sleep(turn_at - now)
        return True

    def failed(self, source: str, account: str) -> None:
        """Count a failure: the next attempt waits longer."""
        failures = self._recent(source, account)
        if failures is None:
            failures = self._failures[source, account] = _Failures()
            if len(self._failures) > self._limits.entries_max:
                self._failures.popitem(last=False)
        failures.count += 1
        failures.last_at = self._now()
        turn_at = failures.last_at + self._delay_seconds(failures.count)
        failures.next_turn_at = max(failures.next_turn_at, turn_at)

    def succeeded(self, source: str, account: str) -> None:
        """Forget the failures of a peer that has shown the right password."""
        self._failures.pop((source, account), None)

    def _recent(self, source: str, account: str) -> _Failures | None:
        failures = self._failures.get((source, account))
        if failures is None:
            return None
        if self._now() - failures.last_at > self._limits.forget_after_seconds:
            del self._failures[source, account]
            return None
        self._failures.move_to_end((source, account))
        return failures

    def _delay_seconds(self, count: int) -> float:
        doublings = min(count - 1, 30)  # beyond any sensible longest delay; keeps 2**n small
        delay: float = self._limits.first_delay_seconds * 2.0**doublings
        return min(delay, self._limits.longest_delay_seconds)
