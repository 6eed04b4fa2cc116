"""What befalls the machines of a ring, within what the ring promises to bear.

Departures (crash, power cut, lost disk, sleep, a rotten block, a full disk) come only where at
most k-1 of any replica set are then faulty, liars included. Partitions, cuts between two and clock
jumps may come at any time; but while the ring is cut, or has just been, no copy is destroyed, since
nothing can be copied from the other side.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from epost.simulation.churn import ChurnConfig, RepairWindow
from epost.simulation.faults import Cut, CutPair, JumpClock, Partition
from epost.simulation.office import Machine, Office
from epost.simulation.storage.liars import LIARS
from epost.simulation.storage.sleeping import SleepyNode

FOR_EVER = float("inf")


@dataclass(frozen=True, slots=True)
class TroubleConfig:
    """Mean seconds between two faults of a kind in a ring of 50; more machines, more faults."""

    crash_every: float = 15.0
    sleep_every: float = 30.0
    disk_loss_every: float = 60.0
    rot_every: float = 60.0
    full_disk_every: float = 120.0
    partition_every: float = 240.0
    cut_every: float = 40.0
    pair_cut_every: float = 40.0
    clock_every: float = 60.0
    outage_seconds_max: float = 60.0
    skew_seconds_max: float = 3600.0
    liars_part_max: float = 0.1
    window: ChurnConfig = field(default_factory=ChurnConfig)


@dataclass(frozen=True, slots=True)
class Struck:
    """Something befell a machine."""

    kind: str
    machine: str
    seconds: float


class Trouble:
    """Makes some machines liars, then strikes until it is cancelled; `heal` ends it all."""

    def __init__(self, office: Office, random: Random, config: TroubleConfig) -> None:
        self._office = office
        self._random = random
        self._config = config
        self._window = RepairWindow(config.window)
        self._asleep: dict[str, None] = {}
        self._fated: dict[str, None] = {}
        self._struck: dict[asyncio.Task[None], None] = {}
        self._cut_until = 0.0
        self._lost_at = -FOR_EVER
        self.counts: dict[str, int] = {}
        self.refused = 0

    @property
    def is_whole(self) -> bool:
        """Has the ring been in one part for a while?"""
        return asyncio.get_running_loop().time() >= self._cut_until

    def awake(self) -> Sequence[Machine]:
        """Return the machines that run now."""
        return [m for m in self._office.running if m.name not in self._asleep]

    def choose_liars(self) -> None:
        """Draw machines that are dishonest from now on, which begins with a restart."""
        machines = self._office.machines
        wanted = self._random.randint(0, int(self._config.liars_part_max * len(machines)))
        ids = [machine.node_id for machine in machines]
        for machine in self._random.sample(self._stores(), wanted):
            if self._window.allows(machine.node_id, ids, 0.0):
                self._window.left(machine.node_id, FOR_EVER)
                self._office.liars[machine.name] = self._random.choice(LIARS)
                machine.host.crash()
                machine.host.start()

    async def run(self) -> None:
        """Strike for ever, each kind at its own rate."""
        async with asyncio.TaskGroup() as group:
            for every, strike in self._kinds():
                group.create_task(self._repeat(every * 50 / len(self._office.machines), strike))

    def _kinds(self) -> list[tuple[float, Callable[[], None]]]:
        """Return what may happen, and how often in a ring of 50."""
        config = self._config
        return [
            (config.crash_every, self._crash),
            (config.sleep_every, self._put_to_sleep),
            (config.disk_loss_every, self._lose_disk),
            (config.rot_every, self._rot),
            (config.full_disk_every, self._fill_disk),
            (config.partition_every, self._partition),
            (config.cut_every, self._cut),
            (config.pair_cut_every, self._cut_pair),
            (config.clock_every, self._jump_clock),
        ]

    async def heal(self) -> None:
        """Return when whatever was struck is back."""
        while self._struck:
            await asyncio.gather(*self._struck)

    async def _repeat(self, mean_seconds: float, strike: Callable[[], None]) -> None:
        while True:
            await asyncio.sleep(self._random.expovariate(1 / mean_seconds))
            strike()

    # Departures.

    def _crash(self) -> None:
        if machine := self._victim():
            self._begin("crash", machine, self._outage(), self._down)

    def _put_to_sleep(self) -> None:
        if machine := self._victim():
            self._begin("sleep", machine, self._outage(), self._sleep)

    def _lose_disk(self) -> None:
        machine = self._victim(self._stores()) if self.is_whole else None
        if machine is not None:
            self._lost_at = asyncio.get_running_loop().time()
            self._begin("disk lost", machine, self._outage(), self._without_disk)

    def _rot(self) -> None:
        if self.is_whole and (machine := self._victim()):
            self._lost_at = asyncio.get_running_loop().time()
            self._begin("rot", machine, 0.0, self._rotten)

    def _fill_disk(self) -> None:
        if machine := self._victim():
            self._begin("disk full", machine, self._outage(), self._full)

    def _stores(self) -> Sequence[Machine]:
        """Return those whose disk may go: not the authority's, nor a user's, who would have to
        come back with her phrase."""
        return [each for each in self._office.machines[1:] if each.account is None]

    def _victim(self, among: Sequence[Machine] = ()) -> Machine | None:
        """Draw an honest machine (of all, unless said) that may fail now; None if it may not."""
        now = asyncio.get_running_loop().time()
        machine = self._random.choice(among or self._office.machines)
        ids = [each.node_id for each in self._office.running]
        # Two fates at once would bring back a machine that has lost its disk, as it was before.
        is_up = machine.host.is_running and machine.name not in self._fated
        if is_up and machine.is_honest and self._window.allows(machine.node_id, ids, now):
            self._window.left(machine.node_id, now)
            return machine
        self.refused += 1
        return None

    async def _down(self, machine: Machine, seconds: float) -> None:
        machine.crash(with_machine=self._random.random() < 0.5)
        await asyncio.sleep(seconds)
        machine.host.start()

    async def _sleep(self, machine: Machine, seconds: float) -> None:
        node, host = machine.node, machine.host
        assert isinstance(node, SleepyNode)
        self._asleep[machine.name] = None
        node.driver.fall_asleep()
        self._office.world.network.machine_down(host.me.id)
        await asyncio.sleep(seconds)
        del self._asleep[machine.name]
        if machine.node is node:
            self._office.world.network.plug_in(host.transport)
            node.driver.wake_up()

    async def _without_disk(self, machine: Machine, seconds: float) -> None:
        machine.lose_disk()
        await asyncio.sleep(seconds)
        self._office.replace(machine)
        machine.host.start()

    async def _rotten(self, machine: Machine, _seconds: float) -> None:
        machine.host.disk.rot()

    async def _full(self, machine: Machine, seconds: float) -> None:
        disk = machine.host.disk
        disk.is_full = True
        await asyncio.sleep(seconds)
        disk.is_full = False
        await asyncio.sleep(self._config.window.down_seconds_min)  # it may be about to restart
        machine.host.start()

    # What destroys nothing.

    def _partition(self) -> None:
        loop = asyncio.get_running_loop()
        window = self._config.window.repair_window_seconds
        if not self.is_whole or loop.time() - self._lost_at < window:
            self.refused += 1
            return
        names = [machine.host.name for machine in self._office.machines]
        size = self._random.randint(1, len(names) // 2)
        part, seconds = tuple(self._random.sample(names, size)), self._outage()
        self._cut_until = loop.time() + seconds + window
        self._inflict("partition", Partition(part, seconds))

    def _cut(self) -> None:
        running = [machine.host.name for machine in self._office.running]
        sender, receiver = self._random.sample(running, 2)
        self._inflict("one-way cut", Cut(sender, receiver, self._outage()))

    def _cut_pair(self) -> None:
        """Most often neighbours on the ring, who have the most to say to each other."""
        running = sorted(self._office.running, key=lambda machine: machine.node_id)
        first = self._random.randrange(len(running))
        second = (first + self._random.randint(1, min(8, len(running) - 1))) % len(running)
        pair = running[first].host.name, running[second].host.name
        self._inflict("pair cut", CutPair(pair, self._outage()))

    def _jump_clock(self) -> None:
        name = self._random.choice(self._office.running).host.name
        most = self._config.skew_seconds_max
        skew = self._random.uniform(-most, most)
        self._inflict("clock jump", JumpClock(name, skew, self._outage()))

    def _inflict(self, kind: str, fault: Partition | Cut | CutPair | JumpClock) -> None:
        self._office.world.trace.record("", fault)
        self._keep(kind, fault.inflict(self._office.world))

    def _begin(
        self,
        kind: str,
        machine: Machine,
        seconds: float,
        fate: Callable[[Machine, float], Awaitable[None]],
    ) -> None:
        self._office.world.trace.record(machine.host.name, Struck(kind, machine.name, seconds))
        self._keep(kind, self._endure(machine, seconds, fate))

    async def _endure(
        self, machine: Machine, seconds: float, fate: Callable[[Machine, float], Awaitable[None]]
    ) -> None:
        self._fated[machine.name] = None
        await fate(machine, seconds)
        del self._fated[machine.name]
        now = asyncio.get_running_loop().time()
        self._window.left(machine.node_id, now)  # until the ring has mended what it missed
        self._window.joined(machine.node_id, now)

    def _keep(self, kind: str, story: Awaitable[None]) -> None:
        self.counts[kind] = self.counts.get(kind, 0) + 1
        task = asyncio.ensure_future(story)
        self._struck[task] = None
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._struck[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            self._office.world.bugs.append(error)

    def _outage(self) -> float:
        return self._random.uniform(1.0, self._config.outage_seconds_max)
