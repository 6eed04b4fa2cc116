"""A ring of real nodes in one priority queue: latency, loss, crashes, sleep, partitions.

Deterministic by its seed. It drives machines through their outboxes as the driver does, one event
a turn; the vault is a dict of notes that survives a crash.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from epost.foundation.effects import Machine, Outbox, Send, SendWhenDurable, SetTimer
from epost.foundation.ids import Address, Id, NodeHandle, NodeId, closeness
from epost.foundation.ports import PutNote
from epost.foundation.wire import Application, Form, Message, unpack
from epost.pastry.config import PastryConfig
from epost.pastry.contact_notes import stored_contacts
from epost.pastry.node import PastryNode

RING = b"ring" * 5


class SeededEntropy:
    """Randomness from a seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def token(self, size: int) -> bytes:
        return self._random.randbytes(size)


@dataclass
class Recorder:
    """An observer that keeps everything, or counts it."""

    events: list[object] = field(default_factory=list)

    def record(self, event: object) -> None:
        self.events.append(event)

    def of(self, kind: type) -> list:
        return [event for event in self.events if isinstance(event, kind)]


@dataclass
class Mailbox:
    """An overlay application that notes its upcalls."""

    delivered: list[tuple[Id, NodeHandle, bytes]] = field(default_factory=list)
    updates: list[tuple[NodeId, bool]] = field(default_factory=list)

    def deliver(self, key: Id, origin: NodeHandle, body: bytes, now: float) -> None:
        self.delivered.append((key, origin, body))

    def forward(
        self, key: Id, origin: NodeHandle, body: bytes, next_hop: NodeHandle, now: float
    ) -> bool:
        return True

    def update(self, node: NodeHandle, joined: bool, now: float) -> None:
        self.updates.append((node.id, joined))


class Certificates:
    """Credentials where a node's certificate is its id, signed by nobody."""

    def certificate_of(self, node: NodeId) -> bytes | None:
        return b"certificate " + node

    def holder_of(self, certificate: bytes) -> NodeId | None:
        start, node = certificate[:12], certificate[12:]
        return NodeId(Id(node)) if start == b"certificate " else None


class Host:
    """One machine on the network: lives, dies, sleeps; its notes stay."""

    def __init__(self, node_id: NodeId, port: int) -> None:
        self.handle = NodeHandle(RING, node_id, (Address("127.0.0.1", port),))
        self.notes: dict[tuple[str, bytes], bytes] = {}
        self.is_up = False
        self.asleep_until = 0.0
        self.life = 0
        self.timers: dict[tuple[Application, str], int] = {}
        self.outbox = Outbox()
        self.mailbox = Mailbox()
        self.answers: list[Message] = []
        self.machines: dict[Application, Machine] = {}
        self.node: PastryNode = None  # type: ignore[assignment]  # set by every start

    @property
    def id(self) -> NodeId:
        return self.handle.id


class Ring:
    """The world of a test."""

    def __init__(
        self,
        *,
        seed: int = 1,
        config: PastryConfig | None = None,
        loss: float = 0.0,
        duplication: float = 0.0,
        latency: tuple[float, float] = (0.005, 0.05),
        reports_unreachable: bool = False,
        equip: Callable[[Ring, Host], None] | None = None,
    ) -> None:
        """`equip(ring, host)` may add machines and applications at every start of a host."""
        self.random = random.Random(seed)
        self.config = config or PastryConfig()
        self.loss = loss
        self.duplication = duplication
        self.latency = latency
        self.reports_unreachable = reports_unreachable
        self.equip = equip
        self.now = 1000.0
        self.hosts: dict[NodeId, Host] = {}
        self.observed = Recorder()
        self.sent: Counter[NodeId] = Counter()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._sequence = 0
        self._island: dict[NodeId, int] = {}
        self._cut: set[frozenset[NodeId]] = set()

    # Hosts

    def add(self, node_id: bytes | None = None) -> Host:
        """Make a host that is not started yet."""
        name = NodeId(Id(node_id or self.random.randbytes(20)))
        host = Host(name, 4000 + len(self.hosts))
        self.hosts[name] = host
        return host

    def start(self, host: Host, bootstrap: Iterable[Host] = (), *, is_first: bool = False) -> Host:
        """Start a host, again with the contacts it stored."""
        host.is_up, host.life, host.asleep_until = True, host.life + 1, 0.0
        host.outbox, host.mailbox, host.timers = Outbox(), Mailbox(), {}
        contacts = stored_contacts(
            (key, value) for (table, key), value in host.notes.items() if table.startswith("pastry")
        )
        host.node = PastryNode(
            host.handle,
            replace(self.config, is_first=is_first),
            host.outbox,
            SeededEntropy(self.random.getrandbits(32)),
            self.observed,
            contacts=contacts,
            credentials=Certificates(),
        )
        host.machines = {Application.PASTRY: host.node}
        if self.equip is None:
            host.node.register(Application.PAST, host.mailbox)
        else:
            self.equip(self, host)
        for application in sorted(host.machines):
            host.machines[application].on_start(self.now)
        host.node.join([other.handle for other in bootstrap])
        self.perform(host)
        return host

    def crash(self, host: Host) -> None:
        host.is_up = False

    def move(self, host: Host, port: int) -> None:
        """Give a host that is down another address."""
        host.handle = NodeHandle(RING, host.id, (Address("127.0.0.1", port),))

    def sleep(self, host: Host, seconds: float) -> None:
        """Suspend a host: nothing reaches it, its timers go off when it wakes."""
        host.asleep_until = self.now + seconds

    def part(self, *islands: Sequence[Host]) -> None:
        """Cut the network into islands; hosts that are not named form one more."""
        self._island = {host.id: n for n, island in enumerate(islands, 1) for host in island}

    def cut(self, one: Host, other: Host) -> None:
        """Cut two hosts off from each other only."""
        self._cut.add(frozenset((one.id, other.id)))

    def heal(self) -> None:
        self._island, self._cut = {}, set()

    @property
    def live(self) -> list[Host]:
        return sorted((h for h in self.hosts.values() if h.is_up), key=lambda host: host.id)

    def grow(self, size: int, *, pause_seconds: float = 0.2) -> list[Host]:
        """Found a ring and have the others join through random members."""
        hosts = [self.add() for _ in range(size)]
        self.start(hosts[0], is_first=True)
        for count, host in enumerate(hosts[1:], 1):
            self.run(pause_seconds)
            self.start(host, [self.random.choice(hosts[:count])])
        return hosts

    # Time

    def at(self, time: float, action: Callable[[], None]) -> None:
        self._sequence += 1
        heapq.heappush(self._events, (time, self._sequence, action))

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self._events and self._events[0][0] <= end:
            self.now, _, action = heapq.heappop(self._events)
            action()
        self.now = end

    def run_until(self, holds: Callable[[], bool], seconds_max: float) -> float:
        """Run until a condition holds; return how long that took, fail after the limit."""
        start = self.now
        while not holds():
            assert self.now - start < seconds_max, f"does not hold after {seconds_max} s"
            self.run(0.1)
        return self.now - start

    # Effects

    def perform(self, host: Host) -> None:
        """Do what a host's machines asked for."""
        for effect in host.outbox.drain():
            match effect:
                case Send(to, message) | SendWhenDurable(to, message):
                    self.sent[host.id] += 1
                    self._send(host, to, message)
                case SetTimer(application, name, delay):
                    self._set_timer(host, application, name, delay)
                case PutNote(table, key, value):
                    host.notes[table, key] = value
                case _:
                    raise AssertionError(f"unexpected effect {effect}")

    def _set_timer(self, host: Host, application: Application, name: str, delay: float) -> None:
        life = host.life
        self._sequence += 1
        token = self._sequence
        host.timers[application, name] = token

        def ring_bell() -> None:
            if host.is_up and host.life == life and host.asleep_until > self.now:
                heapq.heappush(self._events, (host.asleep_until, token, ring_bell))
            elif host.is_up and host.life == life and host.timers.get((application, name)) == token:
                del host.timers[application, name]
                host.machines[application].on_timer(name, self.now)
                self.perform(host)

        heapq.heappush(self._events, (self.now + delay, token, ring_bell))

    def _send(self, host: Host, to: NodeHandle, message: bytes) -> None:
        if self.random.random() < self.loss:
            return
        copies = 2 if self.random.random() < self.duplication else 1
        sender, life = host.handle, host.life
        for _ in range(copies):
            delay = self.random.uniform(*self.latency)
            self.at(self.now + delay, lambda: self._arrive(host, life, sender, to, message))

    def _arrive(
        self, source: Host, life: int, sender: NodeHandle, to: NodeHandle, message: bytes
    ) -> None:
        target = self.hosts.get(to.id)
        is_reached = (
            target is not None
            and target.is_up
            and target.handle.addresses == to.addresses
            and self._island.get(to.id) == self._island.get(sender.id)
            and frozenset((to.id, sender.id)) not in self._cut
        )
        if not is_reached:
            if self.reports_unreachable and source.is_up and source.life == life:
                for application in sorted(source.machines):
                    source.machines[application].on_unreachable(to.id, self.now)
                self.perform(source)
            return
        assert target is not None
        if target.asleep_until > self.now:
            return
        self._give(target, sender, message)

    def _give(self, host: Host, sender: NodeHandle, data: bytes) -> None:
        message = unpack(data)
        if message.form in (Form.RESPONSE, Form.REFUSAL):
            host.answers.append(message)
            return
        assert message.form is Form.NOTIFY
        if message.application is not Application.PASTRY:
            host.node.heard_from(sender, self.now)
        host.machines[message.application].on_notify(sender, message.body, self.now)
        self.perform(host)

    # What should be true

    def root_of(self, key: bytes) -> Host:
        return min(self.live, key=lambda host: closeness(key, host.id))

    def is_converged(self) -> bool:
        """Every live host is awake, ready, and knows exactly its true neighbours."""
        hosts = self.live
        half = self.config.leaf_set_size // 2
        for rank, host in enumerate(hosts):
            if not host.node.is_ready or host.asleep_until > self.now:
                return False
            near = [hosts[(rank + step) % len(hosts)].id for step in range(-half, half + 1)]
            if {node.id for node in host.node.neighbours()} != set(near) - {host.id}:
                return False
        return True

    def look_up(self, host: Host, key: bytes | None = None) -> tuple[bytes, bytes]:
        """Route a look-up; return its key and the body that names it."""
        target = key or self.random.randbytes(20)
        self._sequence += 1
        body = self._sequence.to_bytes(8, "big")
        host.node.route(Id(target), Application.PAST, body)
        self.perform(host)
        return target, body

    def look_ups_go_right(self, count: int, *, patience_seconds: float = 10.0) -> None:
        """Route look-ups from random hosts; each must arrive once, at its root."""
        wanted: Counter[tuple[NodeId, bytes]] = Counter()
        for _ in range(count):
            key, body = self.look_up(self.random.choice(self.live))
            wanted[self.root_of(key).id, body] += 1
        self.run(patience_seconds)
        bodies = {body for _, body in wanted}
        arrived = Counter(
            (h.id, body) for h in self.live for _, _, body in h.mailbox.delivered if body in bodies
        )
        assert arrived == wanted, (arrived - wanted, wanted - arrived)
