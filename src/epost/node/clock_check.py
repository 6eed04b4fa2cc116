"""Is the own wall clock believable? Compared with what peers say when links come up (crypto 7.2).

A clock off the peers' median by more than an hour must not make anything expire, and one that is
off by minutes must not date what others compare with theirs: they would take none of it.
"""

from __future__ import annotations

from collections import OrderedDict
from statistics import median

from epost.foundation.durations import HOUR_MS
from epost.foundation.ids import NodeId
from epost.foundation.ports import Clock

DEVIATION_MS_MAX = HOUR_MS
DIFFERENCE_MS_MAX = 5 * 60 * 1000
"""Half of what recipients, and those who store, take."""
PEERS_REMEMBERED_MAX = 64
PEERS_MIN = 3
"""Fewer peers than this cannot outvote the own clock."""


class ClockCheck:
    """Remembers what each peer's wall clock said when its link came up.

    Each word goes on by the own monotonic clock, so a jump of the own wall clock shows at once.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._words: OrderedDict[NodeId, float] = OrderedDict()

    def on_peer_clock(self, node: NodeId, clock_ms: int) -> None:
        """A peer said what time it is; only the newest word of each counts."""
        self._words.pop(node, None)
        self._words[node] = clock_ms - 1000 * self._clock.now()
        while len(self._words) > PEERS_REMEMBERED_MAX:
            self._words.popitem(last=False)

    def is_sound(self) -> bool:
        """Does the own clock agree with the median of the peers', as far as that is known?"""
        return abs(self._ahead_ms()) <= DEVIATION_MS_MAX

    def agreed_ms(self) -> int:
        """Return the time to put on what is to be of now for others: the peers' if ours is off."""
        ahead_ms = self._ahead_ms()
        return self._clock.wall_ms() - (ahead_ms if abs(ahead_ms) > DIFFERENCE_MS_MAX else 0)

    def sending_ms(self) -> int:
        """Return the time to put on what is sent: the peers', if the own clock is ahead of it.

        Not if it is behind: what is dated later than now waits here until then.
        """
        return min(self._clock.wall_ms(), self.agreed_ms())

    def _ahead_ms(self) -> int:
        if len(self._words) < PEERS_MIN:
            return 0
        peers_ms = median(self._words.values()) + 1000 * self._clock.now()
        return self._clock.wall_ms() - round(peers_ms)
