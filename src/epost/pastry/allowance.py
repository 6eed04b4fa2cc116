"""How many large answers one node is given: what it asks is short, and its name may be forged."""

from __future__ import annotations

from epost.foundation.ids import NodeId


class Allowance:
    """A token bucket for each node that asks; the node that asked least lately is forgotten."""

    def __init__(self, per_second: float, burst: int, nodes_max: int) -> None:
        self._per_second = per_second
        self._burst = burst
        self._nodes_max = nodes_max
        self._left: dict[NodeId, tuple[float, float]] = {}

    def __len__(self) -> int:
        return len(self._left)

    def take(self, node: NodeId, now: float) -> bool:
        """Take one of what a node has left; False if it has nothing left for now."""
        left, at = self._left.pop(node, (float(self._burst), now))
        left = min(float(self._burst), left + (now - at) * self._per_second)
        is_enough = left >= 1.0
        self._left[node] = (left - is_enough, now)
        if len(self._left) > self._nodes_max:
            del self._left[next(iter(self._left))]
        return is_enough
