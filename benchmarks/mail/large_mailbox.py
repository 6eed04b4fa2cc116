"""A mailbox of many gigabytes, as twenty years leave it: imported, restarted, synchronised.

    python benchmarks/mail/large_mailbox.py --gigabytes 4       50,000 mails in 800 folders
    python benchmarks/mail/large_mailbox.py --gigabytes 16      200,000 mails
    python benchmarks/mail/large_mailbox.py --gigabytes 16 --larger 4    a fourth of them, larger
    python benchmarks/mail/large_mailbox.py --gigabytes 0.3 --folders 60

A ring of one daemon takes generated mails by APPEND; its memory is watched all the time. Then it is
restarted, lists all folders with their counters, and mbsync (if it is installed) fetches everything
and comes a second time, when there is nothing to do. Prints a table for docs/benchmarks.md, and
writes the figures to a file (`--json`); nothing asserts a time. Needs three times so much room in
the folder for temporary files (TMPDIR).
"""

from __future__ import annotations

import argparse
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from base64 import encodebytes
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from cpu_time import cpu_clock
from memory import Memory
from progress import Progress
from report import Report
from wire import FLAGS, Account, Imap, mail

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent))

from tests.support.demo import RunningDemo, running_demo  # noqa: E402 - not installed

GIGABYTE = 10**9
MAILS = 50_000
"""In 4 GB; in proportion to it otherwise."""
FOLDERS = 800
BATCH_OCTETS = 2_000_000
KINDS = ((70, 4_000, 16_000, 0), (25, 2_000, 4_000, 160_000), (5, 2_000, 4_000, 700_000))
"""Of 100 mails: so many, text from, text to, mean attachment (octets on the wire)."""


def folder_name(number: int) -> str:
    return f"Archive/{2006 + number // 40}/{number % 40:02}"


def one_mail(number: int, random: Random, larger: float) -> bytes:
    """A mail of a size that is drawn; attachments are bytes that do not compress."""
    kind = random.choices(KINDS, weights=[share for share, *_ in KINDS])[0]
    _, low, high, attached = kind
    text = mail(number, random.randint(low, high))
    if not attached:
        return text
    data = random.randbytes(int(random.uniform(0.5, 1.5) * attached * larger / 1.37))
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


@dataclass(frozen=True)
class Said:
    """What a step has to say of itself besides what it took."""

    text: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)


def create(account: Account, folders: int) -> Said:
    """Make the folders, as a program that moves a mailbox does first."""
    progress = Progress("folders", folders)
    with Imap(account) as client:
        for folder in range(folders):
            client.ok(f'CREATE "{folder_name(folder)}"'.encode())
            progress.show(folder + 1)
    return Said()


def fill(
    account: Account, octets: int, mails: int, folders: int, memory: Memory, larger: float = 1.0
) -> tuple[int, int]:
    """Append mails folder by folder until so many octets are there; return octets and mails.

    Attachments are so many times `larger` than those of KINDS.
    """
    random, sent, number = Random(1), 0, 0
    progress = Progress("import", octets)
    with Imap(account) as client:
        for folder in range(folders):
            batch: list[tuple[bytes, bytes]] = []
            in_batch = 0
            while number < mails * (folder + 1) // folders and sent < octets * 1.1:
                data = one_mail(number, random, larger)
                batch.append((FLAGS[number % 5], data))
                in_batch += len(data)
                number += 1
                if in_batch >= BATCH_OCTETS:
                    client.append_many(folder_name(folder), batch)
                    sent, batch, in_batch = sent + in_batch, [], 0
                    progress.show(min(sent, octets - 1), f"{memory.latest} MB of memory")
            if batch:
                client.append_many(folder_name(folder), batch)
                sent += in_batch
                progress.show(min(sent, octets - 1), f"{memory.latest} MB of memory")
    progress.show(octets)
    return sent, number


def listing(account: Account) -> Said:
    """Log in and list all folders with their counters."""
    with Imap(account) as client:
        answer = client.ok(b'LIST "" "*" RETURN (STATUS (MESSAGES UIDNEXT UNSEEN))')
    counts = [int(n) for n in re.findall(rb"\* STATUS [^\r\n]*MESSAGES (\d+)", answer)]
    figures = {"folders": len(counts), "mails": sum(counts)}
    return Said(f", {len(counts)} folders, {sum(counts):,} mails", figures)


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
MaxSize {up_to}
SyncState *
"""


def synchronise(account: Account, directory: Path, up_to: int) -> Said | None:
    """Run mbsync once; return what it took itself, None if it is not installed.

    Of mails longer than `up_to`, unless it is 0, it brings a placeholder.
    """
    if shutil.which("mbsync") is None:
        return None
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    directory.mkdir(exist_ok=True)
    for security in ("TLSType", "SSLType"):  # its name changed in version 1.5
        settings = MBSYNC.format(
            host=account.host,
            port=account.port,
            user=account.user,
            password=account.password,
            directory=directory,
            security=security,
            up_to=up_to,
        )
        (directory.parent / "mbsyncrc").write_text(settings)
        command = ["mbsync", "-q", "-c", str(directory.parent / "mbsyncrc"), "all"]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode == 0:
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
            return Said(f", CPU of mbsync {cpu:.2f} s", {"mbsync_cpu_seconds": cpu})
    raise SystemExit(f"mbsync: {result.stderr[-500:]}")


class Steps:
    """Takes the steps of the experiment, one after the other, into the report."""

    def __init__(self, report: Report, demo: RunningDemo) -> None:
        self._report = report
        self._demo = demo

    def take(self, name: str, work: Callable[[Memory], Said | None]) -> None:
        """Do something and add its row; None if it could not be done."""
        with Memory(self._demo.node("alice")["pid"]) as memory:
            clock = cpu_clock([memory.pid])
            cpu, start = clock(), time.perf_counter()
            said = work(memory)
            seconds, cpu = time.perf_counter() - start, clock() - cpu
        if said is None:
            self._report.row(name, "not done")
            return
        shown = f"{seconds:.2f} s, CPU of the daemon {cpu:.2f} s, at most {memory.highest} MB"
        figures = {"seconds": seconds, "cpu_seconds": cpu, "megabytes": float(memory.highest)}
        self._report.row(name, shown + said.text, **figures, **said.figures)


def experiment(
    directory: Path, octets: int, mails: int, report: Report, options: argparse.Namespace
) -> None:
    """Run it all."""
    folders = options.folders
    with running_demo(directory / "demo", nodes=1, users="alice") as demo:
        account, steps = account_of(demo), Steps(report, demo)

        def imported(memory: Memory) -> Said:
            sent, number = fill(account, octets, mails, folders, memory, options.larger)
            figures = {"octets": sent, "mails": number}
            return Said(f", {number:,} mails, {sent / GIGABYTE:.2f} GB", figures)

        def synchronised(_: Memory) -> Said | None:
            if options.without_mbsync:
                return None
            return synchronise(account, directory / "maildir", options.mbsync_up_to)

        steps.take(f"CREATE of {folders:,} folders", lambda _: create(account, folders))
        steps.take("import by APPEND", imported)
        demo.stop("alice")
        seconds = timed(lambda: demo.restart("alice"))
        report.row("started again: until it serves", f"{seconds:.1f} s", seconds=seconds)
        for number in ("first", "second"):
            steps.take(f"login and LIST with counters, {number}", lambda _: listing(account))
        steps.take("mbsync fetches everything", synchronised)
        for number in ("first", "second"):
            steps.take(f"mbsync with nothing to do, {number}", synchronised)
        data = Path(demo.node("alice")["data_dir"])
        on_disk = sum(path.stat().st_size for path in data.rglob("*") if path.is_file())
        report.row("on disk", f"{on_disk / GIGABYTE:.2f} GB", octets=on_disk)


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def account_of(demo: RunningDemo) -> Account:
    node = demo.node("alice")
    return Account(node["imap"]["port"], node["username"], node["password"])


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--gigabytes", type=float, default=4.0)
    parser.add_argument("--mails", type=int, default=MAILS, help="for every 4 GB")
    parser.add_argument("--folders", type=int, default=FOLDERS)
    parser.add_argument("--larger", type=float, default=1.0, help="so many times the attachments")
    parser.add_argument("--without-mbsync", action="store_true")
    parser.add_argument("--mbsync-up-to", type=int, default=0, help="octets of a mail; 0: all")
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
    options = parser.parse_args()
    mails = round(options.mails * options.gigabytes / 4 / options.larger)
    report = Report(f"a mailbox of {options.gigabytes:g} GB", options.json)
    with tempfile.TemporaryDirectory(prefix="epost-large-") as name:
        octets = int(options.gigabytes * GIGABYTE)
        experiment(Path(name), octets, mails, report, options)


if __name__ == "__main__":
    main()
