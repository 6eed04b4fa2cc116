"""How much each of many may ask for in a while; the table is bounded (crypto 10)."""

from __future__ import annotations

from typing import Generic, TypeVar

from epost.foundation.bounded import BoundedDict
from epost.foundation.errors import Overloaded

K = TypeVar("K")


class Rates(Generic[K]):
    """A token bucket for each key: so many a second, and a burst."""

    def __init__(self, per_second: float, burst: float, keys_max: int) -> None:
        """Of more keys than `keys_max` the longest unused are forgotten."""
        self._per_second = per_second
        self._burst = burst
        self._buckets: BoundedDict[K, tuple[float, float]] = BoundedDict(keys_max)

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, key: K, now: float, cost: float = 1.0) -> None:
        """Take tokens; raises Overloaded if there are not enough."""
        if not self.try_take(key, now, cost):
            raise Overloaded("too many updates or checks in a short time")

    def try_take(self, key: K, now: float, cost: float = 1.0) -> bool:
        """Take tokens; False, and none taken, if there are not enough."""
        left, at = self._buckets.get(key) or (self._burst, now)
        left = min(self._burst, left + (now - at) * self._per_second)
        if left < cost:
            return False
        self._buckets.put(key, (left - cost, now))
        return True
