"""What former versions left on disk is read by this one: every mail, number and flag.

The folders were recorded by `record.py` from the checkouts of those versions; they are opened by
real daemons, with the clock of the day they were written, since certificates end some day.
"""

from __future__ import annotations

import asyncio
import hashlib
import imaplib
import json
import smtplib
import tarfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from epost.crypto.sealing import HpkeSealing
from epost.daemon.authority.authority import Authority
from epost.daemon.authority.world import World
from epost.daemon.config import MailSection, NodeConfig
from epost.daemon.control import ask
from epost.daemon.demo.state import free_ports
from epost.daemon.folder import NodeFolder
from epost.daemon.process import Daemon
from epost.daemon.world import SystemClock, SystemEntropy
from tests.golden.record import MACHINES, compose, view_of

pytestmark = pytest.mark.timeout(120)

HERE = Path(__file__).parent
VERSIONS = sorted(path.stem for path in HERE.glob("*.json"))
TICKETS_VALID_SECONDS = 3 * 360 * 86_400
"""TLS looks at the real clock, which nobody can set back: the X.509 leaves end after 3 years."""


class ClockOfThatDay(SystemClock):
    """Goes on from the moment when the data was recorded."""

    def __init__(self, recorded_ms: int) -> None:
        self._recorded_ms = recorded_ms
        self._started = self.now()

    def wall_ms(self) -> int:
        return self._recorded_ms + 60_000 + round(1000 * (self.now() - self._started))


class GoldenFolders:
    """The unpacked folders of one version, on ports of today."""

    def __init__(self, version: str, root: Path, stack: AsyncExitStack) -> None:
        self.expected: dict[str, Any] = json.loads((HERE / f"{version}.json").read_text())
        self.clock = ClockOfThatDay(self.expected["recorded_ms"])
        self.authority = root / "authority"
        self._root = root
        self._stack = stack
        self._mail: dict[str, MailSection] = {}
        with tarfile.open(HERE / f"{version}.tar.xz") as archive:
            archive.extractall(root, filter="data")

    async def open(self, *machines: str) -> None:
        """Start the daemons of machines, which find each other."""
        ports = iter(free_ports(4 * len(machines)))
        old = {name: NodeFolder(self._root / name).read_config() for name in machines}
        moved = {config.ring.listen: f"127.0.0.1:{next(ports)}" for config in old.values()}
        for name, config in old.items():
            self._mail[name] = MailSection(
                smtp=f"127.0.0.1:{next(ports)}", imap=f"127.0.0.1:{next(ports)}"
            )
            folder = NodeFolder(self._root / name)
            folder.write_config(self._moved(config, moved, self._mail[name], next(ports)))
            daemon = Daemon(folder, folder.read_config(), self._stack, clock=self.clock)
            await daemon.start()

    def _moved(
        self, config: NodeConfig, moved: dict[str, str], mail: MailSection, enrolment: int
    ) -> NodeConfig:
        authority = config.authority
        if authority.directory:
            authority = msgspec.structs.replace(
                authority, directory=str(self.authority), listen=f"127.0.0.1:{enrolment}"
            )
        bootstrap = (contact.partition("@") for contact in config.ring.bootstrap)
        ring = msgspec.structs.replace(
            config.ring,
            listen=moved[config.ring.listen],
            advertise=(moved[config.ring.listen],),
            bootstrap=tuple(f"{node}@{moved[at]}" for node, _, at in bootstrap if at in moved),
        )
        return msgspec.structs.replace(config, ring=ring, mail=mail, authority=authority)

    def view(self, machine: str) -> dict[str, Any]:
        """Return what a mail program sees on a machine."""
        with self.imap(machine) as client:
            return view_of(client)

    def imap(self, machine: str) -> imaplib.IMAP4:
        host, _, port = self._mail[machine].imap.partition(":")
        client = imaplib.IMAP4(host, int(port), timeout=60)
        client.login(self.expected["address"], self.expected["passwords"][machine])
        return client

    def submit(self, machine: str, octets: bytes) -> None:
        host, _, port = self._mail[machine].smtp.partition(":")
        address = self.expected["address"]
        with smtplib.SMTP(host, int(port), timeout=60) as client:
            client.login(address, self.expected["passwords"][machine])
            client.sendmail(address, [address], octets)

    async def until(self, machine: str, condition: Callable[[dict[str, Any]], bool]) -> None:
        while not condition(await asyncio.to_thread(ask, self._root / machine, "status")):
            await asyncio.sleep(0.05)

    def new_mail(self, machine: str, octets: bytes) -> str:
        """Wait for a mail in the INBOX; return its UID."""
        while True:
            found: dict[str, Any] = self.view(machine)["INBOX"]["mails"]
            for uid, mail in found.items():
                if mail["sha256"] == hashlib.sha256(octets).hexdigest():
                    return uid
            time.sleep(0.1)


def with_golden_data(
    version: str, path: Path, story: Callable[[GoldenFolders], Awaitable[None]]
) -> None:
    async def run() -> None:
        async with asyncio.timeout(100), AsyncExitStack() as stack:
            await story(GoldenFolders(version, path, stack))

    asyncio.run(run())


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("machine", MACHINES)
def test_every_mail_flag_and_number_of_a_former_version_is_there(
    version: str, machine: str, tmp_path: Path
) -> None:
    async def story(golden: GoldenFolders) -> None:
        await golden.open(machine)
        expected = golden.expected["machines"][machine]
        assert sum(len(folder["mails"]) for folder in expected.values()) == 11
        assert await asyncio.to_thread(golden.view, machine) == expected

    with_golden_data(version, tmp_path, story)


@pytest.mark.parametrize("version", VERSIONS)
def test_both_machines_go_on_together_and_make_their_lost_indexes_anew(
    version: str, tmp_path: Path
) -> None:
    async def story(golden: GoldenFolders) -> None:
        if time.time() > golden.expected["recorded_ms"] / 1000 + TICKETS_VALID_SECONDS:
            pytest.skip("the X.509 leaves of these machines have ended")
        for machine in MACHINES:
            (tmp_path / machine / "index.db").unlink()
        await golden.open(*MACHINES)
        for machine in MACHINES:
            expected = golden.expected["machines"][machine]
            while await asyncio.to_thread(golden.view, machine) != expected:
                await asyncio.sleep(0.2)  # what the other one logged is read through the ring
            await golden.until(machine, lambda s: s["log"] == "ring-durable")
        octets = compose("written by a later version", attachment=bytes(70_000))
        await asyncio.to_thread(golden.submit, "laptop", octets)
        for machine in MACHINES:
            inbox = golden.expected["machines"][machine]["INBOX"]
            uid = await asyncio.to_thread(golden.new_mail, machine, octets)
            assert int(uid) == inbox["uidnext"]

    with_golden_data(version, tmp_path, story)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_authority_of_a_former_version_goes_on(version: str, tmp_path: Path) -> None:
    async def story(golden: GoldenFolders) -> None:
        world = World(golden.clock, SystemEntropy(), HpkeSealing())
        with Authority.open(golden.authority, world) as authority:
            assert [name for _, name in authority.members.nodes()] == [
                golden.expected["address"]
            ] * 2
            assert authority.invite("bob@example.org").startswith("epost1:")

    with_golden_data(version, tmp_path, story)
