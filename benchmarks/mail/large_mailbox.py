"""A mailbox of many gigabytes, as twenty years leave it: imported, restarted, synchronised.

    python benchmarks/mail/large_mailbox.py --gigabytes 4     50,000 mails in 800 folders
    python benchmarks/mail/large_mailbox.py --gigabytes 16

A ring of one daemon takes generated mails by APPEND; its memory is watched all the time. Then it is
restarted, lists all folders with their counters, and mbsync (if it is installed) fetches everything
and comes a second time, when there is nothing to do. Prints a JSON object; nothing asserts a time.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from base64 import encodebytes
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from wire import FLAGS, Account, Imap, mail

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent))

from tests.support.demo import RunningDemo, running_demo  # noqa: E402 - not installed

GIGABYTE = 10**9
MAILS = 50_000
FOLDERS = 800
BATCH_OCTETS = 2_000_000
SAMPLE_SECONDS = 0.5
KINDS = ((70, 4_000, 16_000, 0), (25, 2_000, 4_000, 160_000), (5, 2_000, 4_000, 700_000))
"""Of 100 mails: so many, text from, text to, mean attachment (octets on the wire)."""


def folder_name(number: int) -> str:
    return f"Archive/{2006 + number // 40}/{number % 40:02}"


def one_mail(number: int, random: Random) -> bytes:
    """A mail of a size that is drawn; attachments are bytes that do not compress."""
    kind = random.choices(KINDS, weights=[share for share, *_ in KINDS])[0]
    _, low, high, attached = kind
    text = mail(number, random.randint(low, high))
    if not attached:
        return text
    data = random.randbytes(int(random.uniform(0.5, 1.5) * attached / 1.37))
    head, _, body = text.partition(b"\r\n\r\n")
    head = head.replace(
        b"Content-Type: text/plain; charset=utf-8",
        b'Content-Type: multipart/mixed; boundary="part"',
    )
    encoded = encodebytes(data).replace(b"\n", b"\r\n")
    return b"".join(
        (
            head,
            b"\r\n\r\n--part\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n",
            body,
            b"--part\r\nContent-Type: application/octet-stream\r\n"
            b"Content-Transfer-Encoding: base64\r\n\r\n",
            encoded,
            b"--part--\r\n",
        )
    )


class Memory(threading.Thread):
    """The largest resident memory of a process that was seen, in MB."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._status = Path(f"/proc/{pid}/status")
        self._ended = threading.Event()
        self.samples: list[int] = []

    def run(self) -> None:
        while not self._ended.wait(SAMPLE_SECONDS):
            try:
                found = re.search(r"VmRSS:\s+(\d+)", self._status.read_text())
            except OSError:
                return  # the process has ended
            if found:
                self.samples.append(int(found[1]) // 1024)

    def end(self) -> int:
        self._ended.set()
        self.join()
        return max(self.samples, default=0)


def fill(account: Account, octets: int, mails: int) -> Iterator[int]:
    """Append mails folder by folder until so many octets are there; yields those sent so far."""
    random, sent, number = Random(1), 0, 0
    with Imap(account) as client:
        for folder in range(FOLDERS):
            name = folder_name(folder)
            client.ok(f'CREATE "{name}"'.encode())
            batch: list[tuple[bytes, bytes]] = []
            in_batch = 0
            while number < mails * (folder + 1) // FOLDERS and sent < octets * 1.1:
                data = one_mail(number, random)
                batch.append((FLAGS[number % 5], data))
                in_batch += len(data)
                number += 1
                if in_batch >= BATCH_OCTETS:
                    client.append_many(name, batch)
                    sent, batch, in_batch = sent + in_batch, [], 0
            if batch:
                client.append_many(name, batch)
                sent += in_batch
            yield sent


def listing(account: Account) -> tuple[float, int, int]:
    """Return the seconds of a login and a LIST with counters, how many folders, how many mails."""
    start = time.perf_counter()
    with Imap(account) as client:
        answer = client.ok(b'LIST "" "*" RETURN (STATUS (MESSAGES UIDNEXT UNSEEN))')
    seconds = time.perf_counter() - start
    counts = [int(n) for n in re.findall(rb"\* STATUS [^\r\n]*MESSAGES (\d+)", answer)]
    return seconds, len(counts), sum(counts)


MBSYNC = """
IMAPAccount epost
Host {host}
Port {port}
User {user}
Pass {password}
{security} None
AuthMechs LOGIN

IMAPStore there
Account epost

MaildirStore here
Path {directory}/
Inbox {directory}/INBOX
SubFolders Verbatim

Channel all
Far :there:
Near :here:
Patterns *
Create Near
Sync Pull
SyncState *
"""


def synchronise(account: Account, directory: Path) -> float | None:
    """Return the seconds of one run of mbsync, None where it is not installed."""
    if shutil.which("mbsync") is None:
        return None
    directory.mkdir(exist_ok=True)
    for security in ("TLSType", "SSLType"):  # its name changed in version 1.5
        settings = MBSYNC.format(
            host=account.host,
            port=account.port,
            user=account.user,
            password=account.password,
            directory=directory,
            security=security,
        )
        (directory.parent / "mbsyncrc").write_text(settings)
        command = ["mbsync", "-q", "-c", str(directory.parent / "mbsyncrc"), "all"]
        start = time.perf_counter()
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode == 0:
            return time.perf_counter() - start
    raise SystemExit(f"mbsync: {result.stderr[-500:]}")


def experiment(directory: Path, gigabytes: float, mails: int, *, sync: bool) -> dict[str, Any]:
    """Run it all; return what was measured."""
    found: dict[str, Any] = {"gigabytes": gigabytes, "mails": mails, "folders": FOLDERS}
    with running_demo(directory / "demo", nodes=1, users="alice") as demo:
        account = account_of(demo)
        memory = Memory(demo.node("alice")["pid"])
        memory.start()
        start = time.perf_counter()
        for folder, sent in enumerate(fill(account, int(gigabytes * GIGABYTE), mails)):
            if folder % 40 == 39:
                seconds = time.perf_counter() - start
                text = f"{folder + 1} folders, {sent / GIGABYTE:.2f} GB, {seconds:.0f} s, "
                sys.stderr.write(f"{text}{memory.samples[-1:]} MB\n")
        found["import_seconds"] = round(time.perf_counter() - start)
        found["imported_gigabytes"] = round(sent / GIGABYTE, 2)
        found["import_memory_mb_max"] = memory.end()
        found["list_seconds"], found["folders_listed"], found["mails_listed"] = listing(account)
        demo.stop("alice")
        start = time.perf_counter()
        demo.restart("alice")
        found["restart_seconds"] = round(time.perf_counter() - start, 2)
        found["list_after_restart_seconds"] = round(listing(account)[0], 2)
        memory = Memory(demo.node("alice")["pid"])
        memory.start()
        if sync:
            found["mbsync_first_seconds"] = synchronise(account, directory / "maildir")
            found["mbsync_nothing_to_do_seconds"] = synchronise(account, directory / "maildir")
        found["reading_memory_mb_max"] = memory.end()
        data = Path(demo.node("alice")["data_dir"])
        on_disk = sum(path.stat().st_size for path in data.rglob("*") if path.is_file())
        found["on_disk_gigabytes"] = round(on_disk / GIGABYTE, 2)
    return found


def account_of(demo: RunningDemo) -> Account:
    node = demo.node("alice")
    return Account(node["imap"]["port"], node["username"], node["password"])


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--gigabytes", type=float, default=4.0)
    parser.add_argument("--mails", type=int, default=MAILS)
    parser.add_argument("--without-mbsync", action="store_true")
    options = parser.parse_args()
    mails = round(options.mails * options.gigabytes / 4)
    with tempfile.TemporaryDirectory(prefix="epost-large-") as name:
        found = experiment(Path(name), options.gigabytes, mails, sync=not options.without_mbsync)
    sys.stdout.write(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
