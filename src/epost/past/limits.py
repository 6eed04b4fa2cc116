"""Who broke the rules lately (crypto 10); all tables are bounded."""

from __future__ import annotations

from epost.foundation.bounded import BoundedDict
from epost.foundation.ids import NodeId
from epost.past.config import KEYS_LIMITED_MAX


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
