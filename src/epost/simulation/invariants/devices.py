"""When all is quiet, every machine of a user has a number of its own and shows the same mails with
the same flags."""

from __future__ import annotations

from collections.abc import Sequence

from epost.foundation.errors import EpostError
from epost.simulation.invariants.violations import Findings, Invariant
from epost.simulation.office import Machine, Office

RECENT = "\\Recent"
Shown = list[tuple[str, bytes, tuple[str, ...]]]


class DevicesAgree:
    """Compares what mail programs would be shown."""

    def __init__(self, office: Office, findings: Findings, folders: Sequence[str]) -> None:
        self._office = office
        self._findings = findings
        self._folders = folders

    async def differing(self) -> list[str]:
        """Return the names of users whose machines do not show the same (yet)."""
        shown: dict[str, Shown] = {}
        differing: dict[str, None] = {}
        for machine in self._office.users:
            assert machine.account is not None
            name = machine.account.name
            try:
                found = await self._shown(machine)
            except (EpostError, OSError):
                differing[name] = None
                continue
            if shown.setdefault(name, found) != found:
                differing[name] = None
        return list(differing)

    async def check(self) -> None:
        """All must agree now."""
        self._check_numbers()
        for name in await self.differing():
            self._findings.violated(
                Invariant.DEVICES_AGREE, f"the machines of {name} do not show the same"
            )

    def _check_numbers(self) -> None:
        """Machines with one number would never read each other's logs."""
        owners: dict[tuple[str, int], str] = {}
        for machine in self._office.users:
            if machine.account is None or machine.node is None or machine.node.device is None:
                continue
            name, number = machine.account.name, machine.node.device.number
            other = owners.setdefault((name, number), machine.name)
            if other != machine.name:
                self._findings.violated(
                    Invariant.DEVICES_AGREE,
                    f"{other} and {machine.name} of {name} are both its machine {number}",
                )

    async def _shown(self, machine: Machine) -> Shown:
        node = machine.node
        if node is None or node.mail is None:
            return []
        await node.ready()
        found: Shown = []
        for name in self._folders:
            folder = await node.mail.mailbox.open(name)
            for row in await folder.rows(folder.uids()):
                flags = tuple(sorted(row.flags - {RECENT}))
                found.append((name, (await folder.octets(row.uid))[:], flags))
        return sorted(found)
