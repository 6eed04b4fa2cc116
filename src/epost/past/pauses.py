"""How long a node waits before it compares with a neighbour again: less while things change.

After a change of who counts a neighbour is compared with at once; then, as long as nothing
differs, ever more rarely. A difference is looked at again soon, to see it settled; one that stays
the same (a peer without room, or one that lies) ever more rarely too.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from epost.foundation.ids import NodeId
from epost.past.comparing import RoundDone
from epost.past.config import PastConfig

FIRST_PART = 1 / 8
"""Of the maintenance interval: the first pause after a change, if nothing differs."""


@dataclass(frozen=True, slots=True)
class _Last:
    differences: tuple[int, int]
    pause_seconds: float


class Pauses:
    """Remembers the last round with each neighbour."""

    def __init__(self, config: PastConfig) -> None:
        self._config = config
        self._last: dict[NodeId, _Last] = {}

    def after(self, done: RoundDone) -> float:
        """Return how many seconds to wait after a round."""
        peer, differences = done.peer.id, (done.missing, done.lacking)
        interval = self._config.maintenance_interval_seconds
        first = self._config.recheck_seconds if any(differences) else FIRST_PART * interval
        last = self._last.get(peer)
        is_as_before = last is not None and last.differences == differences
        pause = min(interval, 2 * last.pause_seconds) if last and is_as_before else first
        self._last[peer] = _Last(differences, pause)
        return pause

    def forget(self, peers: Collection[NodeId]) -> None:
        """These changed: the next round with each is the first again."""
        for peer in peers:
            self._last.pop(peer, None)
