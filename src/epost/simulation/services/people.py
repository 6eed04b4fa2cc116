"""Users with several machines: what they do in their folders, and holidays."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from random import Random

from epost.apps.mail.mailbox import FlagChange, Folder
from epost.foundation.errors import EpostError, UnavailableError
from epost.foundation.ids import BlockKind, Handle
from epost.past.shelf import is_held, is_pointer
from epost.post.notification.records import DeliveryState
from epost.simulation.invariants.mails import INBOX, Mail, MailsArrive
from epost.simulation.invariants.violations import Findings, Invariant
from epost.simulation.office import Machine, Office
from epost.simulation.organisation import Account

FOLDERS = (INBOX, "Archive")
FLAGS = ("\\Seen", "\\Flagged", "$Todo")
DELETED = "\\Deleted"
DELETED_PART = 0.07
ACT_SECONDS_MAX = 60.0
RETRY_SECONDS = 1.0
DURABLE_TRIES = 20
LISTED_TRIES = 30
"""Then it goes on without: what is broken on purpose may never list a machine."""


async def give_machines(office: Office, further: Sequence[int]) -> None:
    """Give the first users so many further machines, out of those that only store.

    All of one user's are added at the same moment: each must be listed in the end.
    """
    stores = iter([machine for machine in office.machines if machine.account is None])
    for user, count in zip(office.users, further, strict=False):
        assert user.account is not None
        machines = [next(stores) for _ in range(count)]
        await asyncio.gather(*[_take_account(machine, user.account) for machine in machines])
        for machine in machines:
            await machine.host.stop()
            machine.host.start()


async def _take_account(machine: Machine, account: Account) -> None:
    """As `epost recover` does, ask again while the ring cannot say for sure."""
    for _ in range(LISTED_TRIES):
        with suppress(UnavailableError):
            await machine.take_account(account, revoke=False)
            return
        await asyncio.sleep(RETRY_SECONDS)


class Owners:
    """Users who put flags on and off, file and delete mails, each time on one of their machines."""

    def __init__(
        self,
        office: Office,
        random: Random,
        every_seconds: float,
        awake: Callable[[], Sequence[Machine]],
        mails: MailsArrive,
    ) -> None:
        self._mails = mails
        self._office = office
        self._random = random
        self._every_seconds = every_seconds
        self._awake = awake
        self._acting: dict[asyncio.Task[None], None] = {}
        self.acts = 0
        self.deletions = 0

    async def run(self) -> None:
        """Act for ever."""
        while True:
            await asyncio.sleep(self._random.expovariate(1 / self._every_seconds))
            machines = [machine for machine in self._awake() if machine.account is not None]
            if machines:
                machine = self._random.choice(machines)
                task = asyncio.get_running_loop().create_task(self._act(machine))
                self._acting[task] = None
                task.add_done_callback(self._acting.pop)

    async def finish(self) -> None:
        """Return when nobody acts."""
        while self._acting:
            await asyncio.gather(*self._acting)

    async def _act(self, machine: Machine) -> None:
        with suppress(EpostError, OSError, TimeoutError, asyncio.CancelledError):
            async with asyncio.timeout(ACT_SECONDS_MAX):
                await self._change_something(machine)

    async def _change_something(self, machine: Machine) -> None:
        node, random = machine.node, self._random
        if node is None or node.mail is None:
            return
        await node.ready()
        name, other = random.sample(FOLDERS, 2)
        folder = await node.mail.mailbox.open(name)
        uids = list(folder.uids())
        if not uids:
            return
        self.acts += 1
        uid, flag = random.choice(uids), frozenset({random.choice(FLAGS)})
        kind = random.random()
        if kind < DELETED_PART:
            await self._delete(machine, folder, uid)
        elif kind < 0.3:
            await folder.move([uid], other)
        else:
            change = random.choice((FlagChange.ADD, FlagChange.REMOVE))
            await folder.change_flags([uid], change, flag)

    async def _delete(self, machine: Machine, folder: Folder, uid: int) -> None:
        """Delete a mail; once the ring knows of it, it must never be seen again."""
        node, octets = machine.node, (await folder.octets(uid))[:]
        assert node is not None
        assert node.post is not None
        assert machine.account is not None
        log, name = node.post.services.log, machine.account.name
        self._mails.being_deleted(name, octets)
        await folder.change_flags([uid], FlagChange.ADD, frozenset({DELETED}))
        if not await folder.expunge([uid]):
            return
        self.deletions += 1
        for _ in range(DURABLE_TRIES):
            await asyncio.sleep(RETRY_SECONDS)
            if machine.node is node and log.is_ring_durable(log.sequence):
                self._mails.deleted(name, octets)
                return


class Holidays:
    """Some users are away while mails come for them; when they are back, the senders are away.

    Whoever keeps the mails must deliver them meanwhile.
    """

    def __init__(
        self,
        office: Office,
        mails: MailsArrive,
        findings: Findings,
        lets_leave: Callable[[Machine], bool],
    ) -> None:
        """`lets_leave` says whether one more machine may be away now."""
        self._office = office
        self._mails = mails
        self._findings = findings
        self._lets_leave = lets_leave
        self._recipients: list[Machine] = []
        self._senders: list[Machine] = []
        self._kept: list[tuple[str, Mail]] = []
        self.delivered = 0

    def begin(self, count: int) -> None:
        """Let the last users, who have but one machine, leave."""
        for machine in self._office.users[::-1]:
            if len(self._recipients) < count and self._is_alone(machine):
                self._leave(machine, self._recipients)

    def swap(self, count: int) -> None:
        """Let those who wrote to them leave instead."""
        waiting = {machine.name: self._left_with_others(machine) for machine in self._office.users}
        users = sorted(self._office.users, key=lambda m: (-len(waiting[m.name]), m.name))
        for machine in users[:count]:
            if waiting[machine.name]:
                self._leave(machine, self._senders)
        for machine in self._senders:  # some of them may have kept what others have sent
            for recipient, mail, pending in waiting[machine.name]:
                if self._is_kept(pending):
                    self._kept.append((recipient, mail))
        for machine in self._recipients:
            machine.host.start()

    async def end(self) -> None:
        """Check what was delivered, and have everybody back."""
        for recipient, mail in self._kept:
            await self._check(recipient, mail)
        for machine in self._senders:
            machine.host.start()

    def _leave(self, machine: Machine, leavers: list[Machine]) -> bool:
        if machine is self._office.machines[0] or not self._lets_leave(machine):
            return False
        machine.crash(with_machine=True)
        leavers.append(machine)
        return True

    def _is_alone(self, machine: Machine) -> bool:
        assert machine.account is not None
        name = machine.account.name
        accounts = [user.account for user in self._office.users if user.account is not None]
        return [account.name for account in accounts].count(name) == 1

    def _left_with_others(self, machine: Machine) -> list[tuple[str, Mail, bytes]]:
        """Return (recipient, mail, digest of the notice) for all that delegates should keep."""
        node = machine.node
        if node is None or node.post is None:
            return []
        by_key = {mail.key: mail for mail in self._mails.mails.values() if mail.key}
        found: list[tuple[str, Mail, bytes]] = []
        for message in node.post.ledger.outbox.messages():
            mail = by_key.get(message.message_key.hex())
            for notice, progress in zip(message.notices, message.progress, strict=True):
                is_delegated = progress.state is DeliveryState.DELEGATED
                if mail and is_delegated:
                    found.append((notice.name, mail, progress.pending))
        return found

    def _is_kept(self, pending: bytes) -> bool:
        handle = Handle(BlockKind.PENDING, pending)
        honest = [machine for machine in self._office.running if machine.is_honest]
        entries = [machine.host.disk.durable.entry(handle) for machine in honest]
        return any(entry and is_held(entry) and not is_pointer(entry) for entry in entries)

    async def _check(self, recipient: str, mail: Mail) -> None:
        for machine in self._office.users:
            assert machine.account is not None
            if machine.account.name != recipient or not machine.host.is_running:
                continue
            if (await self._mails.read(machine))[mail.octets]:
                self.delivered += 1
            elif self._mails.is_being_deleted(recipient, mail.octets):
                continue
            else:
                text = f"{machine.name} lacks a mail of {mail.sender}, who is away"
                self._findings.violated(Invariant.DELEGATES_DELIVER, text)
