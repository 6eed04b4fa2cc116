"""What goes wrong in a run: faults as values, a plan of them drawn from a seed, and their doing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from epost.simulation.host import World


@dataclass(frozen=True, slots=True)
class Crash:
    """A node (or its machine) ends without notice and comes back later."""

    host: str
    down_seconds: float
    with_machine: bool = False

    async def inflict(self, world: World) -> None:
        """Crash, wait, start."""
        host = world.hosts[self.host]
        host.crash(with_machine=self.with_machine)
        await asyncio.sleep(self.down_seconds)
        host.start()


@dataclass(frozen=True, slots=True)
class LoseDisk:
    """A machine loses its disk and comes back with an empty one."""

    host: str
    down_seconds: float

    async def inflict(self, world: World) -> None:
        """Lose the disk, wait, start."""
        host = world.hosts[self.host]
        host.lose_disk()
        await asyncio.sleep(self.down_seconds)
        host.start()


@dataclass(frozen=True, slots=True)
class Partition:
    """Some hosts and all the others do not reach each other for a while."""

    hosts: tuple[str, ...]
    seconds: float

    async def inflict(self, world: World) -> None:
        """Partition, wait, heal."""
        world.network.partition([world.hosts[name].me.id for name in self.hosts])
        await asyncio.sleep(self.seconds)
        world.network.heal()


@dataclass(frozen=True, slots=True)
class Cut:
    """Nothing passes in one direction between two hosts for a while."""

    sender: str
    receiver: str
    seconds: float

    async def inflict(self, world: World) -> None:
        """Cut, wait, mend."""
        ends = world.hosts[self.sender].me.id, world.hosts[self.receiver].me.id
        world.network.cut(*ends)
        await asyncio.sleep(self.seconds)
        world.network.mend(*ends)


@dataclass(frozen=True, slots=True)
class CutPair:
    """Two hosts do not reach each other for a while, though others reach both."""

    hosts: tuple[str, str]
    seconds: float

    async def inflict(self, world: World) -> None:
        """Cut both ways, wait, mend."""
        one, other = (world.hosts[name].me.id for name in self.hosts)
        for ends in ((one, other), (other, one)):
            world.network.cut(*ends)
        await asyncio.sleep(self.seconds)
        for ends in ((one, other), (other, one)):
            world.network.mend(*ends)


@dataclass(frozen=True, slots=True)
class Rot:
    """One bit of one body on a disk flips."""

    host: str

    async def inflict(self, world: World) -> None:
        """Flip it."""
        world.hosts[self.host].disk.rot()


@dataclass(frozen=True, slots=True)
class FillDisk:
    """Somebody else fills the disk of a host for a while."""

    host: str
    seconds: float

    async def inflict(self, world: World) -> None:
        """Fill, wait, free."""
        disk = world.hosts[self.host].disk
        disk.is_full = True
        await asyncio.sleep(self.seconds)
        disk.is_full = False


@dataclass(frozen=True, slots=True)
class JumpClock:
    """The wall clock of a host jumps and is put right later."""

    host: str
    skew_seconds: float
    seconds: float

    async def inflict(self, world: World) -> None:
        """Jump, wait, put right."""
        clock = world.hosts[self.host].clock
        clock.skew_seconds += self.skew_seconds
        await asyncio.sleep(self.seconds)
        clock.skew_seconds -= self.skew_seconds


Fault = Crash | LoseDisk | Partition | Cut | CutPair | Rot | FillDisk | JumpClock


@dataclass(frozen=True, slots=True)
class Planned:
    """A fault and when it begins, in seconds from the beginning of the plan."""

    at_seconds: float
    fault: Fault


@dataclass(frozen=True, slots=True)
class FaultConfig:
    """How much goes wrong: mean seconds between two faults of a kind, over all hosts together.

    Zero means never. Partitions do not overlap with each other, nor do losses of disks.
    """

    crash_every_seconds: float = 60.0
    partition_every_seconds: float = 300.0
    cut_every_seconds: float = 120.0
    rot_every_seconds: float = 300.0
    fill_every_seconds: float = 0.0
    clock_every_seconds: float = 600.0
    lose_disk_every_seconds: float = 0.0
    disk_losses_gap_seconds: float = 3600.0
    """The least time between two losses of a disk: what the ring needs to copy its blocks."""
    outage_seconds_max: float = 60.0
    skew_seconds_max: float = 3600.0


def draw_plan(
    random: Random, hosts: Sequence[str], config: FaultConfig, *, seconds: float
) -> list[Planned]:
    """Return the faults of a run in order of time; equal arguments give equal plans."""
    draw = _Draw(random, hosts, config)
    kinds: list[tuple[float, float, Callable[[], Fault]]] = [
        (config.crash_every_seconds, 0.0, draw.crash),
        (config.partition_every_seconds, config.outage_seconds_max, draw.partition),
        (config.cut_every_seconds, 0.0, draw.cut),
        (config.rot_every_seconds, 0.0, draw.rot),
        (config.fill_every_seconds, 0.0, draw.full_disk),
        (config.clock_every_seconds, 0.0, draw.clock_jump),
        (config.lose_disk_every_seconds, config.disk_losses_gap_seconds, draw.disk_loss),
    ]
    plan: list[Planned] = []
    for mean_seconds, gap_seconds, draw_fault in kinds:
        if mean_seconds > 0:
            times = _times(random, mean_seconds, gap_seconds, until=seconds)
            plan += [Planned(time, draw_fault()) for time in times]
    return sorted(plan, key=lambda planned: planned.at_seconds)


async def inflict(world: World, plan: Sequence[Planned]) -> None:
    """Let the planned faults happen; returns when the last is over and all hosts run again."""

    async def wait_for(planned: Planned) -> None:
        await asyncio.sleep(planned.at_seconds)
        world.trace.record("", planned.fault)
        await planned.fault.inflict(world)

    async with asyncio.TaskGroup() as faults:
        for planned in plan:
            faults.create_task(wait_for(planned))


def _times(random: Random, mean_seconds: float, gap_seconds: float, *, until: float) -> list[float]:
    """Return the times of a Poisson process with a least gap between its events."""
    times: list[float] = []
    time = random.expovariate(1 / mean_seconds)
    while time < until:
        times.append(time)
        time += gap_seconds + random.expovariate(1 / mean_seconds)
    return times


class _Draw:
    """Draws the particulars of a fault."""

    def __init__(self, random: Random, hosts: Sequence[str], config: FaultConfig) -> None:
        self._random = random
        self._hosts = list(hosts)
        self._config = config

    def crash(self) -> Fault:
        return Crash(self._host(), self._outage(), with_machine=self._random.random() < 0.5)

    def partition(self) -> Fault:
        size = self._random.randint(1, max(1, len(self._hosts) // 2))
        return Partition(tuple(self._random.sample(self._hosts, size)), self._outage())

    def cut(self) -> Fault:
        sender, receiver = self._host(), self._host()
        return Cut(sender, receiver, self._outage())

    def rot(self) -> Fault:
        return Rot(self._host())

    def full_disk(self) -> Fault:
        return FillDisk(self._host(), self._outage())

    def clock_jump(self) -> Fault:
        most = self._config.skew_seconds_max
        return JumpClock(self._host(), self._random.uniform(-most, most), self._outage())

    def disk_loss(self) -> Fault:
        return LoseDisk(self._host(), self._outage())

    def _host(self) -> str:
        return self._random.choice(self._hosts)

    def _outage(self) -> float:
        return self._random.uniform(0.1, self._config.outage_seconds_max)
