"""Every acknowledged mail is in the inbox of each recipient exactly once, octet for octet."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from epost.foundation.errors import EpostError
from epost.simulation.invariants.violations import Findings, Invariant
from epost.simulation.office import Machine, Office

INBOX = "INBOX"


@dataclass(slots=True)
class Mail:
    """One mail that a user handed to her node; acknowledged or not."""

    sender: str
    recipients: tuple[str, ...]
    octets: bytes = field(repr=False)
    is_acknowledged: bool = False


class MailsArrive:
    """Knows what was submitted, and reads every inbox."""

    def __init__(self, office: Office, findings: Findings) -> None:
        self._office = office
        self._findings = findings
        self.mails: dict[bytes, Mail] = {}
        """By their octets, which hold a Message-ID of their own."""

    def submitted(self, mail: Mail) -> None:
        """A user hands in a mail."""
        self.mails[mail.octets] = mail

    async def check(self, *, is_final: bool) -> None:
        """Read every inbox that can be read now; only at the end must everything be there."""
        for machine in self._office.users:
            node = machine.node
            if node is None or node.mail is None:
                continue
            try:
                found = await self._inbox(machine)
            except (EpostError, OSError) as error:
                if is_final:
                    self._violated(f"{machine.name} cannot read its inbox: {error}")
                continue
            self._judge(machine, found, is_final=is_final)

    async def _inbox(self, machine: Machine) -> Counter[bytes]:
        node = machine.node
        assert node is not None
        assert node.mail is not None
        await node.ready()
        folder = await node.mail.mailbox.open(INBOX)
        return Counter([await folder.octets(uid) for uid in folder.uids()])

    def _judge(self, machine: Machine, found: Counter[bytes], *, is_final: bool) -> None:
        assert machine.account is not None
        name = machine.account.name
        for octets, times in found.items():
            mail = self.mails.get(octets)
            if mail is None or name not in mail.recipients:
                self._violated(f"{name} has a mail that nobody sent: {octets[:300]!r}")
            elif times > 1:
                self._violated(f"{name} has a mail of {mail.sender} {times} times")
        if is_final:
            for octets, mail in self.mails.items():
                if mail.is_acknowledged and name in mail.recipients and octets not in found:
                    self._violated(f"{name} lacks a mail of {mail.sender}: {octets[:80]!r}")

    def _violated(self, text: str) -> None:
        self._findings.violated(Invariant.MAILS_ARRIVE, text)
