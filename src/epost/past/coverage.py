"""Which keys this node has compared with whom since it became a member (design 3).

Until a key was compared with two other replicas of it (with every other enrolled node where there
are fewer), this node may have slept through a newer version, and says so when it is asked.
"""

from __future__ import annotations

from collections.abc import Sequence

from epost.foundation.ids import NodeId, number
from epost.past.arcs import Arc

COMPARISONS_NEEDED = 2
PEERS_MAX = 256


class Coverage:
    """The arcs compared with each peer."""

    def __init__(self) -> None:
        self._compared: dict[NodeId, tuple[Arc, ...]] = {}

    def forget(self) -> None:
        """This node was away: all of it may be out of date."""
        self._compared.clear()

    def note(self, peer: NodeId, arcs: Sequence[Arc]) -> None:
        """All of these arcs were compared with a peer."""
        self._compared.pop(peer, None)
        self._compared[peer] = tuple(arcs)
        if len(self._compared) > PEERS_MAX:
            del self._compared[next(iter(self._compared))]

    def is_current(self, place: bytes, enrolled: int) -> bool:
        """Was a place compared with enough others? Alone there is nobody to have missed."""
        needed = min(COMPARISONS_NEEDED, enrolled - 1)
        at = number(place)
        seen = sum(any(arc.reaches(at) for arc in arcs) for arcs in self._compared.values())
        return seen >= needed
