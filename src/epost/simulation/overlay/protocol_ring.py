"""A ring of real Pastry nodes that speak their protocol, in a discrete-event loop without asyncio.

Every node is the product's PastryNode with whatever machines an experiment adds; messages travel as
bytes through its codec, and an outbox is emptied after each event, as the driver does. One priority
queue of tuples holds all that is to come, so 5,000 nodes fit. Equal seeds give equal runs.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from heapq import heappop, heappush
from random import Random
from typing import TypeAlias, get_args

from epost.foundation.effects import Machine, Outbox, Send, SendWhenDurable, SetTimer
from epost.foundation.ids import Address, Id, NodeHandle, NodeId, number, point
from epost.foundation.ports import Observer, PutNote
from epost.foundation.wire import Application, unpack
from epost.pastry.config import PastryConfig
from epost.pastry.contact_notes import stored_contacts
from epost.pastry.messages import Packet, Ping
from epost.pastry.node import PastryNode
from epost.pastry.observed import BecameReady, CeasedReady
from epost.pastry.routing import ID_BITS
from epost.simulation.overlay.oracle_ring import RING, closest_in
from epost.simulation.overlay.topology import Topology

WIRE_SECONDS = 0.001
"""Added to every delay of the topology: no message is there at once."""

PACKET_NAMES: dict[int, str] = {
    kind.__struct_config__.tag: kind.__name__ for kind in get_args(Packet)
}
"""The packets of the overlay by their tags."""

PING_TAG = Ping.__struct_config__.tag
SEEK = "Seek"
"""A Ping to a contact that was lost or never met (its nonce is 0)."""


class SeededEntropy:
    """The randomness of one node."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def token(self, size: int) -> bytes:
        """Return the next bytes."""
        return self._random.randbytes(size)


class Host:
    """One machine; `life` counts its starts, so that nothing of an earlier one rings later."""

    node: PastryNode

    def __init__(self, place: int, node_id: Id) -> None:
        """`place` is its number in the topology."""
        self.place = place
        self.handle = NodeHandle(RING, node_id, (Address(f"host-{place}", 4000),))
        self.life = 0
        self.is_up = False
        self.outbox = Outbox()
        self.machines: dict[Application, Machine] = {}
        self.notes: dict[tuple[str, bytes], bytes] = {}
        self.timers: dict[tuple[Application, str], int] = {}

    @property
    def id(self) -> NodeId:
        """The id of its node."""
        return self.handle.id


Act: TypeAlias = Callable[..., None]


class ProtocolRing:
    """The network and its machines; times are virtual seconds."""

    def __init__(
        self,
        topology: Topology,
        random: Random,
        observer: Observer,
        *,
        config: PastryConfig | None = None,
        equip: Callable[[ProtocolRing, Host], None] | None = None,
        loss: float = 0.0,
    ) -> None:
        """`equip` adds machines and upcalls at each start; `loss` is the share of lost messages."""
        self.random = random
        self.now = 0.0
        self.hosts: list[Host] = []
        self.sent: Counter[str] = Counter()
        """Messages by the name of the overlay's packet, or of another application."""
        self.ready_ids: list[int] = []
        self._by_id: dict[bytes, Host] = {}
        self._topology = topology
        self._config = config or PastryConfig()
        self._observer = observer
        self._equip = equip
        self._loss = loss
        self._queue: list[tuple[float, int, Act, tuple[object, ...]]] = []
        self._sequence = 0

    # Hosts

    def add(self) -> Host:
        """Make a machine with a random id; it is not up yet."""
        host = Host(len(self.hosts), point(self.random.getrandbits(ID_BITS)))
        self.hosts.append(host)
        self._by_id[host.id] = host
        return host

    def start(self, host: Host, bootstrap: Sequence[Host] = ()) -> None:
        """Start a machine, again with the contacts of its earlier life; alone it founds a ring."""
        assert not host.is_up
        host.is_up, host.life = True, host.life + 1
        host.outbox, host.timers = Outbox(), {}
        host.node = PastryNode(
            host.handle,
            replace(self._config, is_first=not bootstrap),
            host.outbox,
            SeededEntropy(Random(self.random.getrandbits(64))),  # noqa: S311 - a simulation
            self,
            contacts=stored_contacts((key, value) for (_, key), value in host.notes.items()),
        )
        host.machines = {Application.PASTRY: host.node}
        if self._equip is not None:
            self._equip(self, host)
        for application in sorted(host.machines):
            host.machines[application].on_start(self.now)
        host.node.join([other.handle for other in bootstrap])
        self.perform(host)

    def crash(self, host: Host) -> None:
        """Silence a machine: nobody is told."""
        host.is_up = False
        self._forget_ready(host.id)

    def host(self, node_id: bytes) -> Host:
        """Return the machine of a node."""
        return self._by_id[node_id]

    def root(self, key: int) -> Host:
        """Return the member closest to a key, by global knowledge."""
        return self._by_id[point(closest_in(self.ready_ids, key, 1)[0])]

    def delay(self, one: Host, other: Host) -> float:
        """Return how long a message takes between two machines."""
        return WIRE_SECONDS + self._topology.delay(one.place, other.place)

    def a_member(self) -> Host:
        """Return a random member."""
        return self._by_id[point(self.random.choice(self.ready_ids))]

    def grow(self, size: int, joins_per_second: float) -> None:
        """Found a ring and have others join through random members, never over a tenth at once."""
        if not self.hosts:
            self.start(self.add())
        while len(self.hosts) < size:
            self.run(1 / min(joins_per_second, 1 + len(self.ready_ids) / 10))
            self.start(self.add(), [self.a_member()])

    # Time

    def at(self, time: float, act: Act, *details: object) -> None:
        """Call `act(*details)` at a time."""
        self._sequence += 1
        heappush(self._queue, (time, self._sequence, act, details))

    def run(self, seconds: float) -> None:
        """Let so much time pass."""
        end, queue = self.now + seconds, self._queue
        while queue and queue[0][0] <= end:
            self.now, _, act, details = heappop(queue)
            act(*details)
        self.now = end

    # Effects

    def perform(self, host: Host) -> None:
        """Do what a host's machines asked for."""
        for effect in host.outbox.drain():
            match effect:
                case Send(to, message) | SendWhenDurable(to, message):
                    self._send(host, to, message)
                case SetTimer(application, name, delay):
                    self._set_timer(host, application, name, delay)
                case PutNote(table, key, value):
                    host.notes[table, key] = value
                case _:
                    raise AssertionError(f"no disk in these experiments for {effect}")

    def record(self, event: object) -> None:
        """Note who is a member, and pass everything on (Observer of all nodes)."""
        if isinstance(event, BecameReady):
            insort(self.ready_ids, number(event.at))
        elif isinstance(event, CeasedReady):
            self._forget_ready(event.at)
        self._observer.record(event)

    def _forget_ready(self, node_id: bytes) -> None:
        at = bisect_left(self.ready_ids, number(node_id))
        if at < len(self.ready_ids) and self.ready_ids[at] == number(node_id):
            del self.ready_ids[at]

    def _send(self, host: Host, to: NodeHandle, message: bytes) -> None:
        self.sent[_kind(message)] += 1
        if self._loss and self.random.random() < self._loss:
            return
        target = self._by_id[to.node_id]
        at = self.now + self.delay(host, target)
        self.at(at, self._arrive, target, host.handle, message)

    def _arrive(self, host: Host, sender: NodeHandle, data: bytes) -> None:
        if not host.is_up:
            return
        message = unpack(data)
        if message.application is not Application.PASTRY:
            host.node.heard_from(sender, self.now)
        host.machines[message.application].on_notify(sender, message.body, self.now)
        self.perform(host)

    def _set_timer(self, host: Host, application: Application, name: str, delay: float) -> None:
        token = self._sequence + 1
        host.timers[application, name] = token
        self.at(self.now + delay, self._ring_bell, host, application, name, token)

    def _ring_bell(self, host: Host, application: Application, name: str, token: int) -> None:
        """Give a timer to its machine unless it was replaced, or its host started anew."""
        if host.is_up and host.timers.get((application, name)) == token:
            del host.timers[application, name]
            host.machines[application].on_timer(name, self.now)
            self.perform(host)


def _kind(message: bytes) -> str:
    """Name a message: the tag of a packet is the first element of its array, after two headers."""
    if message[0] != Application.PASTRY:
        return Application(message[0]).name
    tag, nonce = message[3:5]
    return SEEK if tag == PING_TAG and nonce == 0 else PACKET_NAMES[tag]
