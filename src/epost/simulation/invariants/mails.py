"""Every acknowledged mail is with each recipient exactly once, octet for octet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from epost.foundation.errors import EpostError
from epost.simulation.invariants.violations import Findings, Invariant
from epost.simulation.office import Machine, Office

INBOX = "INBOX"


@dataclass(slots=True)
class Mail:
    """One mail that a user handed to her node (on `machine`); acknowledged or not."""

    sender: str
    recipients: tuple[str, ...]
    octets: bytes = field(repr=False)
    machine: str = ""
    is_acknowledged: bool = False
    is_ring_durable: bool = False
    key: str = ""
    """What the reply called it, if it was acknowledged."""


class MailsArrive:
    """Knows what was submitted, and reads the mails of every user on each of her machines."""

    def __init__(
        self, office: Office, findings: Findings, folders: Sequence[str] = (INBOX,)
    ) -> None:
        """`folders` are those that mails may be in: they come to the INBOX, users move them."""
        self._office = office
        self._findings = findings
        self._folders = folders
        self.mails: dict[bytes, Mail] = {}
        """By their octets, which hold a Message-ID of their own."""
        self.delays_reported = 0
        """How many reports about late mails users have got from their own machines."""
        self._deleted: dict[tuple[str, bytes], bool] = {}
        """By user and octets: may be gone (False), or must be, since the ring knows (True)."""

    def submitted(self, mail: Mail) -> None:
        """A user hands in a mail."""
        self.mails[mail.octets] = mail

    def being_deleted(self, user: str, octets: bytes) -> None:
        """A user tells one of her machines to delete a mail, which may or may not happen."""
        self._deleted.setdefault((user, octets), False)

    def deleted(self, user: str, octets: bytes) -> None:
        """The ring has the record that a mail was deleted."""
        self._deleted[user, octets] = True

    def is_being_deleted(self, user: str, octets: bytes) -> bool:
        """May a mail be gone because its owner wanted that?"""
        return (user, octets) in self._deleted

    def disk_replaced(self, machine: str) -> None:
        """A machine's disk went back to an older state: what only it had is not promised."""
        for mail in self.mails.values():
            if mail.machine == machine and not mail.is_ring_durable:
                mail.is_acknowledged = False

    async def check(self, *, is_final: bool) -> None:
        """Read what can be read now; only at the end must everything be there."""
        for machine in self._office.users:
            node = machine.node
            if node is None or node.mail is None:
                continue
            try:
                found = await self.read(machine)
            except (EpostError, OSError) as error:
                if is_final:
                    self._violated(f"{machine.name} cannot read its inbox: {error}")
                continue
            self._judge(machine, found, is_final=is_final)

    async def read(self, machine: Machine) -> Counter[bytes]:
        """Return the mails on a running user's machine, with how often each is there."""
        node = machine.node
        assert node is not None
        assert node.mail is not None
        await node.ready()
        found: Counter[bytes] = Counter()
        for name in self._folders:
            folder = await node.mail.mailbox.open(name)
            found.update([(await folder.octets(uid))[:] for uid in folder.uids()])
        return found

    def _judge(self, machine: Machine, found: Counter[bytes], *, is_final: bool) -> None:
        assert machine.account is not None
        name = machine.account.name
        for octets, times in found.items():
            mail = self.mails.get(octets)
            if mail is None and _says_that_it_takes_long(octets):
                self.delays_reported += times
            elif mail is None or name not in mail.recipients:
                self._violated(f"{name} has a mail that nobody sent: {octets[:300]!r}")
            elif times > 1:
                self._violated(f"{name} has a mail of {mail.sender} {times} times")
        if is_final:
            self._judge_all(f"{name} on {machine.name}", name, found)

    def _judge_all(self, where: str, name: str, found: Counter[bytes]) -> None:
        for octets, mail in self.mails.items():
            is_due = mail.is_acknowledged and name in mail.recipients
            if is_due and octets not in found and not self.is_being_deleted(name, octets):
                self._violated(f"{where} lacks a mail of {mail.sender}: {octets[:80]!r}")
            if octets in found and self._deleted.get((name, octets)):
                self._violated(f"{where} has a deleted mail of {mail.sender}: {octets[:80]!r}")

    def _violated(self, text: str) -> None:
        self._findings.violated(Invariant.MAILS_ARRIVE, text)


def _says_that_it_takes_long(octets: bytes) -> bool:
    """Is this a report about a mail that is late? One that says more would be wrong here."""
    marks = (b"\r\nAuto-Submitted: auto-replied\r\n", b"\r\nAction: delayed\r\n")
    return all(mark in octets for mark in marks)
