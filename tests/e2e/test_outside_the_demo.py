"""The command line as people use it: founding, inviting, joining, running, asking, and mistakes.

Every machine has a home of its own; every command is a process of its own.
"""

from __future__ import annotations

import imaplib
import json
import os
import re
import signal
import smtplib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from epost.daemon.demo.state import free_ports
from tests.support.demo import compose, eventually, message_id_of, submit

pytestmark = [pytest.mark.daemons, pytest.mark.timeout(300)]

READY_SECONDS = 60


@dataclass
class Machine:
    """A home folder, and the daemon that runs on it."""

    home: Path
    ring: int
    smtp: int
    imap: int
    password: str = ""
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    starts: int = 0

    @classmethod
    def fresh(cls, home: Path) -> Machine:
        home.mkdir(exist_ok=True)
        return cls(home, *free_ports(3))

    @property
    def folder(self) -> Path:
        return self.home / ".local" / "share" / "epost" / "node"

    @property
    def log(self) -> str:
        return (self.home / "log").read_text()

    def epost(self, *arguments: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "epost.cli", *arguments],
            capture_output=True, text=True, timeout=timeout, check=False, env=self._environment(),
        )  # fmt: skip

    def says(self, *arguments: str) -> str:
        """Run a command that must succeed; return what it prints."""
        result = self.epost(*arguments)
        assert result.returncode == 0, result.stderr
        assert not result.stderr
        return result.stdout

    def tells(self, *arguments: str) -> dict[str, Any]:
        """Run a command with --json."""
        return json.loads(self.says(*arguments, "--json"))

    def refuses(self, *arguments: str) -> str:
        """Run a command that must fail with one line and exit code 1; return the line."""
        result = self.epost(*arguments)
        assert result.returncode == 1, (result.returncode, result.stdout, result.stderr)
        lines = [line for line in result.stderr.splitlines() if "INFO" not in line]
        assert len(lines) == 1, result.stderr
        assert lines[0].startswith("epost: ")
        assert "Errno" not in lines[0]
        return lines[0]

    def join(self, invitation: str) -> dict[str, Any]:
        joined = self.tells("join", invitation, "--listen", f"127.0.0.1:{self.ring}")
        self.password = joined["password"]
        self.set_mail_ports()
        return joined

    def set_mail_ports(self) -> None:
        self.configure("127.0.0.1:2525", f"127.0.0.1:{self.smtp}")
        self.configure("127.0.0.1:1143", f"127.0.0.1:{self.imap}")

    def configure(self, old: str, new: str) -> None:
        """Edit config.toml as its owner would."""
        path = self.folder / "config.toml"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    @contextmanager
    def running(self) -> Iterator[Machine]:
        """Run the daemon until the block ends."""
        with (self.home / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "epost.cli", "run"],
                stdout=log, stderr=log, env=self._environment(),
            )  # fmt: skip
        self.starts += 1
        try:
            eventually(self._is_up, "the daemon to be up", READY_SECONDS)
            yield self
        finally:
            self.process.send_signal(signal.SIGTERM)
            assert self.process.wait(timeout=30) == 0, self.log

    def _is_up(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log
        return self.log.count(" is up") == self.starts

    def _environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
        return kept | {"HOME": str(self.home), "LC_ALL": "C.UTF-8", "COLUMNS": "100"}


@dataclass
class Office:
    """An organisation with three machines, the first of which enrols."""

    alice: Machine
    bob: Machine
    storage: Machine
    used_invitation: str
    welcome: str
    bobs_welcome: dict[str, Any]


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    homes = tmp_path_factory.mktemp("office")
    alice, bob, storage = (Machine.fresh(homes / n) for n in ("alice", "bob", "storage"))
    welcome = alice.says(
        "org", "init", "example.org", "--user", "alice", "--listen", f"127.0.0.1:{alice.ring}",
        "--enrol-listen", f"127.0.0.1:{free_ports(1)[0]}",
    )  # fmt: skip
    alice.set_mail_ports()
    alice.password = re.search(r"mail program: ([A-Z2-7]{26})\b", welcome)[1]
    with alice.running():
        invitation = alice.tells("invite", "bob@example.org")["invite"]
        bobs_welcome = bob.join(invitation)
        storage.join(alice.tells("invite", "--storage-only")["invite"])
        with bob.running(), storage.running():
            for machine in (alice, bob, storage):
                eventually(lambda machine=machine: is_whole(machine), "a whole ring", READY_SECONDS)
            yield Office(alice, bob, storage, invitation, welcome, bobs_welcome)


def is_whole(machine: Machine) -> bool:
    """Does it know the whole ring, and has it compared its user's log with the ring's?"""
    told = machine.tells("status")
    ring, log = told["ring"], told["log"]
    is_settled = log == "ring-durable" or log.startswith("no user's log")
    return bool(ring["ready"] and ring["members"] == ring["enrolled"] == 3 and is_settled)


def deliver(sender: Machine, reader: Machine, octets: bytes) -> str:
    """Send a mail from alice to bob; return the text of the 250."""
    with smtplib.SMTP("127.0.0.1", sender.smtp, timeout=60) as client:
        client.login("alice@example.org", sender.password)
        return submit(client, "alice@example.org", ["bob@example.org"], octets)


def inbox(machine: Machine, login: str, message_id: str) -> list[bytes]:
    client = imaplib.IMAP4("127.0.0.1", machine.imap, timeout=60)
    client.login(login, machine.password)
    client.select("INBOX", readonly=True)
    uids = client.uid("SEARCH", "HEADER", "Message-ID", message_id)[1][0].split()
    found = [client.uid("FETCH", uid.decode(), "(BODY.PEEK[])")[1][0][1] for uid in uids]
    client.logout()
    return found


def test_founding_tells_words_password_and_what_to_do_next(office: Office) -> None:
    assert "This machine is now alice@example.org of example.org." in office.welcome
    assert len(re.findall(r"\b\d+\. [a-z]+", office.welcome)) == 24
    assert f"epost run --data-dir {office.alice.folder}" in office.welcome
    assert "epost invite bob@example.org" in office.welcome


def test_joining_needs_nothing_but_the_one_line(office: Office) -> None:
    welcome = office.bobs_welcome
    assert welcome["name"] == "bob@example.org"
    assert len(welcome["recovery_words"].split()) == 24
    assert sorted(p.name for p in office.bob.folder.iterdir()) == sorted(
        ["config.toml", "control", "device.keys", "index.db", "index.db-shm", "index.db-wal",
         "membership", "metrics-token", "node.key", "passwords", "spool", "vault"]
    )  # fmt: skip
    assert office.bob.folder.stat().st_mode & 0o077 == 0


def test_a_mail_goes_across_ring_durable_and_the_queue_is_then_empty(office: Office) -> None:
    message_id, octets = compose("alice@example.org", ["bob@example.org"], size=60_000)
    assert "ring-durable: on 3 of 3 machines" in deliver(office.alice, office.bob, octets)
    eventually(lambda: inbox(office.bob, "bob", message_id) == [octets], "the mail in bob's INBOX")
    eventually(lambda: office.alice.tells("queue")["waiting"] == [], "an empty queue")
    assert "Nothing waits" in office.alice.says("queue")


def test_status_reads_well_and_its_json_has_the_same_numbers(office: Office) -> None:
    told = office.alice.tells("status")
    text = office.alice.says("status")
    assert told["ring"] == {
        "ready": True, "members": 3, "enrolled": 3, "copies_wanted": 3, "catching_up": False,
    }  # fmt: skip
    assert "member of the ring; 2 neighbours alive, 3 machines enrolled, 3 copies" in text
    assert "{" not in text
    for service in ("ring", "SMTP", "IMAP", "enrolment", "metrics"):
        assert told["services"][service] in text
    assert "a storage machine" in office.storage.says("status")


@pytest.mark.long
def test_mail_for_a_stopped_machine_is_seen_in_the_queue(office: Office, tmp_path: Path) -> None:
    dora = Machine.fresh(tmp_path / "dora")
    dora.join(office.alice.tells("invite", "dora@example.org")["invite"])
    with dora.running():
        eventually(lambda: dora.tells("status")["log"] == "ring-durable", "dora's log in the ring")
    _, octets = compose("alice@example.org", ["dora@example.org"])
    with smtplib.SMTP("127.0.0.1", office.alice.smtp, timeout=60) as client:
        client.login("alice@example.org", office.alice.password)
        submit(client, "alice@example.org", ["dora@example.org"], octets)
    (row,) = office.alice.tells("queue")["waiting"]
    assert row["recipient"] == "dora@example.org"
    table = office.alice.says("queue")
    assert "dora@example.org" in table
    with dora.running():
        message_id = message_id_of(octets)
        eventually(lambda: inbox(dora, "dora", message_id) == [octets], "the mail at dora's")


@pytest.mark.long
def test_passwords_are_made_listed_and_taken_back_while_the_daemon_runs(office: Office) -> None:
    made = office.bob.tells("password", "add", "phone")
    assert "phone  mail" in office.bob.says("password", "list").splitlines()
    client = imaplib.IMAP4("127.0.0.1", office.bob.imap, timeout=60)
    client.login("bob@example.org", made["password"])
    client.logout()
    office.bob.says("password", "remove", "phone")
    again = imaplib.IMAP4("127.0.0.1", office.bob.imap, timeout=60)
    with pytest.raises(imaplib.IMAP4.error):
        again.login("bob@example.org", made["password"])
    again.shutdown()
    assert "'phone'" in office.bob.refuses("password", "remove", "phone")


@pytest.mark.long
def test_the_printed_configuration_is_the_default_one_and_is_read_back(
    office: Office, tmp_path: Path
) -> None:
    from epost.daemon.config import NodeConfig, load_config

    (tmp_path / "config.toml").write_text(office.alice.says("config"))
    assert load_config(tmp_path / "config.toml") == NodeConfig()


def test_invitations_that_do_not_work_say_why_and_spoil_nothing(
    office: Office, tmp_path: Path
) -> None:
    carol = Machine.fresh(tmp_path / "carol")
    good = office.alice.tells("invite", "carol@example.org")["invite"]
    listen = ("--listen", f"127.0.0.1:{carol.ring}")
    assert "used already" in carol.refuses("join", office.used_invitation, *listen)
    assert "copy all of it" in carol.refuses("join", good[:-5])
    assert "expired" in carol.refuses("join", expired(good))
    assert carol.join(good)["name"] == "carol@example.org"
    assert "member already" in carol.refuses("join", good, *listen)
    assert not list(carol.folder.glob("enrolment*"))


def expired(invitation: str) -> str:
    """Return the same invitation as if it were of the year 1970."""
    from epost.rings.invite import Invite, parse_invite

    invite = parse_invite(invitation, _wall_ms())
    return str(Invite(invite.authority, invite.token, 1000, invite.addresses, invite.name))


def _wall_ms() -> int:
    from epost.daemon.world import SystemClock

    return SystemClock().wall_ms()


@pytest.mark.long
def test_names_that_cannot_be_invited_are_refused(office: Office) -> None:
    alice = office.alice
    assert "account already" in alice.refuses("invite", "bob@example.org")
    assert "not a name of example.org" in alice.refuses("invite", "x@elsewhere.example")
    assert "--storage-only" in alice.refuses("invite")
    assert "epost org init" in office.bob.refuses("invite", "x@example.org")


def test_a_second_daemon_on_one_folder_is_refused_and_the_first_goes_on(office: Office) -> None:
    assert "another" in office.bob.refuses("run")
    assert office.bob.tells("status")["ring"]["ready"]


@pytest.mark.long
def test_founding_again_or_on_a_taken_port_is_refused_and_leaves_nothing(
    office: Office, tmp_path: Path
) -> None:
    found = ("org", "init", "example.net", "--user", "eve", "--enrol-listen")
    assert "already" in office.alice.refuses(*found, f"127.0.0.1:{free_ports(1)[0]}")
    eve = Machine.fresh(tmp_path / "eve")
    taken = f"127.0.0.1:{office.alice.ring}"
    assert "in use" in eve.refuses(*found, taken)
    assert "others can reach" in eve.refuses(*found, "0.0.0.0:4511")
    assert "not an address" in eve.refuses(*found, "nonsense")
    assert "already" not in eve.says(*found, f"127.0.0.1:{free_ports(1)[0]}")


@pytest.mark.long
def test_a_machine_that_listens_everywhere_tells_others_an_address_that_they_can_reach(
    office: Office, tmp_path: Path
) -> None:
    frank = Machine.fresh(tmp_path / "frank")
    invitation = office.alice.tells("invite", "frank@example.org")["invite"]
    frank.tells("join", invitation, "--listen", f"0.0.0.0:{frank.ring}")
    config = (frank.folder / "config.toml").read_text()
    assert f'advertise = ["127.0.0.1:{frank.ring}"]' in config


def test_a_taken_port_and_an_unknown_key_are_named(office: Office, tmp_path: Path) -> None:
    gina = Machine.fresh(tmp_path / "gina")
    gina.join(office.alice.tells("invite", "gina@example.org")["invite"])
    line = refusal(gina, str(gina.imap), str(office.alice.imap))
    assert "[mail] imap" in line
    assert "in use" in line
    assert "`foundr`" in refusal(gina, "founder", "foundr")


def refusal(machine: Machine, old: str, new: str) -> str:
    """Return why a daemon does not start with this change in its configuration."""
    path = machine.folder / "config.toml"
    original = path.read_text()
    machine.configure(old, new)
    try:
        return machine.refuses("run")
    finally:
        path.write_text(original)


@pytest.mark.long
def test_whatever_stands_in_the_way_of_a_start_is_said_in_one_line(
    office: Office, tmp_path: Path
) -> None:
    ivan = Machine.fresh(tmp_path / "ivan")
    ivan.join(office.alice.tells("invite", "ivan@example.org")["invite"])
    taken = str(office.alice.imap)
    assert "[mail] smtp" in refusal(ivan, str(ivan.smtp), taken)
    assert "[ring] listen" in refusal(ivan, str(ivan.ring), taken)
    assert "metrics" in refusal(ivan, '"127.0.0.1:0"', f'"127.0.0.1:{taken}"')
    assert "contributed_bytes" in refusal(ivan, "contributed_bytes = ", "contributed_bytes = -")
    assert "not valid TOML" in refusal(ivan, "[mail]", "[mail")
    assert "host:port" in refusal(ivan, f"127.0.0.1:{ivan.smtp}", "everywhere")
    everywhere = f"0.0.0.0:{ivan.smtp}"
    assert 'security = "tls"' in refusal(ivan, f"127.0.0.1:{ivan.smtp}", everywhere)
    advertised = f'advertise = ["127.0.0.1:{ivan.ring}"]'
    assert "advertise" in refusal(ivan, advertised, 'advertise = ["0.0.0.0:1"]')


def test_a_folder_of_nobody_says_how_to_become_a_member(tmp_path: Path) -> None:
    nobody = Machine.fresh(tmp_path / "nobody")
    for command in (["run"], ["status"], ["run", "--data-dir", "/etc"]):
        assert "epost join" in nobody.refuses(*command)


@pytest.mark.long
def test_other_commands_on_a_folder_of_nobody_say_it_too(tmp_path: Path) -> None:
    nobody = Machine.fresh(tmp_path / "nobody")
    for command in (["queue"], ["password", "list"], ["password", "add", "phone"]):
        assert "epost join" in nobody.refuses(*command)


@pytest.mark.long
def test_a_member_whose_daemon_does_not_run_is_told_how_to_start_it(
    office: Office, tmp_path: Path
) -> None:
    henry = Machine.fresh(tmp_path / "henry")
    henry.join(office.alice.tells("invite", "henry@example.org")["invite"])
    for command in ("status", "queue"):
        assert "epost run" in henry.refuses(command)


def test_an_authority_that_does_not_run_is_named(tmp_path: Path) -> None:
    founder, late = Machine.fresh(tmp_path / "founder"), Machine.fresh(tmp_path / "late")
    (port,) = free_ports(1)
    founder.says("org", "init", "example.net", "--user", "f", "--enrol-listen", f"127.0.0.1:{port}")
    invitation = founder.tells("invite", "late@example.net")["invite"]
    line = late.refuses("join", invitation)
    assert f"port {port}: connection refused" in line
    assert "daemon" in line
