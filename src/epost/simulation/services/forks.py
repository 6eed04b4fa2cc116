"""Trouble for users: old backups put back, cloned disks, machines that are away for long.

A clone has the certificate of the first machine, so only one of them is on the network at a time:
the other is off, or sleeps and goes on later as if nothing had been. Both write; the clone is given
up when the ring has what it wrote.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from epost.foundation.ids import BlockKind, Handle
from epost.foundation.ports import HELD
from epost.post.observed import DeviceExistsTwice
from epost.simulation.broken.vaults import ObstinateVault
from epost.simulation.office import DiskImage, Machine, Office
from epost.simulation.storage.liars import LIARS
from epost.simulation.storage.sleeping import SleepyNode
from epost.simulation.storage.trouble import FOR_EVER, Trouble, TroubleConfig
from epost.simulation.world import Observed

FORKS_MAX = 20
"""Old disks of one machine in a run: a device block lists 64 incarnations, each may begin two."""


@dataclass(frozen=True, slots=True)
class ForkConfig:
    """Mean seconds between two of a kind in an organisation of 50; times in seconds."""

    backup_every: float = 20.0
    restore_every: float = 60.0
    clone_every: float = 60.0
    clone_seconds: float = 40.0
    """For how long the clone is used."""
    settling_seconds_max: float = 120.0
    """How long it is waited for the ring to have what the clone wrote."""
    backup_kept_seconds: float = 2400.0
    """A backup is replaced by a newer one when it is this old: in weeks, after more than one."""


@dataclass(slots=True)
class Forked:
    """What may have two writers, since its disk was copied."""

    hosts: dict[str, None] = field(default_factory=dict)
    handles: dict[Handle, None] = field(default_factory=dict)
    notices: int = 0
    """How often a user was told that her machine exists twice."""

    def __contains__(self, name_or_handle: object) -> bool:
        return name_or_handle in self.hosts or name_or_handle in self.handles


class ForkingTrouble(Trouble):
    """The trouble of storage nodes, and that of users."""

    def __init__(
        self,
        office: Office,
        random: Random,
        config: TroubleConfig,
        forks: ForkConfig,
        *,
        disk_replaced: Callable[[str], None],
    ) -> None:
        """`disk_replaced` is told the name of a machine that lost what only its disk had."""
        super().__init__(office, random, config)
        self._forks = forks
        self._disk_replaced = disk_replaced
        self._backups: dict[str, tuple[float, DiskImage]] = {}
        self._cut_due: asyncio.TimerHandle | None = None
        self.oldest_backup_seconds = 0.0
        self._times: dict[str, int] = {}
        self.forked = Forked()
        office.world.trace.listen(self._on_event)

    def lets_leave(self, machine: Machine) -> bool:
        """May this machine go away now? Then it counts as gone."""
        return self._victim([machine]) is machine

    def _kinds(self) -> list[tuple[float, Callable[[], None]]]:
        forks = self._forks
        return [
            *super()._kinds(),
            (forks.backup_every, self._back_up),
            (forks.restore_every, self._restore),
            (forks.clone_every, self._clone),
        ]

    def choose_liars(self) -> None:
        """Draw some in every run; the first keep old heads of logs and other old versions."""
        wanted = max(1, int(self._config.liars_part_max * len(self._office.machines)))
        kinds = sorted(LIARS, key=lambda liar: liar.vault is not ObstinateVault)
        ids = [machine.node_id for machine in self._office.machines]
        for machine in self._random.sample(self._stores(), wanted):
            if self._window.allows(machine.node_id, ids, 0.0):
                self._window.left(machine.node_id, FOR_EVER)
                self._office.liars[machine.name] = kinds[len(self._office.liars) % len(kinds)]
                machine.host.crash()
                machine.host.start()

    async def heal(self) -> None:
        """Return when whatever was struck is back."""
        if self._cut_due is not None:
            self._cut_due.cancel()
        await super().heal()

    def _partition(self) -> None:
        """Cut the ring as soon as every copy can be made that is missing now."""
        if self._cut_due is None:
            soonest = self._lost_at + self._config.window.repair_window_seconds
            at = max(asyncio.get_running_loop().time(), soonest, self._cut_until)
            self._cut_due = asyncio.get_running_loop().call_at(at, self._cut_the_ring)

    def _cut_the_ring(self) -> None:
        self._cut_due = None
        super()._partition()

    def _lose_disk(self) -> None:
        if self._cut_due is None:
            super()._lose_disk()

    def _rot(self) -> None:
        if self._cut_due is None:
            super()._rot()

    def _back_up(self) -> None:
        machine, now = self._random.choice(self._office.users), asyncio.get_running_loop().time()
        made_at, _ = self._backups.get(machine.name, (-FOR_EVER, None))
        if machine.name not in self._asleep and now > made_at + self._forks.backup_kept_seconds:
            self._backups[machine.name] = now, machine.image()

    def _restore(self) -> None:
        users = [user for user in self._office.users if user.name in self._backups]
        machine = self._forking_victim(users)
        if machine is not None:
            self._begin("backup restored", machine, self._outage(), self._with_old_disk)

    def _clone(self) -> None:
        machine = self._forking_victim(self._office.users)
        if machine is not None:
            self._begin("disk cloned", machine, self._forks.clone_seconds, self._beside_its_clone)

    def _forking_victim(self, users: Sequence[Machine]) -> Machine | None:
        """Draw a user's machine whose disk may go back: for the ring it loses what came since."""
        may_be = users and self.is_whole and self._cut_due is None
        machine = self._victim(users) if may_be else None
        if machine is None:
            return None
        times = self._times[machine.name] = self._times.get(machine.name, 0) + 1
        if times > FORKS_MAX:
            return None
        self._lost_at = asyncio.get_running_loop().time()
        return machine

    async def _with_old_disk(self, machine: Machine, seconds: float) -> None:
        machine.crash(with_machine=True)
        await asyncio.sleep(seconds)
        machine.host.crash()  # if something that struck it before has switched it on again
        made_at, image = self._backups[machine.name]
        age = asyncio.get_running_loop().time() - made_at
        self.oldest_backup_seconds = max(self.oldest_backup_seconds, age)
        machine.put_in(image)
        self._copied(machine)
        self._disk_replaced(machine.name)
        machine.host.start()

    async def _beside_its_clone(self, machine: Machine, seconds: float) -> None:
        image = machine.image()
        self._copied(machine)
        first, node = machine.host, machine.node
        assert isinstance(node, SleepyNode)
        is_asleep = self._random.random() < 0.5
        self._asleep[machine.name] = None
        if is_asleep:
            node.driver.fall_asleep()
            self._office.world.network.machine_down(first.me.id)
        else:
            machine.crash(with_machine=False)
        with machine.cloned(image) as clone:
            self.forked.hosts[clone.name] = None
            clone.start()
            await asyncio.sleep(seconds)
            await self._settled(machine)
            clone.crash()
        self._disk_replaced(machine.name)
        del self._asleep[machine.name]
        if is_asleep and first.node is node:
            self._office.world.network.plug_in(first.transport)
            node.driver.wake_up()
        first.start()

    async def _settled(self, machine: Machine) -> None:
        """Return when the ring has what a machine wrote, or it takes too long."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self._forks.settling_seconds_max
        while loop.time() < end:
            log = machine.node.post.services.log if machine.node and machine.node.post else None
            if log is not None and log.is_confirmed and log.is_ring_durable(log.sequence):
                return
            await asyncio.sleep(1.0)

    def _copied(self, machine: Machine) -> None:
        """From now on two bodies of one version may be signed with the keys on this disk."""
        self.forked.hosts[machine.host.name] = None
        for handle, stored in machine.host.disk.durable.blocks.items():
            if handle.kind is BlockKind.KEY and stored.entry.roles & ~HELD:
                self.forked.handles[handle] = None

    def _on_event(self, observed: Observed) -> None:
        if isinstance(observed.event, DeviceExistsTwice):
            self.forked.notices += 1
