"""How long a node waits before it compares with a neighbour again: less while things change.

After a change of who counts a neighbour is compared with at once; then, as long as nothing
differs, ever more rarely. A difference is looked at again soon, to see it settled; one that stays
the same ever more rarely too, but slowly: it may be a peer without room or one that lies, or a
copy that was lost on its way and is wanted again.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from epost.foundation.ids import NodeId
from epost.past.comparing import RoundDone
from epost.past.config import PastConfig

FIRST_PART = 1 / 8
"""Of the maintenance interval: the first pause after a change, if nothing differs."""

SAME_PART = 1 / 4
"""Of the time for which a difference has been the same: the next pause. So when it is settled,
that is known after a quarter more of the time that it took."""


@dataclass(frozen=True, slots=True)
class _Last:
    differences: tuple[int, int]
    pause_seconds: float
    same_seconds: float
    """Since a round first found this, until the next one."""


class Pauses:
    """Remembers the last round with each neighbour."""

    def __init__(self, config: PastConfig) -> None:
        self._config = config
        self._last: dict[NodeId, _Last] = {}

    def after(self, done: RoundDone) -> float:
        """Return how many seconds to wait after a round."""
        peer, differences = done.peer.id, (done.missing, done.lacking)
        interval = self._config.maintenance_interval_seconds
        last = self._last.get(peer)
        same = last.same_seconds if last and last.differences == differences else 0.0
        if any(differences):
            pause = max(self._config.recheck_seconds, SAME_PART * same)
        elif last and same:
            pause = 2 * last.pause_seconds
        else:
            pause = FIRST_PART * interval
        pause = min(pause, interval)
        self._last[peer] = _Last(differences, pause, same + pause)
        return pause

    def forget(self, peers: Collection[NodeId]) -> None:
        """These changed: the next round with each is the first again."""
        for peer in peers:
            self._last.pop(peer, None)
