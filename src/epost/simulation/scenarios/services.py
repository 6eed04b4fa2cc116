"""An organisation's users under trouble (`epost simulate --scenario services`).

Whole nodes of 120 machines, 14 users, some with two or three machines. Machines crash, sleep, are
cut off, lose disks and lie, at most k-1 of any replica set; a third lie as delegates of notices.
Users get old backups back and their disks are cloned. In the end everybody is back (some only after
a holiday), and nothing promised may be lost, doubled or rolled back. Last of all whole replica sets
are rolled back, which who has read them before must notice.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from itertools import cycle
from random import Random

from epost.foundation.ids import BlockKind
from epost.simulation.correspondence import Forger, Readers, Writers
from epost.simulation.defects import Defect
from epost.simulation.invariants.blocks import AcknowledgedBlocks
from epost.simulation.invariants.devices import DevicesAgree
from epost.simulation.invariants.mails import MailsArrive
from epost.simulation.invariants.notices import PendingNotices
from epost.simulation.invariants.versions import NewestVersions
from epost.simulation.invariants.violations import Findings
from epost.simulation.office import Office, OfficeConfig
from epost.simulation.scenarios.stories import Stories, run_through
from epost.simulation.services.delegates import lying_delegates
from epost.simulation.services.forks import ForkingTrouble
from epost.simulation.services.people import FOLDERS, Holidays, Owners, give_machines
from epost.simulation.services.rollback import Rollbacks
from epost.simulation.services.settings import ServicesConfig
from epost.simulation.storage.sleeping import sleepy
from epost.simulation.world import SimulatedClock, random_for


class ServicesScenario:
    """One run; `minutes` are those with trouble."""

    def __init__(self, seed: int, defect: Defect, config: ServicesConfig | None = None) -> None:
        self._config = config = config or ServicesConfig()
        self._seed = seed
        self._defect = replace(defect, node=sleepy(defect.node))
        settings = OfficeConfig(
            config.machines,
            config.users,
            config.nodes,
            config.network,
            publication_seconds=config.publication_seconds,
        )
        self.office = Office(seed, settings, self._defect)
        self.world = self.office.world
        self.findings = findings = Findings(self.world)
        drawn = partial(random_for, seed)
        self._blocks = AcknowledgedBlocks(self.office, findings)
        self._notices = PendingNotices(self.office, SimulatedClock(), findings)
        self._mails = MailsArrive(self.office, findings, FOLDERS)
        self._agree = DevicesAgree(self.office, findings, FOLDERS)
        self._trouble = ForkingTrouble(
            self.office,
            drawn("trouble"),
            config.trouble,
            config.forks,
            disk_replaced=self._mails.disk_replaced,
        )
        self._versions = NewestVersions(
            self.office,
            findings,
            self._blocks,
            is_whole=lambda: self._trouble.is_whole,
            may_fork=self._trouble.forked.__contains__,
        )
        self._holidays = Holidays(self.office, self._mails, findings, self._trouble.lets_leave)
        self._stories = Stories()
        self._make_people(drawn)
        self._lies: Counter[str] = Counter()
        self._healed_after = 0.0

    def _make_people(self, drawn: Callable[[str], Random]) -> None:
        config, talk, trouble = self._config, self._config.correspondence, self._trouble
        self._writers = Writers(self.office, drawn("writers"), talk, self._mails)
        self._owners = Owners(
            self.office, drawn("owners"), config.act_every_seconds, trouble.awake, self._mails
        )
        self._readers = Readers(
            self.office,
            drawn("readers"),
            talk,
            blocks=self._blocks,
            versions=self._versions,
            findings=self.findings,
            is_whole=lambda: trouble.is_whole,
        )
        self._forger = Forger(self.office, drawn("forger"), talk)
        self._rollbacks = Rollbacks(
            self.office,
            drawn("rollbacks"),
            self.findings,
            may_go_back=lambda handle: trouble.forked.handles.update({handle: None}),
        )

    async def run(self, minutes: float) -> None:
        """Run to the end, or to the first violation or bug, which is raised."""
        config = self._config
        try:
            await self.office.open()
            await self.world.run_for(config.settling_seconds)
            await run_through(self.world, give_machines(self.office, config.further_machines))
            self._trouble.choose_liars()
            self._choose_lying_delegates()
            await self.world.run_for(config.settling_seconds)
            await self._endure(60.0 * minutes)
            await self._heal()
            await self._judge()
        finally:
            await self._stories.end()
            await self.office.close()

    def _choose_lying_delegates(self) -> None:
        office, random = self.office, random_for(self._seed, "lying delegates")
        honest = [m for m in office.machines[1:] if m.account is None and m.is_honest]
        wanted = int(self._config.lying_delegates_part * len(office.machines))
        ways = lying_delegates(
            office,
            random_for(self._seed, "lies"),
            self._lies,
            replay_every_seconds=self._config.replay_every_seconds,
        )
        lies = cycle(ways)
        chosen = random.sample(honest, min(wanted, len(honest)))
        for machine, lie in zip(chosen, lies, strict=False):
            office.liars[machine.name] = replace(lie, disk=self._defect.disk)
            machine.host.crash()
            machine.host.start()

    async def _endure(self, seconds: float) -> None:
        config = self._config
        for story in (
            self._trouble.run(),
            self._writers.run(),
            self._owners.run(),
            self._readers.run(),
            self._forger.run(),
        ):
            self._stories.begin(story)
        await self.world.run_for(max(0.0, seconds - config.holiday_seconds))
        self._holidays.begin(config.on_holiday)
        await self.world.run_for(min(seconds, config.holiday_seconds))
        self._stories.cancel()
        await run_through(self.world, self._writers.finish())
        await run_through(self.world, self._owners.finish())
        self._holidays.swap(config.on_holiday)

    async def _heal(self) -> None:
        config, loop = self._config, asyncio.get_running_loop()
        await run_through(self.world, self._trouble.heal())
        calm_at = loop.time()
        await self.world.run_for(config.holiday_seconds)
        await run_through(self.world, self._holidays.end())
        step = config.healing_seconds / 30
        while loop.time() - calm_at < config.healing_seconds:
            await self.world.run_for(step)
            if not self._waiting() and not await self._agree.differing():
                break
        self._healed_after = loop.time() - calm_at

    def _waiting(self) -> int:
        """Return how many messages are on their way."""
        nodes = [machine.node for machine in self.office.users]
        return sum(len(node.post.ledger.outbox) for node in nodes if node and node.post)

    async def _judge(self) -> None:
        await self._mails.check(is_final=True)
        await self._agree.check()
        # A third of the delegates drop notices: the senders' outboxes make up for it.
        await self._blocks.check(
            random_for(self._seed, "judge"),
            read=self._config.blocks_read,
            but=(BlockKind.PENDING, BlockKind.RECEIPT),
        )
        await run_through(self.world, self._rollbacks.run(self._config.rolled_back))

    def figures(self) -> Mapping[str, float]:
        """Return what happened, in numbers."""
        trouble, writers = self._trouble, self._writers
        return {
            "machines": len(self.office.machines),
            "of these users'": len(self.office.users),
            "of these liars": len(self.office.liars),
            **{kind: trouble.counts[kind] for kind in sorted(trouble.counts)},
            "faults not allowed": trouble.refused,
            "told of two machines": trouble.forked.notices,
            "mails written": writers.written,
            "mails acknowledged": writers.acknowledged,
            "of these ring-durable": writers.ring_durable,
            "submissions broken off": writers.refused,
            "delivered for who was away": self._holidays.delivered,
            "delays reported": self._mails.delays_reported,
            "flags, moves and deletions": self._owners.acts,
            "of these deletions": self._owners.deletions,
            "oldest backup, seconds": trouble.oldest_backup_seconds,
            "notices settled": self._notices.settled,
            "receipts forged": self._forger.tried,
            **{lie: self._lies[lie] for lie in sorted(self._lies)},
            "rollbacks seen through": self._rollbacks.detected,
            "blocks ring-durable": len(self._blocks.ring_durable),
            "readings": self._versions.readings,
            "readings unconfirmed": self._versions.unconfirmed,
            "readings failed": self._versions.unavailable,
            "all agree after seconds": self._healed_after,
            "events": self.world.trace.count,
        }
