"""Is the own wall clock believable? Compared with what peers say when links come up (crypto 7.2).

A clock off the peers' median by more than an hour must not make anything expire.
"""

from __future__ import annotations

from collections import OrderedDict
from statistics import median

from epost.foundation.ids import NodeId
from epost.foundation.ports import Clock

DEVIATION_MS_MAX = 3600 * 1000
PEERS_REMEMBERED_MAX = 64
PEERS_MIN = 3
"""Fewer peers than this cannot outvote the own clock."""


class ClockCheck:
    """Remembers how far each peer's wall clock was from ours when its link came up."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._deviations: OrderedDict[NodeId, int] = OrderedDict()

    def on_peer_clock(self, node: NodeId, clock_ms: int) -> None:
        """A peer said what time it is; only the newest word of each counts."""
        self._deviations.pop(node, None)
        self._deviations[node] = clock_ms - self._clock.wall_ms()
        while len(self._deviations) > PEERS_REMEMBERED_MAX:
            self._deviations.popitem(last=False)

    def is_sound(self) -> bool:
        """Does the own clock agree with the median of the peers', as far as that is known?"""
        if len(self._deviations) < PEERS_MIN:
            return True
        return abs(median(self._deviations.values())) <= DEVIATION_MS_MAX
