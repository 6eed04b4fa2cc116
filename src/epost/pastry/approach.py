"""A newcomer walks to a member nearby before it asks its way (Castro et al., proximity TR 2002).

The rows of a routing table are samples of ever wider surroundings, the first one of the nearest.
So the newcomer measures the nodes of the deepest row of a member, goes on to the nearest of them
and to the row above, and repeats the first row until nobody is nearer. The first hop of its join
fills most of its own table: from nearby it becomes a good one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from epost.foundation.codec import encode
from epost.foundation.effects import Outbox
from epost.foundation.ids import NodeHandle, shared_digits
from epost.foundation.wire import Application
from epost.pastry.config import APPROACH_STEPS_MAX, PastryConfig
from epost.pastry.messages import RowRequest
from epost.pastry.round_trips import RoundTrips

DEEPEST = 255
"""Row number that asks for the deepest row there is."""


class Approach:
    """One walk; the nodes that are hinted at are measured by the upkeep of the table."""

    def __init__(self, config: PastryConfig, outbox: Outbox, round_trips: RoundTrips) -> None:
        self._config = config
        self._outbox = outbox
        self._round_trips = round_trips
        self._at: NodeHandle | None = None
        self._row = DEEPEST
        self._steps = 0
        self._hinted: Sequence[NodeHandle] = ()
        self._deadline = 0.0

    @property
    def is_under_way(self) -> bool:
        """Whether a walk has begun and not ended."""
        return self._at is not None

    @property
    def deadline(self) -> float:
        """Until when the next step waits for answers."""
        return self._deadline

    def begin(self, contact: NodeHandle, now: float) -> None:
        """Start from a member."""
        self._row, self._steps = DEEPEST, 0
        self._ask(contact, now)

    def on_hints(self, sender: NodeHandle, nodes: Sequence[NodeHandle], now: float) -> None:
        """Measure the nodes of the row that we asked for; none: there are no more to look at."""
        if self._at is None or sender.node_id != self._at.node_id or self._hinted:
            return
        if self._row == DEEPEST:
            digits = (shared_digits(sender.node_id, node.node_id) for node in nodes)
            self._row = max(digits, default=0)
        self._hinted = nodes
        self._deadline = now + self._config.probe_timeout_seconds if nodes else now

    def advance(self, now: float, arrive: Callable[[NodeHandle, float], None]) -> None:
        """Take the next step if everybody has answered or time is up; `arrive` at the end."""
        if self._at is None:
            return
        waits = not self._hinted or any(
            self._round_trips.of(node.node_id) is None for node in self._hinted
        )
        if waits and now < self._deadline:
            return
        here = self._at
        nearest = min((here, *self._hinted), key=self._distance)
        is_last = self._row in (0, DEEPEST) and nearest is here
        if is_last or self._steps >= APPROACH_STEPS_MAX:
            self._at = None
            arrive(nearest, now)
            return
        self._row = max(0, self._row - 1)
        self._ask(nearest, now)

    def _ask(self, node: NodeHandle, now: float) -> None:
        self._at, self._hinted = node, ()
        self._steps += 1
        self._deadline = now + self._config.probe_timeout_seconds
        self._outbox.notify(node, Application.PASTRY, encode(RowRequest(self._row, False)))

    def _distance(self, node: NodeHandle) -> tuple[float, bool]:
        """Return the round trip; who was not measured is far, and where we are wins a tie."""
        seconds = self._round_trips.of(node.node_id)
        is_elsewhere = self._at is None or node.node_id != self._at.node_id
        return float("inf") if seconds is None else seconds, is_elsewhere
