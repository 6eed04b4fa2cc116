"""Look-ups as an application on the overlay: asked, answered straight to the asker, asked again.

The asker has only its timeout; the judge of where look-ups are delivered has global knowledge.
"""

from __future__ import annotations

from dataclasses import dataclass

from epost.foundation.effects import Caller
from epost.foundation.ids import Id, NodeHandle, NodeId, number, point
from epost.foundation.wire import Application
from epost.pastry.routing import ID_BITS
from epost.simulation.overlay.protocol_ring import Host, ProtocolRing
from epost.simulation.overlay.statistics import Mean, Ratio

SEQUENCE_BYTES = 8


@dataclass(slots=True)
class Lookup:
    """One question; `life` tells whether its asker is still the same."""

    asker: Host
    life: int
    key: Id
    asked_at: float
    tries: int = 0
    is_answered: bool = False
    is_first_delivered: bool = False

    @property
    def is_abandoned(self) -> bool:
        """Whether the asker crashed: nobody waits for an answer."""
        return not self.asker.is_up or self.asker.life != self.life


class Tenant:
    """The application on one node: the root of a key answers the asker (Machine and upcalls)."""

    def __init__(self, lookups: Lookups, host: Host) -> None:
        self._lookups = lookups
        self._host = host

    def deliver(self, key: Id, origin: NodeHandle, body: bytes, now: float) -> None:
        """Answer."""
        self._lookups.on_delivered(self._host, key, body, now)
        if origin.node_id == self._host.id:
            self._lookups.on_answered(body)
        else:
            self._host.outbox.notify(origin, Application.PAST, body)

    def forward(
        self, key: Id, origin: NodeHandle, body: bytes, next_hop: NodeHandle, now: float
    ) -> bool:
        """Let every look-up pass."""
        return True

    def update(self, node: NodeHandle, joined: bool, now: float) -> None:
        """Nothing depends on the leaf set here."""

    def on_start(self, now: float) -> None:
        """Nothing to begin."""

    def on_notify(self, sender: NodeHandle, body: bytes, now: float) -> None:
        """An answer."""
        self._lookups.on_answered(body)

    def on_request(self, caller: Caller, body: bytes, now: float) -> None:
        """There are no requests."""
        raise AssertionError("look-ups are notifications")

    def on_timer(self, name: str, now: float) -> None:
        """There are no timers."""
        raise AssertionError("the askers' timeouts are the judge's")

    def on_loaded(self, purpose: object, body: bytes | None, now: float) -> None:
        """There is no disk."""
        raise AssertionError("look-ups load nothing")

    def on_unreachable(self, node: NodeId, now: float) -> None:
        """The overlay finds other ways."""


class Lookups:
    """Asks, waits, asks again, and counts what became of it."""

    def __init__(self, *, timeout_seconds: float = 5.0, tries_max: int = 4) -> None:
        """`timeout_seconds` is per try."""
        self.asked = 0
        self.answered = 0
        self.abandoned = 0
        self.lost = 0
        self.late_first_tries = 0
        self.lost_first_tries = 0
        self.wrong: list[tuple[float, Id]] = []
        self.stretch = Ratio()
        self.seconds = Mean()
        self._timeout = timeout_seconds
        self._tries_max = tries_max
        self._lookups: dict[int, Lookup] = {}
        self._ring: ProtocolRing

    def equip(self, ring: ProtocolRing, host: Host) -> None:
        """Put the application on a host that starts (ProtocolRing's `equip`)."""
        self._ring = ring
        tenant = Tenant(self, host)
        host.machines[Application.PAST] = tenant
        host.node.register(Application.PAST, tenant)

    def ask(self, asker: Host) -> None:
        """Look a random key up."""
        self.asked += 1
        key = point(self._ring.random.getrandbits(ID_BITS))
        lookup = Lookup(asker, asker.life, key, self._ring.now)
        self._lookups[self.asked] = lookup
        self._try(self.asked, lookup)
        over_at = self._ring.now + self._timeout * self._tries_max
        self._ring.at(over_at, self._settle, self.asked)

    def ask_steadily(self, per_second: float, until: float) -> None:
        """Ask at random members and random moments until a time."""
        ring = self._ring
        self.ask(ring.a_member())
        at = ring.now + ring.random.expovariate(per_second)
        if at < until:
            ring.at(at, self.ask_steadily, per_second, until)

    def on_delivered(self, host: Host, key: Id, body: bytes, now: float) -> None:
        """Judge a delivery: the root is the live member closest to the key."""
        root = self._ring.root(number(key))
        if root is not host:
            self.wrong.append((now, key))
        lookup = self._lookups.get(int.from_bytes(body[:SEQUENCE_BYTES], "big"))
        if lookup is None or body[SEQUENCE_BYTES] != 1 or lookup.is_first_delivered:
            return
        lookup.is_first_delivered = True
        seconds = now - lookup.asked_at
        self.seconds.add(seconds)
        if host is not lookup.asker:
            self.stretch.add(seconds, self._ring.delay(lookup.asker, host))

    def on_answered(self, body: bytes) -> None:
        """Count the first answer to each question."""
        lookup = self._lookups.get(int.from_bytes(body[:SEQUENCE_BYTES], "big"))
        if lookup is not None and not lookup.is_answered:
            lookup.is_answered = True
            self.answered += 1

    def _try(self, sequence: int, lookup: Lookup) -> None:
        lookup.tries += 1
        body = sequence.to_bytes(SEQUENCE_BYTES, "big") + bytes((lookup.tries,))
        lookup.asker.node.route(lookup.key, Application.PAST, body)
        self._ring.perform(lookup.asker)
        self._ring.at(self._ring.now + self._timeout, self._look_after, sequence, lookup)

    def _look_after(self, sequence: int, lookup: Lookup) -> None:
        """Ask again if there is no answer yet."""
        if lookup.is_answered or lookup.is_abandoned:
            return
        self.late_first_tries += lookup.tries == 1
        if lookup.tries < self._tries_max:
            self._try(sequence, lookup)

    def _settle(self, sequence: int) -> None:
        lookup = self._lookups.pop(sequence)
        if lookup.is_answered:
            self.lost_first_tries += not lookup.is_first_delivered
        elif lookup.is_abandoned:
            self.abandoned += 1
        else:
            self.lost += 1
            self.lost_first_tries += not lookup.is_first_delivered
