"""A running demo as other programs see it: demo.json, processes, stock mail libraries."""

from __future__ import annotations

import imaplib
import json
import os
import shutil
import signal
import smtplib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate, make_msgid
from pathlib import Path
from typing import Any

from epost.daemon.control import ask

START_SECONDS = 120
POLL_SECONDS = 0.1
SETTLED_LOGS = ("ring-durable", "no user's log on this node")


@dataclass
class RunningDemo:
    """One `epost demo` process and what it published."""

    directory: Path
    process: subprocess.Popen[bytes]

    def document(self) -> dict[str, Any]:
        return json.loads((self.directory / "demo.json").read_text())

    def node(self, name: str) -> dict[str, Any]:
        return next(n for n in self.document()["nodes"] if n["name"] == name)

    def names(self) -> list[str]:
        return [n["name"] for n in self.document()["nodes"]]

    def kill(self, *names: str) -> None:
        """kill -9, all in the same moment."""
        self._signal(signal.SIGKILL, names)

    def stop(self, *names: str) -> None:
        """Have daemons end in good order."""
        self._signal(signal.SIGTERM, names)

    def _signal(self, number: signal.Signals, names: Sequence[str]) -> None:
        pids = [self.node(name)["pid"] for name in names]
        for pid in pids:
            os.kill(pid, number)
        for pid in pids:
            eventually(lambda pid=pid: is_gone(pid), "the process to be gone")

    def erase(self, name: str) -> None:
        """What a disk that died leaves: nothing."""
        shutil.rmtree(self.node(name)["data_dir"])

    def restart(self, name: str) -> subprocess.CompletedProcess[str]:
        return epost("demo", "restart-node", name, "--dir", str(self.directory))

    def status(self, name: str) -> dict[str, Any]:
        result = epost("status", "--data-dir", self.node(name)["data_dir"], "--json")
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)

    def wait_until_whole(self) -> None:
        """Wait until every node sees every other and has published its log."""
        for name in self.names():
            eventually(lambda name=name: self._is_whole(name), f"{name} to see a whole ring")

    def _is_whole(self, name: str) -> bool:
        status = ask(Path(self.node(name)["data_dir"]), "status")
        ring = status["ring"]
        return bool(
            ring["members"] == ring["enrolled"] == len(self.names())
            and status["storage"]["unpushed"] == 0
            and status["log"] in SETTLED_LOGS
        )

    @contextmanager
    def imap(self, name: str) -> Iterator[imaplib.IMAP4]:
        node = self.node(name)
        client = imaplib.IMAP4(node["imap"]["host"], node["imap"]["port"], timeout=60)
        client.login(node["username"], node["password"])
        try:
            yield client
        finally:
            client.logout()

    @contextmanager
    def smtp(self, name: str) -> Iterator[smtplib.SMTP]:
        node = self.node(name)
        with smtplib.SMTP(node["smtp"]["host"], node["smtp"]["port"], timeout=60) as client:
            client.ehlo("tests.example.org")
            client.login(node["username"], node["password"])
            yield client

    def send(self, sender: str, recipients: Sequence[str], octets: bytes) -> str:
        """Submit; return the text of the 250."""
        with self.smtp(sender) as client:
            return submit(client, self.address(sender), map(self.address, recipients), octets)

    def address(self, name: str) -> str:
        return str(self.node(name)["user"])

    def inbox(self, name: str) -> dict[str, bytes]:
        """All mails of the INBOX by Message-ID; two with the same id fail."""
        found: dict[str, bytes] = {}
        with self.imap(name) as client:
            client.select("INBOX", readonly=True)
            _, data = client.fetch("1:*", "(BODY.PEEK[])")
            for item in data:
                if isinstance(item, tuple):
                    key = message_id_of(item[1])
                    assert key not in found, f"{key} is in the mailbox twice"
                    found[key] = item[1]
        return found

    def wait_for(self, name: str, message_id: str, seconds: float = 60) -> bytes:
        """Wait until a mail is in somebody's INBOX and return its octets."""
        with self.imap(name) as client:
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                client.select("INBOX", readonly=True)
                _, found = client.uid("SEARCH", "HEADER", "Message-ID", message_id)
                if found and found[0]:
                    _, data = client.uid("FETCH", found[0].split()[-1].decode(), "(BODY.PEEK[])")
                    return bytes(data[0][1])
                time.sleep(POLL_SECONDS)
        raise AssertionError(f"{message_id} did not reach {name} within {seconds} s")


@contextmanager
def running_demo(
    directory: Path,
    *,
    nodes: int = 5,
    users: str = "alice,bob,carol",
    start_seconds: float = START_SECONDS,
) -> Iterator[RunningDemo]:
    """Start `epost demo`, wait for the ring to be whole and its own mail to be through."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "demo.json").unlink(missing_ok=True)
    output = (directory / "demo.out").open("wb")
    command = [
        sys.executable, "-m", "epost.cli", "demo", "--dir", str(directory),
        "--nodes", str(nodes), "--users", users,
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=output, stderr=output)
    demo = RunningDemo(directory, process)
    try:
        eventually(
            lambda: (
                "Settings for" in (directory / "demo.out").read_text() or process.poll() is not None
            ),
            "the demo to be up",
            start_seconds,
        )
        assert process.poll() is None, (directory / "demo.out").read_text()[-3000:]
        yield demo
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        finally:
            output.close()


def epost(*arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user would."""
    return subprocess.run(
        [sys.executable, "-m", "epost.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def compose(
    sender: str, recipients: Sequence[str], *, size: int = 2000, subject: str = "a mail"
) -> tuple[str, bytes]:
    """Return (Message-ID, octets) of a mail; above 16 KiB it has an attachment of random bytes."""
    mail = EmailMessage(policy=SMTP)
    mail["From"] = sender
    mail["To"] = ", ".join(recipients)
    mail["Subject"] = subject
    mail["Date"] = formatdate()
    mail["Message-ID"] = make_msgid(domain="tests.example.org")
    mail.set_content("Hello.\r\n" * max(1, min(size, 15_000) // 8))
    if size > 16 * 1024:
        mail.add_attachment(os.urandom(size * 3 // 4), maintype="application", subtype="x-test")
    return str(mail["Message-ID"]), mail.as_bytes(policy=SMTP)


def submit(
    client: smtplib.SMTP, sender: str, recipients: Iterator[str] | Sequence[str], octets: bytes
) -> str:
    """One transaction; return the text of the 250."""
    assert client.mail(sender)[0] == 250
    for recipient in recipients:
        code, text = client.rcpt(recipient)
        assert code == 250, text
    code, text = client.data(octets)
    assert code == 250, (code, text)
    return text.decode()


def message_id_of(octets: bytes) -> str:
    """Return the Message-ID line's value."""
    for line in octets.split(b"\r\n\r\n", 1)[0].split(b"\r\n"):
        if line.lower().startswith(b"message-id:"):
            return line.split(b":", 1)[1].strip().decode()
    return ""


def eventually(
    condition: Callable[[], object], what: str, seconds: float = 60, every: float = POLL_SECONDS
) -> None:
    """Poll a condition of another process; there is no event to wait for."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(every)


def is_gone(pid: int) -> bool:
    """Has a process ended?"""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return True
    return stat.rpartition(")")[2].split()[0] == "Z"
