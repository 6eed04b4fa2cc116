"""Group trees on a large ring: the product's Scribe machines over an oracle-built overlay.

Routing takes the product's `next_hop` at every node on the way and gives it the upcalls of the real
overlay; messages take as long as the topology says. What the overlay itself would send (liveness,
repair) does not happen: nobody fails here. A node is made when something first reaches it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from random import Random

from epost.foundation.effects import Outbox, Send, SetTimer
from epost.foundation.ids import Id, NodeHandle, NodeId, number
from epost.foundation.wire import Application, unpack
from epost.pastry.overlay import Member, OverlayApplication
from epost.scribe.config import ScribeConfig
from epost.scribe.machine import Scribe
from epost.simulation.overlay.oracle_ring import OracleRing
from epost.simulation.overlay.topology import Topology


class SeededEntropy:
    """Randomness from the experiment's seed."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def token(self, size: int) -> bytes:
        """Return `size` drawn bytes."""
        return self._random.randbytes(size)


@dataclass
class GroupNode:
    """One node with its groups and the timers that it set."""

    number: int
    scribe: Scribe
    outbox: Outbox
    timers: dict[str, int] = field(default_factory=dict)


class _OracleOverlay:
    """The ring as one node's Scribe sees it."""

    def __init__(self, world: GroupWorld, node: int) -> None:
        self._world = world
        self._node = node
        self.upcalls: OverlayApplication | None = None

    @property
    def me(self) -> NodeHandle:
        return self._world.ring.nodes[self._node]

    @property
    def is_ready(self) -> bool:
        return True

    @property
    def epoch(self) -> int:
        return 1

    def register(self, application: Application, upcalls: OverlayApplication) -> None:
        assert application is Application.SCRIBE, "only groups live here"
        self.upcalls = upcalls

    def route(self, key: Id, application: Application, body: bytes) -> None:
        self._world.route(self._node, self.me, key, body)

    def route_securely(
        self, key: Id, size: int, found: Callable[[Sequence[NodeHandle]], None]
    ) -> None:
        found(self.replica_set(key, size))

    def replica_set(self, key: Id, size: int) -> Sequence[NodeHandle]:
        ring = self._world.ring
        return [ring.nodes[node] for node in ring.closest(number(key), size)]

    def covers(self, key: Id, size: int) -> bool:
        return True

    def neighbours(self) -> Sequence[NodeHandle]:
        return ()

    def members(self, now: float) -> Sequence[Member]:
        return ()

    def arc(self, node_id: NodeId, k: int, now: float) -> tuple[Id, Id]:
        raise AssertionError("groups ask for no arcs")


class _Ears:
    """Tells the world what reached a member."""

    def __init__(self, world: GroupWorld, node: int) -> None:
        self._world = world
        self._node = node

    def on_multicast(self, group: Id, body: bytes, now: float) -> None:
        self._world.heard.setdefault(body, {})[self._node] = now


class GroupWorld:
    """Virtual time, messages under way, and the nodes that take part in groups."""

    def __init__(
        self, ring: OracleRing, topology: Topology, config: ScribeConfig, random: Random
    ) -> None:
        self.ring = ring
        self.now = 0.0
        self.messages = 0
        self.heard: dict[bytes, dict[int, float]] = {}
        """By body: when each member heard it."""
        self._topology = topology
        self._config = config
        self._random = random
        self._nodes: dict[int, GroupNode] = {}
        self._overlays: dict[int, _OracleOverlay] = {}
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._sequence = 0

    @property
    def nodes(self) -> Sequence[GroupNode]:
        """The nodes that were made so far, by number."""
        return [self._nodes[node] for node in sorted(self._nodes)]

    def join(self, node: int, group: Id) -> None:
        """Have a node join a group."""
        self._node(node).scribe.join(group)
        self._perform(self._node(node))

    def multicast(self, node: int, group: Id, body: bytes) -> None:
        """Have a node publish; `body` names the message in `heard`."""
        self._node(node).scribe.multicast(group, body)
        self._perform(self._node(node))

    def at(self, time: float, event: Callable[[], None]) -> None:
        """Do something at a time."""
        self._after(time - self.now, event)

    def run(self, seconds: float) -> None:
        """Let virtual time pass."""
        end = self.now + seconds
        while self._events and self._events[0][0] <= end:
            self.now, _, event = heappop(self._events)
            event()
        self.now = end

    def route(self, at: int, origin: NodeHandle, key: Id, body: bytes) -> None:
        """Take a routed message on from a node, as the overlay's router does."""
        to = self.ring.hop(at, number(key))
        upcalls = self._upcalls(at)
        if to == at:
            upcalls.deliver(key, origin, body, self.now)
        elif upcalls.forward(key, origin, body, self.ring.nodes[to], self.now):

            def arrive() -> None:
                self.route(to, origin, key, body)
                self._perform(self._node(to))

            self.messages += 1
            self._after(self._topology.delay(at, to), arrive)

    def _node(self, node: int) -> GroupNode:
        made = self._nodes.get(node)
        if made is None:
            overlay = self._overlays[node] = _OracleOverlay(self, node)
            outbox = Outbox()
            scribe = Scribe(
                overlay,
                self._config,
                outbox,
                SeededEntropy(self._random),
                _Silence(),
                distance=lambda other: self._topology.delay(node, self._number(other)),
            )
            scribe.register(_Ears(self, node))
            made = self._nodes[node] = GroupNode(node, scribe, outbox)
        return made

    def _upcalls(self, node: int) -> OverlayApplication:
        self._node(node)
        upcalls = self._overlays[node].upcalls
        assert upcalls is not None, "a Scribe registers itself"
        return upcalls

    def _number(self, node: NodeHandle) -> int:
        return self.ring.index(number(node.node_id))

    def _perform(self, node: GroupNode) -> None:
        for effect in node.outbox.drain():
            match effect:
                case Send(to, message):
                    self._send(node.number, self._number(to), unpack(message).body)
                case SetTimer(_, name, delay_seconds):
                    self._set_timer(node, name, delay_seconds)
                case _:
                    raise AssertionError(f"groups do not ask for {effect}")

    def _send(self, source: int, to: int, body: bytes) -> None:
        def arrive() -> None:
            target = self._node(to)
            target.scribe.on_notify(self.ring.nodes[source], body, self.now)
            self._perform(target)

        self.messages += 1
        self._after(self._topology.delay(source, to), arrive)

    def _set_timer(self, node: GroupNode, name: str, delay_seconds: float) -> None:
        self._sequence += 1
        token = node.timers[name] = self._sequence

        def ring_bell() -> None:
            if node.timers.get(name) == token:
                del node.timers[name]
                node.scribe.on_timer(name, self.now)
                self._perform(node)

        self._after(delay_seconds, ring_bell)

    def _after(self, seconds: float, event: Callable[[], None]) -> None:
        self._sequence += 1
        heappush(self._events, (self.now + seconds, self._sequence, event))


class _Silence:
    """Nobody watches: what matters is read off the machines."""

    def record(self, event: object) -> None:
        """Ignore it."""
