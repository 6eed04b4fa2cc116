"""An office writes mails while its machines come and go (`epost simulate --scenario mail`).

One hundred whole nodes on a network that loses messages; a fifth have users. Machines crash,
restart, lose their disks and are enrolled anew, at most k-1 of any replica set within the time of a
repair. At the end everything is switched on, and what was promised must be there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from epost.node.settings import NodeConfigs
from epost.past.config import PastConfig
from epost.simulation.churn import Churn, ChurnConfig
from epost.simulation.correspondence import Askers, CorrespondenceConfig, Forger, Readers, Writers
from epost.simulation.defects import Defect
from epost.simulation.invariants.blocks import AcknowledgedBlocks
from epost.simulation.invariants.mails import MailsArrive
from epost.simulation.invariants.notices import PendingNotices
from epost.simulation.invariants.routing import Roots
from epost.simulation.invariants.versions import NewestVersions
from epost.simulation.invariants.violations import Findings
from epost.simulation.office import Office, OfficeConfig
from epost.simulation.scenarios.stories import Stories, run_through
from epost.simulation.world import SimulatedClock, random_for

NODES = NodeConfigs(
    past=PastConfig(
        repair_delay_seconds=20.0,
        # What changes in the leaf set is looked at at once; this is for what only time changes.
        tick_seconds=10.0,
        # Insertions push what they can themselves; this is for what a crash left behind.
        push_backoff_seconds_min=5.0,
        # The churn never takes more than a repair can follow, so copying need never pause.
        mass_absence_part=1.0,
        # Surplus copies go within the run, so that giving them up too early would be seen.
        surplus_kept_seconds=300.0,
    )
)


@dataclass(frozen=True)
class MailConfig:
    """The scenario's settings; times in seconds."""

    office: OfficeConfig = field(default_factory=lambda: OfficeConfig(nodes=NODES))
    churn: ChurnConfig = field(default_factory=ChurnConfig)
    correspondence: CorrespondenceConfig = field(default_factory=CorrespondenceConfig)
    settling_seconds: float = 60.0
    """After the last machine was switched on for the first time."""
    inbox_check_seconds: float = 600.0
    convergence_seconds: float = 120.0
    """After which no message may reach a wrong root any more."""
    healing_seconds: float = 420.0
    """Without faults, before it is judged what is there."""
    blocks_read: int = 300
    """At the end, of all that were acknowledged."""


CALM = MailConfig(
    correspondence=CorrespondenceConfig(
        mail_every_seconds=900.0,
        lookup_every_seconds=4.0,
        root_every_seconds=2.0,
        forgery_every_seconds=60.0,
    )
)
"""The same machines and as much coming and going, an eighth of the mails: an hour costs a third."""


class MailScenario:
    """One run; `minutes` are those with faults and mails."""

    def __init__(self, seed: int, defect: Defect, config: MailConfig | None = None) -> None:
        self._config = config = config or MailConfig()
        self._seed = seed
        self.office = Office(seed, config.office, defect)
        self.world = self.office.world
        self.findings = findings = Findings(self.world)
        self._blocks = AcknowledgedBlocks(self.office, findings)
        self._roots = Roots(self.office, findings)
        self._versions = NewestVersions(self.office, findings, self._blocks)
        self._notices = PendingNotices(self.office, SimulatedClock(), findings)
        self._mails = MailsArrive(self.office, findings)
        self._churn = Churn(self.office, random_for(seed, "churn"), config.churn)
        self._readers = Readers(
            self.office,
            random_for(seed, "readers"),
            config.correspondence,
            blocks=self._blocks,
            versions=self._versions,
            findings=findings,
        )
        self._askers = Askers(self.office, random_for(seed, "askers"), config.correspondence)
        self._forger = Forger(self.office, random_for(seed, "forger"), config.correspondence)
        self._writers: Writers | None = None
        self._stories = Stories()

    async def run(self, minutes: float) -> None:
        """Run to the end, or to the first violation or bug, which is raised."""
        try:
            await self.office.open()
            await self.world.run_for(self._config.settling_seconds)
            await self._trouble(60.0 * minutes)
            await self._heal()
            await self._judge()
        finally:
            await self._stories.end()
            await self.office.close()

    async def _trouble(self, seconds: float) -> None:
        random = random_for(self._seed, "writers")
        self._writers = writers = Writers(
            self.office, random, self._config.correspondence, self._mails
        )
        for story in (
            self._churn.run(),
            writers.run(),
            self._readers.run(),
            self._askers.run(),
            self._forger.run(),
            self._look_into_inboxes(),
        ):
            self._stories.begin(story)
        await self.world.run_for(seconds)
        self._stories.cancel()
        await writers.finish()

    async def _heal(self) -> None:
        config = self._config
        await run_through(self.world, self._churn.heal())
        for story in (self._readers.run(), self._askers.run()):
            self._stories.begin(story)
        await self.world.run_for(config.convergence_seconds)
        self._roots.is_calm = True
        await self.world.run_for(config.healing_seconds - config.convergence_seconds)

    async def _judge(self) -> None:
        await self._mails.check(is_final=True)
        await self._blocks.check(random_for(self._seed, "judge"), read=self._config.blocks_read)

    async def _look_into_inboxes(self) -> None:
        while True:
            await asyncio.sleep(self._config.inbox_check_seconds)
            await self._mails.check(is_final=False)

    def figures(self) -> Mapping[str, float]:
        """Return what happened, in numbers."""
        roots, versions, churn = self._roots, self._versions, self._churn
        writers = self._writers
        return {
            "machines": len(self.office.machines),
            "departures": churn.departures,
            "disks lost": churn.disks_lost,
            "departures not allowed": churn.refused,
            "mails written": writers.written if writers else 0,
            "mails acknowledged": writers.acknowledged if writers else 0,
            "of these ring-durable": writers.ring_durable if writers else 0,
            "submissions broken off": writers.refused if writers else 0,
            "blocks ring-durable": len(self._blocks.ring_durable),
            "notices settled": self._notices.settled,
            "receipts forged": self._forger.tried,
            "look-ups of blocks": self._readers.lookups,
            "look-ups failed": self._readers.failed,
            "readings": versions.readings,
            "readings unconfirmed": versions.unconfirmed,
            "readings failed": versions.unavailable,
            "roots asked for": self._askers.asked,
            "messages routed": roots.delivered,
            "hops in the mean": roots.hops / max(1, roots.delivered),
            "at a wrong node": roots.misdelivered,
            "events": self.world.trace.count,
        }
