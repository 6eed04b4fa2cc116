"""Routed messages between this node and their next hop: acknowledged, sent again, given back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from epost.foundation.codec import encode
from epost.foundation.effects import Outbox
from epost.foundation.ids import Id, NodeHandle
from epost.foundation.ports import Entropy
from epost.foundation.wire import Application
from epost.pastry.alarm import Alarm
from epost.pastry.config import IN_FLIGHT_MAX, PastryConfig
from epost.pastry.messages import FindRootSet, Transit
from epost.pastry.round_trips import RoundTrips


@dataclass(slots=True)
class Journey:
    """A routed message while it is at this node.

    `hops` counts its transmissions so far, `reroutes` the times it had to try another way from
    here; `is_announced` once the application was asked whether it may go on. A `question` is the
    body of the overlay's own messages, except of the empty ones by which joiners ask their way.
    """

    message: bytes
    origin: NodeHandle
    key: Id
    application: Application
    hops: int
    body: bytes
    question: FindRootSet | None = None
    reroutes: int = 0
    is_announced: bool = False

    @property
    def asks_way(self) -> bool:
        """Whether a joiner wants to know its neighbours."""
        return self.application is Application.PASTRY and self.question is None

    @property
    def is_constrained(self) -> bool:
        """Whether it travels by the tables that nobody can poison."""
        return self.question is not None and self.question.is_constrained


@dataclass(slots=True)
class _Flight:
    to: NodeHandle
    journey: Journey
    packet: bytes
    tries: int
    deadline: float
    sent_at: float = 0.0


class Hops:
    """The transmissions that are not acknowledged yet, at most IN_FLIGHT_MAX."""

    TIMER = "hops"

    def __init__(
        self, config: PastryConfig, outbox: Outbox, entropy: Entropy, round_trips: RoundTrips
    ) -> None:
        self._config = config
        self._outbox = outbox
        self._alarm = Alarm(outbox, Application.PASTRY, self.TIMER)
        # Random start: a restarted node must not repeat ids that its neighbours remember.
        self._next_hop_id = int.from_bytes(entropy.token(6), "big")
        self._round_trips = round_trips
        self._flights: dict[int, _Flight] = {}

    @property
    def has_room(self) -> bool:
        """Whether another message may be taken over."""
        return len(self._flights) < IN_FLIGHT_MAX

    def send(self, journey: Journey, to: NodeHandle, now: float) -> None:
        """Transmit a message; it counts one hop more from now on."""
        journey.hops += 1
        self._next_hop_id += 1
        hop = self._next_hop_id
        packet = encode(
            Transit(
                hop,
                journey.message,
                journey.origin,
                journey.key,
                journey.application,
                journey.hops,
                journey.body,
            )
        )
        self._transmit(hop, _Flight(to, journey, packet, 0, 0.0), now)

    def on_ack(self, sender: NodeHandle, hop: int, now: float) -> None:
        """Forget a transmission that arrived; only its receiver can say so."""
        flight = self._flights.get(hop)
        if flight is not None and flight.to.node_id == sender.node_id:
            del self._flights[hop]
            if flight.tries == 1:
                self._round_trips.learn(sender.node_id, now - flight.sent_at)

    def take_failed(self, now: float) -> Sequence[tuple[NodeHandle, Journey]]:
        """Send again what is due; take and return what was sent often enough."""
        self._alarm.rang()
        failed = []
        for hop, flight in list(self._flights.items()):
            if flight.deadline > now:
                continue
            del self._flights[hop]
            if flight.tries < self._config.hop_tries:
                self._transmit(hop, flight, now)
            else:
                failed.append((flight.to, flight.journey))
        if self._flights:
            self._alarm.set_by(min(flight.deadline for flight in self._flights.values()), now)
        return failed

    def take_for(self, node_id: bytes) -> Sequence[tuple[NodeHandle, Journey]]:
        """Take and return what is on the way to a node that cannot be reached."""
        hops = [hop for hop, flight in self._flights.items() if flight.to.node_id == node_id]
        flights = [self._flights.pop(hop) for hop in hops]
        return [(flight.to, flight.journey) for flight in flights]

    def _transmit(self, hop: int, flight: _Flight, now: float) -> None:
        flight.tries += 1
        usual = self._config.hop_timeout_seconds
        patience = self._round_trips.patience(flight.to.node_id, usual)
        flight.sent_at, flight.deadline = now, now + patience
        self._flights[hop] = flight
        self._outbox.notify(flight.to, Application.PASTRY, flight.packet)
        self._alarm.set_by(flight.deadline, now)
