"""Records a golden data folder: what one version of ePOST leaves on two disks of one user.

    git worktree add /tmp/old VERSION
    PYTHONPATH=/tmp/old/src python tests/golden/record.py NAME

Everything is done through that version's command line and by stock mail libraries. Writes
NAME.tar.xz (the stopped machines' data folders and the authority's) and NAME.json (what every
folder of mail looked like over IMAP) beside this file. Golden data is never recorded anew: a later
version gets a name of its own.
"""

from __future__ import annotations

import hashlib
import imaplib
import io
import json
import os
import re
import signal
import smtplib
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from random import Random
from typing import Any

ADDRESS = "alice@example.org"
ATTACHMENT_BYTES = 70_000
"""Enough for a block of its own in organisation mode."""
LARGE_BYTES = 270_000
"""Enough for a body in a file of its own."""
MACHINES = ("desktop", "laptop")


def main() -> None:
    """Record, and write both files."""
    name, here = sys.argv[1], Path(__file__).parent
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        recorded = Recording(root).run()
        pack(root, here / f"{name}.tar.xz")
    (here / f"{name}.json").write_text(json.dumps(recorded, indent=1) + "\n")


class Recording:
    """A user with two machines, and what she does in one sitting."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._ports = free_ports(7)
        self._passwords: dict[str, str] = {}
        self._mail_ports: dict[str, tuple[int, int]] = {}
        self._random = Random(1)

    def run(self) -> dict[str, Any]:
        """Return what the golden test must find."""
        recorded_ms = time.time_ns() // 1_000_000
        with ExitStack() as stack:
            words = self._found()
            stack.enter_context(self._running("desktop"))
            self._write_mails()
            self._add_laptop(words)
            stack.enter_context(self._running("laptop"))
            self._use_the_laptop()
            self._settle()
            views = {machine: self._view(machine) for machine in MACHINES}
        return {
            "recorded_ms": recorded_ms, "address": ADDRESS, "passwords": self._passwords,
            "words": words, "machines": views,
        }  # fmt: skip

    def _found(self) -> str:
        ring, enrol = next(self._ports), next(self._ports)
        told = self._epost(
            "org", "init", "example.org", "--user", "alice", *self._folder("desktop"),
            "--authority-dir", str(self._root / "authority"), "--listen", f"127.0.0.1:{ring}",
            "--enrol-listen", f"127.0.0.1:{enrol}",
        )  # fmt: skip
        self._set_up("desktop", told["password"])
        return str(told["recovery_words"])

    def _add_laptop(self, words: str) -> None:
        authority = ("--authority-dir", str(self._root / "authority"))
        invitation = self._epost("invite", ADDRESS, "--another-machine", *authority)["invite"]
        paper = self._root / "paper"
        paper.write_text(words)
        told = self._epost(
            "recover", invitation, *self._folder("laptop"), "--keep-machines",
            "--listen", f"127.0.0.1:{next(self._ports)}", "--words-file", str(paper),
        )  # fmt: skip
        paper.unlink()
        self._set_up("laptop", told["password"])

    def _set_up(self, machine: str, password: str) -> None:
        self._passwords[machine] = password
        smtp, imap = self._mail_ports[machine] = next(self._ports), next(self._ports)
        path = self._root / machine / "config.toml"
        text = path.read_text().replace("127.0.0.1:2525", f"127.0.0.1:{smtp}")
        path.write_text(text.replace("127.0.0.1:1143", f"127.0.0.1:{imap}"))

    def _write_mails(self) -> None:
        """Mails to herself, a thread, an attachment twice, flags, folders, gaps in the UIDs."""
        attachment = self._random.randbytes(ATTACHMENT_BYTES)
        mails = [
            compose("plain"),
            compose("Grüße", text="Schöne Grüße aus Köln.\n" * 40),
            compose("with an attachment", attachment=attachment),
            compose("the same attachment again", attachment=attachment),
            compose("thrown away"),
            compose("moved", text="To be filed.\n" * 300),
            compose("large", attachment=self._random.randbytes(LARGE_BYTES)),
        ]
        with smtplib.SMTP("127.0.0.1", self._mail_ports["desktop"][0], timeout=60) as client:
            client.login(ADDRESS, self._passwords["desktop"])
            for mail in mails:
                client.sendmail(ADDRESS, [ADDRESS], mail)
        self._wait_for("desktop", "INBOX", len(mails))
        with self._imap("desktop") as client:
            for folder in ("Projects", "Projects/2026", "Old name", "Gone"):
                client.create(f'"{folder}"')
            client.rename('"Old name"', '"New name"')
            client.delete("Gone")
            client.subscribe("Projects/2026")
            client.append("Sent", r"(\Seen)", None, mails[2])
            client.append("Drafts", r"(\Draft \Seen)", None, compose("half a thought"))
            client.append("Drafts", r"(\Draft)", None, compose("a better half"))
            client.select("INBOX")
            client.uid("STORE", "1:2", "+FLAGS", r"(\Seen)")
            client.uid("STORE", "2", "+FLAGS", r"(\Flagged $Forwarded project)")
            client.uid("STORE", "5", "+FLAGS", r"(\Deleted)")
            client.uid("EXPUNGE", "5")
            client.uid("MOVE", "6", "Projects/2026")
            client.uid("COPY", "3", '"New name"')

    def _use_the_laptop(self) -> None:
        self._wait_for("laptop", "INBOX", 5)
        with self._imap("laptop") as client:
            client.select("INBOX")
            client.uid("STORE", "4", "+FLAGS", r"(\Answered)")
            client.uid("STORE", "1", "-FLAGS", r"(\Seen)")
            client.append("Projects", None, None, compose("written on the laptop"))
        self._wait_for("desktop", "Projects", 1)

    def _settle(self) -> None:
        for machine in MACHINES:
            eventually(lambda machine=machine: self._is_settled(machine))
        eventually(lambda: len({json.dumps(self._flags(machine)) for machine in MACHINES}) == 1)

    def _is_settled(self, machine: str) -> bool:
        status = self._epost("status", *self._folder(machine))
        waiting = self._epost("queue", *self._folder(machine))["waiting"]
        is_stored = status["log"] == "ring-durable" and status["storage"]["unpushed"] == 0
        return is_stored and not waiting

    def _flags(self, machine: str) -> list[tuple[str, list[str]]]:
        found = [
            (mail["sha256"], mail["flags"])
            for folder in self._view(machine).values()
            for mail in folder["mails"].values()
        ]
        return sorted(found)

    def _view(self, machine: str) -> dict[str, Any]:
        with self._imap(machine) as client:
            return view_of(client)

    def _wait_for(self, machine: str, folder: str, mails: int) -> None:
        def is_there() -> bool:
            with self._imap(machine) as client:
                answer, found = client.select(f'"{folder}"', readonly=True)
                return answer == "OK" and int(found[0]) >= mails

        eventually(is_there)

    @contextmanager
    def _imap(self, machine: str) -> Iterator[imaplib.IMAP4]:
        with imaplib.IMAP4("127.0.0.1", self._mail_ports[machine][1], timeout=60) as client:
            client.login(ADDRESS, self._passwords[machine])
            yield client

    @contextmanager
    def _running(self, machine: str) -> Iterator[None]:
        with (self._root / f"{machine}.log").open("wb") as log:
            command = [sys.executable, "-m", "epost.cli", "run", *self._folder(machine)]
            process = subprocess.Popen(command, stdout=log, stderr=log)
            try:
                eventually(lambda: is_listening(self._mail_ports[machine][1]))
                yield
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(timeout=60)

    def _folder(self, machine: str) -> tuple[str, str]:
        return "--data-dir", str(self._root / machine)

    def _epost(self, *arguments: str) -> dict[str, Any]:
        command = [sys.executable, "-m", "epost.cli", *arguments, "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=180)
        return dict(json.loads(done.stdout))


def view_of(client: imaplib.IMAP4) -> dict[str, Any]:
    """Return what a mail program sees: every folder's numbers, flags and octets."""
    _, listed = client.list()
    names = sorted(line.decode().rpartition(' "/" ')[2].strip('"') for line in listed)
    return {name: _folder(client, name) for name in names}


def _folder(client: imaplib.IMAP4, folder: str) -> dict[str, Any]:
    _, status = client.status(f'"{folder}"', "(UIDVALIDITY UIDNEXT)")
    # What an index that is being made anew cannot tell yet comes as zero, or without octets.
    numbers = re.findall(rb"(?:UIDVALIDITY|UIDNEXT) (\d+)", status[0] or b"")
    validity, following = map(int, numbers or (0, 0))
    client.select(f'"{folder}"', readonly=True)
    mails: dict[str, Any] = {}
    for uid in client.uid("SEARCH", "ALL")[1][0].split():
        _, data = client.uid("FETCH", uid.decode(), "(FLAGS BODY.PEEK[])")
        octets = data[0][1] if isinstance(data[0], tuple) else b""
        told = b"".join(
            b"".join(item) if isinstance(item, tuple) else item for item in data if item
        )
        flags = re.search(rb"FLAGS \(([^)]*)\)", told.replace(octets, b""))
        words = flags[1].split() if flags else []
        mails[uid.decode()] = {
            "flags": sorted(word.decode() for word in words if word != rb"\Recent"),
            "size": len(octets),
            "sha256": hashlib.sha256(octets).hexdigest(),
        }
    return {"uidvalidity": validity, "uidnext": following, "mails": mails}


def compose(subject: str, *, text: str = "Hello.\n", attachment: bytes = b"") -> bytes:
    """Return a mail of hers to herself."""
    mail = EmailMessage(policy=SMTP)
    mail["From"] = mail["To"] = ADDRESS
    mail["Subject"] = subject
    mail["Date"] = "Sun, 22 Nov 2026 12:00:00 +0000"
    mail["Message-ID"] = f"<{hashlib.sha256(subject.encode()).hexdigest()[:16]}@example.org>"
    mail.set_content(text)
    if attachment:
        mail.add_attachment(attachment, maintype="application", subtype="x-test", filename="a.bin")
    return mail.as_bytes(policy=SMTP)


def pack(root: Path, path: Path) -> None:
    """Pack the folders of the machines and of the authority; sockets and locks stay out."""

    def kept(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        member.uid = member.gid = 0
        member.uname = member.gname = ""
        return member if member.isfile() or member.isdir() else None

    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:xz", preset=9) as archive:
        for name in (*MACHINES, "authority"):
            archive.add(root / name, arcname=name, filter=kept)
    path.write_bytes(packed.getvalue())


def free_ports(count: int) -> Iterator[int]:
    """Yield ports that nobody listens on now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        ports = [each.getsockname()[1] for each in sockets]
    return iter(ports)


def is_listening(port: int) -> bool:
    """Does anybody take connections there?"""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def eventually(condition: Callable[[], bool]) -> None:
    """Poll another process for at most a minute."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "waited a minute"
        time.sleep(0.2)


if __name__ == "__main__":
    os.umask(0o077)
    main()
