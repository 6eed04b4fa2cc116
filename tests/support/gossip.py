"""Nodes that talk, write and load without end: something for faults to happen to.

As a program it prints the hash of a run's trace.
"""

from __future__ import annotations

import sys

from epost.foundation.effects import Caller
from epost.foundation.ids import NodeHandle, NodeId
from epost.foundation.ports import PutBlock, PutNote
from epost.foundation.wire import Application
from epost.node.driver import Driver
from epost.simulation.clock import run
from epost.simulation.faults import FaultConfig, draw_plan, inflict
from epost.simulation.host import SimulatedHost, World
from epost.simulation.network import NetworkConfig
from epost.simulation.world import random_for
from tests.support.nodes import content_handle, entry_for, host_of, node_handle

PAST = Application.PAST
NAMES = "abcde"


class Gossip:
    """Tells all others something every second; stores and answers what it is told."""

    def __init__(self, host: SimulatedHost, driver: Driver) -> None:
        self._host = host
        self._outbox = driver.outbox
        self._others = [node_handle(name) for name in NAMES if name != host.name]
        driver.register(PAST, self)

    def on_start(self, now: float) -> None:
        self._outbox.set_timer(PAST, "tell", 1.0)

    def on_timer(self, name: str, now: float) -> None:
        for other in self._others:
            self._outbox.notify(other, PAST, self._host.entropy.token(200))
        self._outbox.set_timer(PAST, "tell", 1.0)

    def on_notify(self, sender: NodeHandle, body: bytes, now: float) -> None:
        if len(body) < 200:
            return
        self._outbox.write(PutBlock(entry_for(body), body))
        self._outbox.notify_when_durable(sender, PAST, body[:4])
        if body[0] < 20:
            self._outbox.load(PAST, content_handle(body), "check")

    def on_loaded(self, purpose: object, body: bytes | None, now: float) -> None:
        self._outbox.write(PutNote("loaded", str(now).encode(), body or b"rotten"))

    def on_request(self, caller: Caller, body: bytes, now: float) -> None:
        raise AssertionError("nobody asks")

    def on_unreachable(self, node: NodeId, now: float) -> None:
        self._outbox.write(PutNote("unreachable", node, str(now).encode()))


def trace_of(seed: int, faults: FaultConfig, *, seconds: float = 120) -> str:
    """Run five nodes under faults; return the hash of all that was observed and sent."""

    async def story() -> str:
        world = World(seed, NetworkConfig(duplication=0.01, reorder=0.01))
        for name in NAMES:
            host_of(world, name, Gossip)
        await inflict(world, draw_plan(random_for(seed, "faults"), NAMES, faults, seconds=seconds))
        await world.run_for(10)
        await world.close()
        assert world.trace.count > 1000
        return world.trace.digest()

    return run(story())


if __name__ == "__main__":
    print(trace_of(int(sys.argv[1]), FaultConfig(crash_every_seconds=10, rot_every_seconds=10)))
