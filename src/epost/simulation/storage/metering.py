"""What storage maintenance costs: messages, and bytes of blocks that are copied."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace

from epost.foundation.ids import NodeHandle, NodeId
from epost.foundation.ports import Transport, TransportEvents
from epost.foundation.wire import Application, Form
from epost.node.assembly import Node
from epost.node.settings import NodeConfigs, NodeMembership, NodePorts, UserOfNode
from epost.past.messages import Give
from epost.past.space.words import NOTIFICATION
from epost.simulation.storage.sleeping import SleepyNode

_UPKEEP = bytes((Application.PAST, Form.NOTIFY))
_WINDOW_SECONDS = 10.0


class Meter:
    """Counts what all nodes of a run send each other to keep replica sets complete."""

    def __init__(self) -> None:
        self.messages = 0
        self.octets = 0
        self.blocks_copied = 0
        self.octets_copied = 0
        self.octets_a_second_max = 0.0
        """The most that any node was given, over ten seconds."""
        self._windows: Counter[tuple[NodeId, int]] = Counter()
        self._window = 0

    def sent(self, to: NodeHandle, message: bytes) -> None:
        """Count a message if it is maintenance."""
        if message[:2] != _UPKEEP:
            return
        self.messages += 1
        self.octets += len(message)
        if isinstance(given := NOTIFICATION.decode(message[2:]), Give):
            self._copied(to.id, len(given.block))

    def _copied(self, to: NodeId, size: int) -> None:
        self.blocks_copied += 1
        self.octets_copied += size
        window = int(asyncio.get_running_loop().time() / _WINDOW_SECONDS)
        if window != self._window:
            self._windows.clear()
            self._window = window
        self._windows[to, window] += size
        rate = self._windows[to, window] / _WINDOW_SECONDS
        self.octets_a_second_max = max(self.octets_a_second_max, rate)

    def node_type(self, node: type[Node] = Node) -> type[Node]:
        """Return such a node that can also sleep and whose messages this meter counts."""
        meter = self

        class MeteredNode(SleepyNode):
            def __init__(
                self,
                membership: NodeMembership,
                ports: NodePorts,
                configs: NodeConfigs,
                user: UserOfNode | None = None,
            ) -> None:
                metered = replace(ports, transport=_MeteredTransport(ports.transport, meter))
                super().__init__(membership, metered, configs, user)

        return MeteredNode if node is Node else type("MeteredNode", (MeteredNode, node), {})


class _MeteredTransport:
    """Hands everything on, and tells the meter."""

    def __init__(self, inner: Transport, meter: Meter) -> None:
        self._inner = inner
        self._meter = meter

    def start(self, events: TransportEvents) -> None:
        self._inner.start(events)

    def send(self, to: NodeHandle, message: bytes) -> None:
        self._meter.sent(to, message)
        self._inner.send(to, message)

    def certificate(self, node: NodeId) -> bytes | None:
        return self._inner.certificate(node)

    async def close(self) -> None:
        await self._inner.close()
