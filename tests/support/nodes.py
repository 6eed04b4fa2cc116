"""Small nodes in the simulated world: a driver with machines that tests write by hand."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from epost.foundation.effects import Caller, Outbox
from epost.foundation.ids import Address, BlockKind, Handle, NodeHandle, NodeId
from epost.foundation.ports import Role, VaultEntry
from epost.node.driver import Driver
from epost.simulation.clock import run
from epost.simulation.host import SimulatedHost, World
from epost.simulation.network import NetworkConfig
from epost.simulation.vault import DiskConfig

RING = b"ring" * 5
CALM = NetworkConfig(loss=0.0, jitter=0.0)


def in_world(story: Callable[[World], Coroutine[Any, Any, None]], **options: Any) -> None:
    """Run a story in a new world, in virtual time, and stop every node of it."""

    async def whole() -> None:
        world = World(options.pop("seed", 1), options.pop("network", CALM))
        await story(world)
        await world.close()

    run(whole())


def node_handle(name: str) -> NodeHandle:
    digest = hashlib.sha256(name.encode()).digest()
    return NodeHandle(RING, digest[:20], (Address(f"{name}.example", 4000),))


def content_handle(body: bytes) -> Handle:
    return Handle(BlockKind.CONTENT, hashlib.sha256(body).digest())


def entry_for(body: bytes, *, roles: Role = Role.REPLICA) -> VaultEntry:
    return VaultEntry(content_handle(body), len(body), roles)


@dataclass
class ScriptedMachine:
    """Notes what it is told, and does what the test wants on a request."""

    outbox: Outbox
    on_asked: Callable[[Caller, bytes], None] = lambda _caller, _body: None
    started: int = 0
    notifies: list[bytes] = field(default_factory=list)
    requests: list[bytes] = field(default_factory=list)
    timers: list[tuple[str, float]] = field(default_factory=list)
    loaded: list[tuple[object, bytes | None]] = field(default_factory=list)
    unreachable: list[NodeId] = field(default_factory=list)

    def on_start(self, now: float) -> None:
        self.started += 1

    def on_notify(self, sender: NodeHandle, body: bytes, now: float) -> None:
        self.notifies.append(body)

    def on_request(self, caller: Caller, body: bytes, now: float) -> None:
        self.requests.append(body)
        self.on_asked(caller, body)

    def on_timer(self, name: str, now: float) -> None:
        self.timers.append((name, now))

    def on_loaded(self, purpose: object, body: bytes | None, now: float) -> None:
        self.loaded.append((purpose, body))

    def on_unreachable(self, node: NodeId, now: float) -> None:
        self.unreachable.append(node)


def driver_on(host: SimulatedHost) -> Driver:
    """Return a driver on the ports of a host."""
    return Driver(
        host.me,
        clock=host.clock,
        entropy=host.entropy,
        observer=host.observer,
        vault=host.vault,
        transport=host.transport,
    )


def host_of(
    world: World,
    name: str,
    equip: Callable[[SimulatedHost, Driver], None] = lambda _host, _driver: None,
    *,
    disk: DiskConfig | None = None,
) -> SimulatedHost:
    """Add a started host; `equip` registers machines and handlers at each start."""

    def build(host: SimulatedHost) -> Driver:
        driver = driver_on(host)
        equip(host, driver)
        return driver

    host = SimulatedHost(
        world, name, node_handle(name), build, certificate=name.encode(), disk=disk
    )
    host.start()
    return host


async def settle(seconds: float = 1.0) -> None:
    """Let virtual time pass until everything short has happened."""
    await asyncio.sleep(seconds)
