"""Rates, and who broke the rules lately (crypto 10); all tables are bounded."""

from __future__ import annotations

from typing import Generic, TypeVar

from epost.foundation.errors import Overloaded
from epost.foundation.ids import NodeId
from epost.past.bounded import BoundedDict
from epost.past.config import KEYS_LIMITED_MAX

K = TypeVar("K")


class Rates(Generic[K]):
    """A token bucket for each key: so many a second, and a burst."""

    def __init__(self, per_second: float, burst: float) -> None:
        self._per_second = per_second
        self._burst = burst
        self._buckets: BoundedDict[K, tuple[float, float]] = BoundedDict(KEYS_LIMITED_MAX)

    def take(self, key: K, now: float, cost: float = 1.0) -> None:
        """Take tokens; raises Overloaded if there are not enough."""
        left, at = self._buckets.get(key) or (self._burst, now)
        left = min(self._burst, left + (now - at) * self._per_second)
        if left < cost:
            raise Overloaded("too many updates or checks in a short time")
        self._buckets.put(key, (left - cost, now))


class Distrust:
    """Refuses for a while those who sent several invalid blocks of their own making."""

    def __init__(self, invalid_max: int, within_seconds: float, refuse_seconds: float) -> None:
        self._invalid_max = invalid_max
        self._within_seconds = within_seconds
        self._refuse_seconds = refuse_seconds
        self._invalid: BoundedDict[NodeId, tuple[float, ...]] = BoundedDict(KEYS_LIMITED_MAX)
        self._until: BoundedDict[NodeId, float] = BoundedDict(KEYS_LIMITED_MAX)

    def is_refused(self, node: NodeId, now: float) -> bool:
        """Is this node being refused?"""
        until = self._until.get(node)
        return until is not None and now < until

    def blame(self, node: NodeId, now: float) -> bool:
        """Note an invalid block; return whether the node is refused from now on."""
        before = self._invalid.get(node) or ()
        recent = (*(at for at in before if now - at < self._within_seconds), now)
        if len(recent) < self._invalid_max:
            self._invalid.put(node, recent)
            return False
        self.refuse(node, now)
        return True

    def refuse(self, node: NodeId, now: float) -> None:
        """Refuse a node for a while from now on."""
        self._invalid.remove(node)
        self._until.put(node, now + self._refuse_seconds)
