"""Simulated machines: each has an address, a clock, a disk, and now and then a node."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from epost.foundation.errors import EpostError
from epost.foundation.ids import NodeHandle
from epost.simulation.network import NetworkConfig, SimulatedNetwork, SimulatedTransport
from epost.simulation.vault import DiskConfig, SimulatedDisk, SimulatedVault
from epost.simulation.world import (
    SimulatedClock,
    SimulatedEntropy,
    SimulatedObserver,
    Trace,
    random_for,
)

RESTART_SECONDS = 5.0
"""How long the service manager of a machine waits before it starts a failed node again."""


class Node(Protocol):
    """What a host runs; `stopped` carries the error that made the node stop by itself."""

    stopped: asyncio.Future[None]

    def start(self) -> None:
        """Begin."""

    async def stop(self) -> None:
        """End in good order, also after a failure."""


@dataclass(frozen=True, slots=True)
class Started:
    """A host started its node, for the how manyth time."""

    incarnation: int


@dataclass(frozen=True, slots=True)
class Stopped:
    """A host stopped its node in good order."""


@dataclass(frozen=True, slots=True)
class Crashed:
    """A node ended without notice, perhaps with its machine."""

    with_machine: bool


class World:
    """Everything that the hosts of one run share; the whole run follows from the seed."""

    def __init__(self, seed: int, network: NetworkConfig | None = None) -> None:
        self.seed = seed
        self.trace = Trace()
        self.network = SimulatedNetwork(seed, network or NetworkConfig(), self.trace)
        self.hosts: dict[str, SimulatedHost] = {}
        self.bugs: list[BaseException] = []
        """Errors that made a node stop and that neither a peer nor a disk can be blamed for."""

    async def run_for(self, seconds: float) -> None:
        """Let time pass; raise the first bug as soon as it is met.

        Give or take a second, or in long stretches a ten-thousandth of them.
        """
        loop = asyncio.get_running_loop()
        end, step = loop.time() + seconds, max(1.0, seconds / 10_000)
        while (left := end - loop.time()) > 0:
            await asyncio.sleep(min(left, step))
            if self.bugs:
                raise self.bugs[0]

    async def close(self) -> None:
        """Stop every node."""
        for host in self.hosts.values():
            await host.stop()


class SimulatedHost:
    """One machine. `build` puts a node together from the ports found here.

    A crash loses the process and what its disk had not synced; `lose_disk` loses all. Ports are
    new for each start, so that what a dead process still does reaches nobody.
    """

    transport: SimulatedTransport
    vault: SimulatedVault
    entropy: SimulatedEntropy
    observer: SimulatedObserver

    def __init__(
        self,
        world: World,
        name: str,
        me: NodeHandle,
        build: Callable[[SimulatedHost], Node],
        *,
        certificate: bytes = b"",
        disk: DiskConfig | None = None,
        make_vault: Callable[[SimulatedDisk, SimulatedObserver], SimulatedVault] = SimulatedVault,
    ) -> None:
        self.world = world
        self.name = name
        self.me = me
        self.certificate = certificate
        self._build = build
        self._make_vault = make_vault
        self._random = random_for(world.seed, "host", name)
        # No two machines booted together: a time of one means nothing to another.
        self.clock = SimulatedClock(booted_seconds=self._random.uniform(0, 1e6))
        self._disk_config = disk or DiskConfig()
        self.disk = SimulatedDisk(self._disk_config, self._random)
        self.node: Node | None = None
        self._incarnation = 0
        self._dying: list[asyncio.Task[None]] = []
        self._restart: asyncio.TimerHandle | None = None
        world.hosts[name] = self

    @property
    def is_running(self) -> bool:
        """Whether there is a node now."""
        return self.node is not None

    def start(self) -> None:
        """Start a node, if none runs; the machine is on from now."""
        if self.node is not None:
            return
        self._incarnation += 1
        self.world.trace.record(self.name, Started(self._incarnation))
        self.observer = SimulatedObserver(self.world.trace, self.name)
        self.entropy = SimulatedEntropy(self.world.seed, self.name, str(self._incarnation))
        self.vault = self._make_vault(self.disk, self.observer)
        self.transport = SimulatedTransport(self.world.network, self.me, self.certificate)
        self.node = node = self._build(self)
        node.start()
        node.stopped.add_done_callback(lambda stopped: self._on_stopped(node, stopped))

    async def stop(self) -> None:
        """Stop the node in good order, if one runs, and wait for those that crashed."""
        self._cancel_restart()
        if (node := self.node) is not None:
            self.node = None
            await node.stop()
            await self.transport.close()
            await self.vault.close()
            self.world.trace.record(self.name, Stopped())
        await asyncio.gather(*self._dying, return_exceptions=True)
        self._dying.clear()

    def crash(self, *, with_machine: bool = False) -> None:
        """End the process at once; with the machine, nobody even refuses connections."""
        self._cancel_restart()
        if with_machine:
            self.world.network.machine_down(self.me.id)
        if (node := self.node) is None:
            return
        self.node = None
        self.world.trace.record(self.name, Crashed(with_machine))
        self.observer.mute()
        self.transport.unplug()
        self.vault.crash()
        self._dying.append(asyncio.get_running_loop().create_task(node.stop()))

    def lose_disk(self) -> None:
        """Crash with the machine and put in an empty disk."""
        self.crash(with_machine=True)
        self.disk = SimulatedDisk(self._disk_config, self._random)

    def _on_stopped(self, node: Node, stopped: asyncio.Future[None]) -> None:
        error = stopped.exception()
        if error is None or self.node is not node:
            return
        if not isinstance(error, EpostError | OSError):
            self.world.bugs.append(error)
        self.crash()
        self._restart = asyncio.get_running_loop().call_later(RESTART_SECONDS, self.start)

    def _cancel_restart(self) -> None:
        if self._restart is not None:
            self._restart.cancel()
            self._restart = None
