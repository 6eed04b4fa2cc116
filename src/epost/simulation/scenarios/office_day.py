"""A day and a night of an office (`epost simulate --scenario office-day`).

Two hundred desktops, of which most sleep from 18:00 to 08:00, everybody's lid closing and opening
within half an hour. Members go on inserting, at night only those awake. Nobody's disk may
overflow, copying stays under its cap, nothing is lost, and in the morning every replica set must be
complete soon. It begins at 17:00; `minutes` is how long the day goes on after 08:00.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from random import Random

from epost.foundation.errors import EpostError
from epost.foundation.ids import BlockKind
from epost.node.settings import NodeConfigs
from epost.past.blocks import content_handle
from epost.past.config import PastConfig
from epost.past.observed import CopyingPaused
from epost.pastry.config import PastryConfig
from epost.simulation.defects import Defect
from epost.simulation.invariants.blocks import AcknowledgedBlocks
from epost.simulation.invariants.replicas import CompleteSets, KnownBlocks
from epost.simulation.invariants.violations import Findings, Invariant
from epost.simulation.office import Machine, Office, OfficeConfig
from epost.simulation.scenarios.stories import Stories
from epost.simulation.storage.metering import Meter
from epost.simulation.storage.sleeping import SleepyNode
from epost.simulation.vault import DiskConfig
from epost.simulation.world import Observed, random_for

HOUR = 3600.0
CAP_BYTES_PER_SECOND = 100_000

NODES = NodeConfigs(
    # Unlike the defaults these let a night of 200 machines pass in minutes of real time.
    pastry=PastryConfig(heartbeat_seconds=60.0, suspect_after_seconds=90.0, exchange_seconds=900.0),
    past=PastConfig(
        tick_seconds=30.0,
        push_backoff_seconds_min=60.0,
        repair_bytes_per_second=CAP_BYTES_PER_SECOND,
        disk_reserve_bytes=1,
        allowance_free_bytes=1 << 30,
    ),
)


@dataclass(frozen=True)
class OfficeDayConfig:
    """The scenario's settings; times in seconds, sizes in bytes."""

    machines: int = 200
    asleep_part: float = 0.8
    blocks: int = 2000
    """Inserted from 17:00 to 18:00; a twentieth as many in the night."""
    size_max: int = 40_000
    disk_bytes: int = 2_500_000
    """What each contributes: some three times what it holds with everybody awake."""
    evening_seconds: float = HOUR
    spread_seconds: float = 0.5 * HOUR
    night_seconds: float = 14 * HOUR
    catch_up_seconds_max: float = HOUR
    nodes: NodeConfigs = NODES


@dataclass(slots=True)
class _Day:
    """What came of it."""

    refused: int = 0
    fullest_part: float = 0.0
    copied_in_the_night: int = 0
    pauses: int = 0
    caught_up_seconds: float = 0.0
    inserted: dict[str, int] = field(default_factory=lambda: {"evening": 0, "night": 0})


class OfficeDayScenario:
    """One evening, night and morning."""

    def __init__(self, seed: int, defect: Defect, config: OfficeDayConfig | None = None) -> None:
        self._config = config = config or OfficeDayConfig()
        self._random: Random = random_for(seed, "office day")
        self.meter = Meter()
        disk = replace(defect.disk, contributed_bytes_max=config.disk_bytes)
        assert isinstance(disk, DiskConfig)
        settings = OfficeConfig(machines=config.machines, users=0, nodes=config.nodes)
        node = self.meter.node_type(defect.node)
        self.office = Office(seed, settings, replace(defect, disk=disk, node=node))
        self.world = self.office.world
        self.findings = Findings(self.world)
        self._blocks = AcknowledgedBlocks(self.office, self.findings)
        self._sets = CompleteSets(self.office, self.findings, self._blocks)
        self._known = KnownBlocks(self.office, self.findings)
        self._asleep: dict[str, None] = {}
        self._day = _Day()
        self._stories = Stories()
        self.world.trace.listen(self._on_event)

    async def run(self, minutes: float) -> None:
        """Run through the night and so many minutes of the next day."""
        config = self._config
        try:
            await self.office.open()
            await self.world.run_for(config.evening_seconds / 6)
            pause = config.evening_seconds / config.blocks
            self._stories.begin(self._insert("evening", pause, config.evening_seconds))
            await self.world.run_for(config.evening_seconds * 1.2)
            before = self.meter.octets_copied
            await self._night()
            self._day.copied_in_the_night = self.meter.octets_copied - before
            await self._morning()
            await self.world.run_for(60.0 * minutes)
            await self._judge()
        finally:
            await self._stories.end()
            await self.office.close()

    async def _night(self) -> None:
        config = self._config
        sleepers = self._random.sample(
            self.office.machines[1:], int(config.asleep_part * config.machines)
        )
        for machine in sleepers:
            closing = self._random.uniform(0, config.spread_seconds)
            opening = config.night_seconds + self._random.uniform(0, config.spread_seconds)
            self._stories.begin(self._sleep(machine, closing, opening))
        pause = 20 * config.night_seconds / config.blocks
        self._stories.begin(self._insert("night", pause, config.night_seconds))
        left = config.night_seconds + config.spread_seconds
        while left > 0:
            await self.world.run_for(min(left, 600.0))
            self._look_at_disks()
            left -= 600.0

    async def _morning(self) -> None:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        while self._sets.missing() and loop.time() - begun < self._config.catch_up_seconds_max:
            await self.world.run_for(10.0)
        self._day.caught_up_seconds = loop.time() - begun

    async def _judge(self) -> None:
        self._look_at_disks()
        self._sets.check()
        if self.meter.octets_a_second_max > CAP_BYTES_PER_SECOND + self._config.size_max:
            text = f"a node was given {self.meter.octets_a_second_max:.0f} octets a second"
            self.findings.violated(Invariant.COPYING_CAPPED, text)
        await self._blocks.check(self._random, read=50)

    def _look_at_disks(self) -> None:
        for machine in self.office.machines:
            used = machine.host.disk.durable.totals.contributed_bytes / self._config.disk_bytes
            self._day.fullest_part = max(self._day.fullest_part, used)

    async def _sleep(self, machine: Machine, closing: float, opening: float) -> None:
        await asyncio.sleep(closing)
        node = machine.node
        assert isinstance(node, SleepyNode)
        self._asleep[machine.name] = None
        node.driver.fall_asleep()
        self.world.network.machine_down(machine.node_id)
        await asyncio.sleep(opening - closing)
        del self._asleep[machine.name]
        self.world.network.plug_in(machine.host.transport)
        node.driver.wake_up()

    async def _insert(self, when: str, mean_seconds: float, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while loop.time() < end:
            await asyncio.sleep(self._random.expovariate(1 / mean_seconds))
            awake = [m for m in self.office.running if m.name not in self._asleep]
            self._stories.begin(self._insert_one(when, self._random.choice(awake)))

    async def _insert_one(self, when: str, machine: Machine) -> None:
        node = machine.node
        assert node is not None
        block = self._random.randbytes(self._random.randint(1, self._config.size_max))
        self._known.inserted(content_handle(block), block)
        try:
            await node.blocks.insert(BlockKind.CONTENT, block, mirror=False)
        except EpostError:
            self._day.refused += 1
        else:
            self._day.inserted[when] += 1

    def _on_event(self, observed: Observed) -> None:
        if isinstance(observed.event, CopyingPaused) and observed.event.paused:
            self._day.pauses += 1

    def figures(self) -> Mapping[str, float]:
        """Return what happened, in numbers."""
        day, meter = self._day, self.meter
        return {
            "machines": len(self.office.machines),
            "blocks inserted by day": day.inserted["evening"],
            "blocks inserted at night": day.inserted["night"],
            "insertions refused": day.refused,
            "blocks ring-durable": len(self._blocks.ring_durable),
            "fullest disk, percent": 100 * day.fullest_part,
            "octets copied at night": day.copied_in_the_night,
            "octets copied in all": meter.octets_copied,
            "octets per second at most": meter.octets_a_second_max,
            "nodes that paused copying": day.pauses,
            "complete after seconds": day.caught_up_seconds,
            "events": self.world.trace.count,
        }
