"""Nodes that come and go while look-ups are routed, and a judge of where these arrive."""

from __future__ import annotations

from epost.foundation.ids import Id, NodeHandle, closeness
from epost.foundation.wire import Application
from tests.support.ring import Host, Mailbox, Ring


class JudgedMailbox(Mailbox):
    """Notes look-ups that arrive anywhere but at the ready node closest to their key."""

    def __init__(self, ring: Ring, host: Host, wrong: list[tuple[float, bytes]]) -> None:
        super().__init__()
        self._ring = ring
        self._host = host
        self._wrong = wrong

    def deliver(self, key: Id, origin: NodeHandle, body: bytes, now: float) -> None:
        super().deliver(key, origin, body, now)
        ready = (host for host in self._ring.live if host.node.is_ready)
        if min(ready, key=lambda host: closeness(key, host.id)) is not self._host:
            self._wrong.append((now, key))


class Churn:
    """Hosts live for a while, crash, and half of them return with their old id."""

    def __init__(self, ring: Ring, mean_session_seconds: float) -> None:
        self._ring = ring
        self._mean_session_seconds = mean_session_seconds
        self._is_over = False
        self.wrong: list[tuple[float, bytes]] = []
        self.asked = 0
        self.crashes = 0
        ring.equip = self._equip

    def run(self, seconds: float) -> None:
        """Let hosts come and go and route one look-up a second, then stop."""
        for host in self._ring.live:
            self._plan(host)
        self._ask()
        self._ring.run(seconds)
        self._is_over = True

    @property
    def answered(self) -> int:
        """How many look-ups arrived at hosts that still live in the same life."""
        return sum(len(host.mailbox.delivered) for host in self._ring.live)

    def _equip(self, ring: Ring, host: Host) -> None:
        host.mailbox = JudgedMailbox(ring, host, self.wrong)
        host.node.register(Application.PAST, host.mailbox)

    def _ask(self) -> None:
        if self._is_over:
            return
        ready = [host for host in self._ring.live if host.node.is_ready]
        self._ring.look_up(self._ring.random.choice(ready))
        self.asked += 1
        self._ring.at(self._ring.now + 1.0, self._ask)

    def _plan(self, host: Host) -> None:
        life = host.life
        session = self._ring.random.expovariate(1 / self._mean_session_seconds)
        self._ring.at(self._ring.now + session, lambda: self._end(host, life))

    def _end(self, host: Host, life: int) -> None:
        if self._is_over or not host.is_up or host.life != life:
            return
        self._ring.crash(host)
        self.crashes += 1
        fate = self._ring.random.random()
        pause = self._ring.random.expovariate(1 / (5.0 if fate < 0.25 else 300.0))
        back = host if fate < 0.5 else self._ring.add()
        self._ring.at(self._ring.now + pause, lambda: self._begin(back))

    def _begin(self, host: Host) -> None:
        if not self._is_over:
            self._ring.start(host, [self._ring.random.choice(self._ring.live)])
            self._plan(host)
