"""The simulated network: carries messages between the nodes of one process, and fails on request.

Faithful to links over TCP in what a node can see: order per link, silence behind a partition, a
quick refusal where a machine runs but no node on it; a pair that is cut off from each other only
speaks through a neighbour of both (`detours`). Bandwidth is not modelled. Loss stands for a
link that broke with messages on the way; real links lose less, so what works here works there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from epost.foundation.ids import NodeHandle, NodeId
from epost.foundation.ports import Clock, TransportEvents
from epost.foundation.wire import MESSAGE_SIZE_MAX
from epost.simulation.detours import Detour, Detours
from epost.simulation.world import Trace, random_for

QUEUE_BYTES_MAX = 32 * 1024 * 1024
"""Bytes on the way from one node to another; what exceeds it is dropped."""


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """How the network behaves; probabilities are per message."""

    latency_seconds_min: float = 0.0002
    """Between two nodes of one place; a pair of nodes has one base latency for the whole run."""
    latency_seconds_max: float = 0.040
    jitter: float = 0.2
    """A message takes up to this share longer than the base latency of its pair."""
    loss: float = 0.01
    duplication: float = 0.0
    reorder: float = 0.0
    """Share of messages that later ones may overtake, by up to `reorder_seconds_max`."""
    reorder_seconds_max: float = 1.0
    silence_seconds: float = 10.0
    """How long a sender waits for a machine that does not answer before it gives up."""


class SimulatedTransport:
    """The transport of one running node; a restarted node gets a new one."""

    def __init__(self, network: SimulatedNetwork, me: NodeHandle, certificate: bytes) -> None:
        self._network = network
        self.links: dict[bytes, SimulatedTransport] = {}
        """Where messages have passed, with the process at the other end."""
        self.me = me
        self.my_id = me.node_id
        self.my_certificate = certificate
        self.events: TransportEvents | None = None
        self.clock: Clock | None = None
        """What this end of a link says that the time is; nothing without."""
        self.on_peer_clock: Callable[[NodeId, int], None] | None = None
        """Told what the other end of each new link says."""

    def start(self, events: TransportEvents) -> None:
        """Listen: from now on messages are delivered."""
        self.events = events
        self._network.plug_in(self)

    def send(self, to: NodeHandle, message: bytes) -> None:
        """Hand a copy of the message to the network."""
        assert len(message) <= MESSAGE_SIZE_MAX, f"a message of {len(message)} bytes"
        if self.events is not None:
            self._network.carry(self, to, bytes(message))

    def certificate(self, node: NodeId) -> bytes | None:
        """Return the certificate of a node that this one has had a link to."""
        other = self if node == self.me.node_id else self.links.get(node)
        return None if other is None else other.my_certificate

    async def close(self) -> None:
        """Stop listening; what was sent is still delivered."""
        self.unplug()

    def unplug(self) -> None:
        """Stop at once, as in a crash; the machine resets the links, so the other ends notice."""
        if self.events is not None:
            self.events = None
            self._network.unplug(self, list(self.links.values()))

    @property
    def linked(self) -> Sequence[bytes]:
        """The nodes this one has had links with."""
        return list(self.links)

    def link_to(self, other: SimulatedTransport) -> None:
        """A link comes up: remember whom it leads to, hear the other's clock."""
        self.links[other.my_id] = other
        if self.on_peer_clock is not None and other.clock is not None:
            self.on_peer_clock(other.me.id, other.clock.wall_ms())


@dataclass(slots=True)
class _Path:
    """The way from one node to another, as long as the run lasts."""

    sender: bytes
    receiver: bytes
    latency_seconds: float
    last_arrival: float = 0.0
    queued_bytes: int = 0
    is_cut: bool = False
    is_being_given_up: bool = False


class SimulatedNetwork:
    """All links between all nodes, and what is wrong with them now."""

    def __init__(self, seed: int, config: NetworkConfig, trace: Trace) -> None:
        self._seed = seed
        self._config = config
        self._trace = trace
        self._loop = asyncio.get_running_loop()
        self._random = random_for(seed, "network")
        self._running: dict[bytes, SimulatedTransport] = {}
        self._machines_down: dict[bytes, None] = {}
        self._sides: dict[bytes, int] = {}
        self._paths: dict[tuple[bytes, bytes], _Path] = {}
        self.detours = Detours(self._reach_each_other)

    def plug_in(self, transport: SimulatedTransport) -> None:
        """A node listens; one that listened under this id before is replaced."""
        node = transport.me.node_id
        self._running[node] = transport
        self._machines_down.pop(node, None)

    def unplug(self, transport: SimulatedTransport, linked: Sequence[SimulatedTransport]) -> None:
        """A node listens no more; its machine, if on, resets its links and refuses new ones."""
        node = transport.me.node_id
        if self._running.get(node) is transport:
            del self._running[node]
        for other in linked:
            there, back = self._path(other.my_id, node), self._path(node, other.my_id)
            if self._is_open(there) and self._is_open(back):
                self._give_up_after(self._latency(back), other, transport.me)

    def machine_down(self, node: NodeId) -> None:
        """The whole machine of a node is off: nobody refuses, there is only silence."""
        self._machines_down[node] = None

    def partition(self, *sides: Sequence[NodeId]) -> None:
        """Let only nodes of one side reach each other; unnamed nodes are one side more."""
        self._sides = {node: side for side, nodes in enumerate(sides, 1) for node in nodes}

    def heal(self) -> None:
        """End the partition; cuts stay."""
        self._sides.clear()

    def cut(self, sender: NodeId, receiver: NodeId) -> None:
        """Let nothing pass in one direction between two nodes."""
        self._path(sender, receiver).is_cut = True

    def mend(self, sender: NodeId, receiver: NodeId) -> None:
        """End a cut."""
        self._path(sender, receiver).is_cut = False

    def carry(self, sender: SimulatedTransport, to: NodeHandle, message: bytes) -> None:
        """Take a message on its way, or find out in time that it cannot arrive."""
        path = self._path(sender.my_id, to.node_id)
        receiver = self._running.get(to.node_id)
        if receiver is sender:
            self._loop.call_soon(self._deliver, sender, receiver, message)
        elif not self._is_open(path):
            self._carry_around(path, sender, receiver, to, message)
        elif receiver is None:
            self._give_up_after(2 * self._latency(path), sender, to)
        elif path.queued_bytes + len(message) > QUEUE_BYTES_MAX:
            self._give_up_after(0.0, sender, to)
        elif self._random.random() >= self._config.loss:
            self._put_on_wire(path, sender, receiver, message)
            if self._random.random() < self._config.duplication:
                self._put_on_wire(path, sender, receiver, message)

    def _carry_around(
        self,
        path: _Path,
        sender: SimulatedTransport,
        receiver: SimulatedTransport | None,
        to: NodeHandle,
        message: bytes,
    ) -> None:
        """Have a neighbour of both carry a message, if only this path is cut."""
        detour = None
        if receiver is not None and path.queued_bytes + len(message) <= QUEUE_BYTES_MAX:
            detour = self.detours.find(path.sender, path.receiver, sender.linked)
        if detour is None or receiver is None:
            self._give_up_after(self._config.silence_seconds, sender, to)
        elif self._random.random() >= self._config.loss:
            legs = self._path(path.sender, detour.relay), self._path(detour.relay, path.receiver)
            leaves_at = max(self._loop.time(), detour.usable_at)
            arrival = leaves_at + sum(self._latency(leg) for leg in legs)
            path.last_arrival = max(arrival, path.last_arrival)
            path.queued_bytes += len(message)
            self._loop.call_at(
                path.last_arrival, self._arrive_around, path, detour, sender, receiver, message
            )

    def _arrive_around(
        self,
        path: _Path,
        detour: Detour,
        sender: SimulatedTransport,
        receiver: SimulatedTransport,
        message: bytes,
    ) -> None:
        path.queued_bytes -= len(message)
        if receiver.events is None or not self.detours.holds(path.sender, detour, path.receiver):
            return
        _link(sender, receiver)
        self._deliver(sender, receiver, message)

    def _reach_each_other(self, one: bytes, other: bytes) -> bool:
        return (
            one in self._running
            and other in self._running
            and self._is_open(self._path(one, other))
            and self._is_open(self._path(other, one))
        )

    def _path(self, sender: bytes, receiver: bytes) -> _Path:
        path = self._paths.get((sender, receiver))
        if path is None:
            names = sorted((sender.hex(), receiver.hex()))  # as far there as back
            latency = random_for(self._seed, "latency", *names).uniform(
                self._config.latency_seconds_min, self._config.latency_seconds_max
            )
            path = self._paths[sender, receiver] = _Path(sender, receiver, latency)
        return path

    def _is_open(self, path: _Path) -> bool:
        """Whether a message can pass there now."""
        return (
            path.receiver not in self._machines_down
            and not path.is_cut
            and (not self._sides or self._sides.get(path.sender) == self._sides.get(path.receiver))
        )

    def _latency(self, path: _Path) -> float:
        return path.latency_seconds * (1 + self._random.random() * self._config.jitter)

    def _put_on_wire(
        self,
        path: _Path,
        sender: SimulatedTransport,
        receiver: SimulatedTransport,
        message: bytes,
    ) -> None:
        path.queued_bytes += len(message)
        arrival = self._loop.time() + self._latency(path)
        if self._random.random() < self._config.reorder:
            arrival += self._random.uniform(0, self._config.reorder_seconds_max)
        else:
            # Not before the one sent before; what is equal arrives in the order of sending.
            arrival = path.last_arrival = max(arrival, path.last_arrival)
        self._loop.call_at(arrival, self._arrive, path, sender, receiver, message)

    def _arrive(
        self,
        path: _Path,
        sender: SimulatedTransport,
        receiver: SimulatedTransport,
        message: bytes,
    ) -> None:
        path.queued_bytes -= len(message)
        if receiver.events is None or not self._is_open(path):
            return  # the process that had this link is gone, or the cable is
        _link(sender, receiver)
        self._deliver(sender, receiver, message)

    def _deliver(
        self, sender: SimulatedTransport, receiver: SimulatedTransport, message: bytes
    ) -> None:
        if receiver.events is not None:
            self._trace.absorb(sender.my_id, receiver.my_id, message)
            receiver.events.on_message(sender.me, message)

    def _give_up_after(self, seconds: float, sender: SimulatedTransport, to: NodeHandle) -> None:
        path = self._path(sender.my_id, to.node_id)
        if not path.is_being_given_up:
            path.is_being_given_up = True
            self._loop.call_later(seconds, self._give_up, path, sender, to)

    def _give_up(self, path: _Path, sender: SimulatedTransport, to: NodeHandle) -> None:
        path.is_being_given_up = False
        if sender.events is not None:
            self._trace.absorb(b"unreachable", sender.my_id, to.node_id)
            sender.events.on_unreachable(to.id)


def _link(one: SimulatedTransport, other: SimulatedTransport) -> None:
    """A message passes: if it is the first one, a link has come up."""
    if one.links.get(other.my_id) is not other:
        one.link_to(other)
    if other.links.get(one.my_id) is not one:
        other.link_to(one)
