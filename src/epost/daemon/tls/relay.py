"""Relaying for pairs of nodes that cannot link with each other, within bounds.

This node passes the steps of a tunnel on only between two nodes that it has direct links with, as
fast as the rate of a pair allows. It keeps no more of a tunnel than the ends' windows; an end that
sends more has its tunnel ended, as has a pair one of whose links goes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from epost.daemon.tls.config import TransportConfig
from epost.daemon.tls.frames import Frame
from epost.daemon.tls.observed import RelayBegan, RelayEnded, RelayRefused
from epost.daemon.tls.relay_frames import (
    TUNNEL_WINDOW_BYTES,
    Step,
    TunnelStep,
)
from epost.foundation.ids import NodeId
from epost.foundation.ports import Observer

Carry = Callable[[NodeId, Frame, bytes], bool]
"""Send a frame over the direct link with a node; False if there is none, or no room."""

STEP_COST_BYTES = 64
"""Charged for every step beside its octets, so that empty ones are bounded as well."""
QUEUED_BYTES_MAX = 2 * (TUNNEL_WINDOW_BYTES + 64 * 1024)
"""Of one pair, both ways: the windows, and what the steps cost beside them."""

Pair = tuple[NodeId, NodeId, int]
"""The two ends, the smaller id first, and the number of their tunnel."""


@dataclass(slots=True)
class _Tunnel:
    opened_by: NodeId
    level: float
    """Octets that may be passed on now."""
    filled_at: float
    queue: deque[tuple[NodeId, TunnelStep]] = field(default_factory=deque)
    queued_bytes: int = 0
    octets: int = 0
    pump: asyncio.TimerHandle | None = None


class Relay:
    """The tunnels that pass through this node, at most `relayed_pairs_max`."""

    def __init__(self, config: TransportConfig, observer: Observer, carry: Carry) -> None:
        self._loop = asyncio.get_running_loop()
        self._config = config
        self._observer = observer
        self._carry = carry
        self._tunnels: dict[Pair, _Tunnel] = {}

    def __len__(self) -> int:
        return len(self._tunnels)

    def on_step(self, sender: NodeId, step: TunnelStep) -> None:
        """Pass a step on from one end to the other; what belongs to no tunnel is answered END."""
        pair = _pair(sender, step)
        tunnel = self._tunnels.get(pair)
        if tunnel is None:
            tunnel = self._open(pair, sender, step)
        if tunnel is None:
            return
        cost = len(step.data) + STEP_COST_BYTES
        if tunnel.queued_bytes + cost > QUEUED_BYTES_MAX:
            self._end(pair, "more than the tunnel's window")
            return
        tunnel.queue.append((sender, step))
        tunnel.queued_bytes += cost
        self._pump(pair, tunnel)

    def on_down(self, node: NodeId) -> None:
        """A direct link ended, and with it the tunnels that used it."""
        for pair in [pair for pair in self._tunnels if node in pair[:2]]:
            self._end(pair, "the relay lost its link with one end")

    def close(self) -> None:
        """Pass nothing on any more."""
        for tunnel in self._tunnels.values():
            if tunnel.pump is not None:
                tunnel.pump.cancel()
        self._tunnels.clear()

    def _open(self, pair: Pair, sender: NodeId, step: TunnelStep) -> _Tunnel | None:
        if step.step is not Step.OPEN:
            if step.step is not Step.END:
                self._say_end(sender, step.far, step.tunnel, "no such tunnel")
            return None
        of_sender = sum(tunnel.opened_by == sender for tunnel in self._tunnels.values())
        if (
            len(self._tunnels) >= self._config.relayed_pairs_max
            or of_sender >= self._config.relayed_pairs_per_node_max
        ):
            self._observer.record(RelayRefused("too many pairs"))
            self._say_end(sender, step.far, step.tunnel, "the relay has too many pairs")
            return None
        tunnel = _Tunnel(sender, self._rate, self._loop.time())
        self._tunnels[pair] = tunnel
        self._observer.record(RelayBegan())
        return tunnel

    @property
    def _rate(self) -> float:
        return float(self._config.relayed_bytes_per_second)

    def _pump(self, pair: Pair, tunnel: _Tunnel) -> None:
        """Pass on what the rate allows; a bucket of one second's worth."""
        if tunnel.pump is not None:
            return
        now = self._loop.time()
        tunnel.level = min(self._rate, tunnel.level + (now - tunnel.filled_at) * self._rate)
        tunnel.filled_at = now
        while tunnel.queue and tunnel.level > 0:
            sender, step = tunnel.queue.popleft()
            cost = len(step.data) + STEP_COST_BYTES
            tunnel.queued_bytes -= cost
            tunnel.level -= cost
            tunnel.octets += len(step.data)
            if not self._pass_on(pair, sender, step):
                return
        if tunnel.queue:
            pause = (STEP_COST_BYTES - tunnel.level) / self._rate
            tunnel.pump = self._loop.call_later(pause, self._pump_later, pair, tunnel)

    def _pump_later(self, pair: Pair, tunnel: _Tunnel) -> None:
        tunnel.pump = None
        if self._tunnels.get(pair) is tunnel:
            self._pump(pair, tunnel)

    def _pass_on(self, pair: Pair, sender: NodeId, step: TunnelStep) -> bool:
        """Send a step to its end; False if the tunnel is over with it."""
        onward = TunnelStep(step.step, sender, step.tunnel, step.data)
        if not self._carry(step.far, Frame.RELAYED, bytes(onward)):
            self._end(pair, "the relay has no link with the other end, or too much waits for it")
            return False
        if step.step is Step.END:
            self._forget(pair)
            return False
        return True

    def _end(self, pair: Pair, text: str) -> None:
        self._forget(pair)
        one, other, number = pair
        self._say_end(one, other, number, text)
        self._say_end(other, one, number, text)

    def _say_end(self, to: NodeId, far: NodeId, number: int, text: str) -> None:
        self._carry(to, Frame.RELAYED, bytes(TunnelStep(Step.END, far, number, text.encode())))

    def _forget(self, pair: Pair) -> None:
        tunnel = self._tunnels.pop(pair)
        if tunnel.pump is not None:
            tunnel.pump.cancel()
        self._observer.record(RelayEnded(tunnel.octets))


def _pair(sender: NodeId, step: TunnelStep) -> Pair:
    one, other = sorted((sender, step.far))
    return one, other, step.tunnel
