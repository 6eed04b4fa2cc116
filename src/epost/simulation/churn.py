"""Machines leave and come back: crashes, restarts, lost disks, new enrolments.

The promise under test holds for at most k-1 losses of one replica set within the time that a repair
takes, so no more is inflicted. Which nodes replicate a block changes while machines come and go;
`RepairWindow` therefore counts on the safe side.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from epost.foundation.ids import NodeId
from epost.simulation.office import Machine, Office


@dataclass(frozen=True, slots=True)
class ChurnConfig:
    """Times in seconds."""

    session_seconds_mean: float = 1800.0
    down_seconds_min: float = 5.0
    down_seconds_mean: float = 90.0
    down_seconds_max: float = 300.0
    disk_lost_part: float = 0.3
    """How many of the departures of machines without a user take the disk along."""
    power_cut_part: float = 0.5
    """How many crashes take the whole machine: silence instead of refused connections."""
    neighbour_too_part: float = 0.25
    """How often the next node on the ring goes at the same moment, if that is allowed."""
    repair_window_seconds: float = 120.0
    replicas: int = 3
    stand_ins: int = 2


@dataclass(frozen=True, slots=True)
class Left:
    """A machine leaves, and perhaps loses its disk."""

    loses_disk: bool
    down_seconds: float


class RepairWindow:
    """Decides whether a node may leave now: at most k-1 holders of any block within the window.

    The holders are k of the k + stand-ins neighbours on the ring as it was at some moment. Nodes
    that came or went within the window may or may not have been between them, so every stretch
    with so many settled nodes as there are stand-ins is looked at, with all unsettled ones in it.
    """

    def __init__(self, config: ChurnConfig) -> None:
        self._replicas = config.replicas
        self._stand_ins = config.stand_ins
        self._seconds = config.repair_window_seconds
        self._joined: dict[NodeId, float] = {}
        self._left: dict[NodeId, float] = {}

    def joined(self, node: NodeId, now: float) -> None:
        """A node came (back)."""
        self._joined[node] = now

    def left(self, node: NodeId, now: float) -> None:
        """A node went."""
        self._left[node] = now

    def allows(self, candidate: NodeId, running: Sequence[NodeId], now: float) -> bool:
        """May one of the running nodes go?"""
        gone = {n for n, at in self._left.items() if now - at < self._seconds} | {candidate}
        ring = sorted({*running, *gone})
        settled = [i for i, node in enumerate(ring) if self._is_settled(node, gone, now)]
        if len(settled) <= self._stand_ins + 1:
            return len(gone) < self._replicas
        return all(
            sum(node in gone for node in stretch) < self._replicas
            for stretch in self._stretches(ring, settled, ring.index(candidate))
        )

    def _is_settled(self, node: NodeId, gone: set[NodeId], now: float) -> bool:
        joined_at = self._joined.get(node)
        return node not in gone and (joined_at is None or now - joined_at >= self._seconds)

    def _stretches(
        self, ring: Sequence[NodeId], settled: Sequence[int], at: int
    ) -> Iterator[Sequence[NodeId]]:
        """Yield the stretches around a place that hold as many settled nodes as stand-ins."""
        before = bisect_left(settled, at)
        for first in range(before - self._stand_ins - 1, before):
            start = settled[first % len(settled)]
            end = settled[(first + self._stand_ins + 1) % len(settled)]
            size = (end - start - 1) % len(ring)
            yield [ring[(start + 1 + step) % len(ring)] for step in range(size)]


class Churn:
    """Lets machines of an office leave and return until it is told to stop."""

    def __init__(self, office: Office, random: Random, config: ChurnConfig) -> None:
        self._office = office
        self._random = random
        self._config = config
        self._window = RepairWindow(config)
        self._returning: dict[asyncio.Task[None], Machine] = {}
        self.departures = 0
        self.disks_lost = 0
        self.refused = 0

    async def run(self) -> None:
        """Inflict departures for ever, at the rate that gives the mean session."""
        loop = asyncio.get_running_loop()
        while True:
            running = self._office.running
            pause = self._config.session_seconds_mean / max(1, len(running))
            await asyncio.sleep(self._random.expovariate(1 / pause))
            machine = self._random.choice(self._office.running)
            together = [machine]
            if self._random.random() < self._config.neighbour_too_part:
                together.append(self._next_on_ring(machine))
            for each in together:
                if self._may_leave(each, loop.time()):
                    self._leave(each, loop.time())
                else:
                    self.refused += 1

    async def heal(self) -> None:
        """Return when every machine is back."""
        while self._returning:
            await asyncio.gather(*self._returning)

    def _may_leave(self, machine: Machine, now: float) -> bool:
        ids = [each.node_id for each in self._office.running]
        return machine.host.is_running and self._window.allows(machine.node_id, ids, now)

    def _next_on_ring(self, machine: Machine) -> Machine:
        ring = sorted(self._office.running, key=lambda each: each.node_id)
        return ring[(ring.index(machine) + 1) % len(ring)]

    def _leave(self, machine: Machine, now: float) -> None:
        random, config = self._random, self._config
        loses_disk = machine.account is None and random.random() < config.disk_lost_part
        seconds = random.expovariate(1 / config.down_seconds_mean)
        seconds = min(max(seconds, config.down_seconds_min), config.down_seconds_max)
        self._office.world.trace.record(machine.host.name, Left(loses_disk, seconds))
        self._window.left(machine.node_id, now)
        self.departures += 1
        if loses_disk:
            self.disks_lost += 1
            machine.lose_disk()
        else:
            machine.crash(with_machine=random.random() < config.power_cut_part)
        returning = asyncio.get_running_loop().create_task(
            self._return(machine, seconds, loses_disk=loses_disk)
        )
        self._returning[returning] = machine
        returning.add_done_callback(self._returning.pop)

    async def _return(self, machine: Machine, seconds: float, *, loses_disk: bool) -> None:
        await asyncio.sleep(seconds)
        if loses_disk:
            self._office.replace(machine)
        machine.host.start()
        self._window.joined(machine.node_id, asyncio.get_running_loop().time())
