"""A ring of storage nodes under trouble (`epost simulate --scenario storage`).

Whole storage nodes without users: overlay, replicas, vaults. Members insert and look up while
machines crash, sleep, lose their disks, are cut off, tell the wrong time, rot and lie, at most k-1
of any replica set at a time. Then the trouble ends, and every replica set must become complete.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from epost.node.settings import NodeConfigs
from epost.past.config import PastConfig
from epost.simulation.defects import Defect
from epost.simulation.invariants.blocks import AcknowledgedBlocks
from epost.simulation.invariants.replicas import CompleteSets, KnownBlocks
from epost.simulation.invariants.routing import Roots
from epost.simulation.invariants.versions import NewestVersions
from epost.simulation.invariants.violations import Findings
from epost.simulation.network import NetworkConfig
from epost.simulation.office import Office, OfficeConfig
from epost.simulation.scenarios.stories import Stories, run_through
from epost.simulation.storage.depositors import DepositConfig, Depositors, Judges
from epost.simulation.storage.sleeping import sleepy
from epost.simulation.storage.trouble import Trouble, TroubleConfig
from epost.simulation.world import random_for

SIZES = (*(50,) * 12, 75, 100, 150, 200)
"""How many machines a run has: one of these, drawn from the seed."""

NODES = NodeConfigs(
    past=PastConfig(
        repair_delay_seconds=20.0,
        tick_seconds=5.0,
        # The trouble never takes more than a repair can follow, so copying need never pause.
        mass_absence_part=1.0,
        # Surplus copies go within the run, so that giving them up too early would be seen.
        surplus_kept_seconds=120.0,
        # What rots is to be found within the time in which no more may be lost.
        scrub_seconds=30.0,
    )
)
NETWORK = NetworkConfig(loss=0.01, duplication=0.005, reorder=0.01)


@dataclass(frozen=True)
class StorageConfig:
    """The scenario's settings; times in seconds."""

    machines: int | None = None
    """None: drawn from the seed."""
    nodes: NodeConfigs = NODES
    network: NetworkConfig = NETWORK
    trouble: TroubleConfig = field(default_factory=TroubleConfig)
    deposits: DepositConfig = field(default_factory=DepositConfig)
    settling_seconds: float = 60.0
    calm_seconds: float = 120.0
    """Without trouble, after which no message may reach a wrong root any more."""
    healing_seconds: float = 600.0
    """Without trouble, after which every replica set must be complete."""
    blocks_read: int = 50


class StorageScenario:
    """One run; `minutes` are those with trouble."""

    def __init__(self, seed: int, defect: Defect, config: StorageConfig | None = None) -> None:
        self._config = config = config or StorageConfig()
        self._seed = seed
        random = random_for(seed, "storage")
        machines = config.machines or random.choice(SIZES)
        office = OfficeConfig(machines, users=0, nodes=config.nodes, network=config.network)
        defect = replace(defect, node=sleepy(defect.node))
        self.office = Office(seed, office, defect)
        self.world = self.office.world
        self.findings = findings = Findings(self.world)
        self._trouble = Trouble(self.office, random_for(seed, "trouble"), config.trouble)
        self._blocks = AcknowledgedBlocks(self.office, findings)
        self._roots = Roots(self.office, findings)
        self._versions = NewestVersions(
            self.office, findings, self._blocks, is_whole=lambda: self._trouble.is_whole
        )
        known = KnownBlocks(self.office, findings)
        self._sets = CompleteSets(self.office, findings, self._blocks)
        judges = Judges(self._blocks, self._versions, known, findings)
        self._depositors = Depositors(
            random_for(seed, "depositors"), config.deposits, self._trouble, judges
        )
        self._stories = Stories()
        self._healed_after = 0.0

    async def run(self, minutes: float) -> None:
        """Run to the end, or to the first violation or bug, which is raised."""
        try:
            await self.office.open()
            self._trouble.choose_liars()
            await self.world.run_for(self._config.settling_seconds)
            await self._endure(60.0 * minutes)
            await self._heal()
            await self._judge()
        finally:
            await self._stories.end()
            await self.office.close()

    async def _endure(self, seconds: float) -> None:
        self._stories.begin(self._trouble.run())
        self._stories.begin(self._depositors.insert())
        self._stories.begin(self._depositors.look_up())
        await self.world.run_for(seconds)
        self._stories.cancel()
        await self._depositors.finish()

    async def _heal(self) -> None:
        config, loop = self._config, asyncio.get_running_loop()
        await run_through(self.world, self._trouble.heal())
        calm_at = loop.time()
        await self.world.run_for(config.calm_seconds)
        self._roots.is_calm = True
        self._stories.begin(self._depositors.look_up())
        while self._sets.missing() and loop.time() - calm_at < config.healing_seconds:
            await self.world.run_for(10.0)
        self._healed_after = loop.time() - calm_at

    async def _judge(self) -> None:
        self._sets.check()
        random = random_for(self._seed, "judge")
        await self._blocks.check(random, read=self._config.blocks_read)

    def figures(self) -> Mapping[str, float]:
        """Return what happened, in numbers."""
        trouble, depositors = self._trouble, self._depositors
        return {
            "machines": len(self.office.machines),
            "of these liars": len(self.office.liars),
            **{kind: trouble.counts[kind] for kind in sorted(trouble.counts)},
            "faults not allowed": trouble.refused,
            "insertions": depositors.inserted,
            "insertions broken off": depositors.failed,
            "blocks ring-durable": len(self._blocks.ring_durable),
            "look-ups": depositors.lookups,
            "look-ups failed": depositors.lookups_failed,
            "readings": self._versions.readings,
            "readings unconfirmed": self._versions.unconfirmed,
            "readings failed": self._versions.unavailable,
            "at a wrong node": self._roots.misdelivered,
            "complete after seconds": self._healed_after,
            "events": self.world.trace.count,
        }
