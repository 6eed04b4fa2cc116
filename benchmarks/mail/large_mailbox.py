"""A mailbox of many gigabytes, as twenty years leave it: imported, restarted, synchronised.

    python benchmarks/mail/large_mailbox.py --gigabytes 4       50,000 mails in 800 folders
    python benchmarks/mail/large_mailbox.py --gigabytes 16      200,000 mails
    python benchmarks/mail/large_mailbox.py --gigabytes 0.3 --folders 60

A ring of one daemon takes generated mails by APPEND; its memory is watched all the time. Then it is
restarted, lists all folders with their counters, and mbsync (if it is installed) fetches everything
and comes a second time, when there is nothing to do. Prints a table for docs/benchmarks.md;
nothing asserts a time. Needs three times so much room in the folder for temporary files (TMPDIR).
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from base64 import encodebytes
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

from memory import Memory
from progress import Progress
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


def create(account: Account, folders: int) -> None:
    """Make the folders, as a program that moves a mailbox does first."""
    progress = Progress("folders", folders)
    with Imap(account) as client:
        for folder in range(folders):
            client.ok(f'CREATE "{folder_name(folder)}"'.encode())
            progress.show(folder + 1)


def fill(account: Account, octets: int, mails: int, folders: int, memory: Memory) -> int:
    """Append mails folder by folder until so many octets are there; returns how many are."""
    random, sent, number = Random(1), 0, 0
    progress = Progress("import", octets)
    with Imap(account) as client:
        for folder in range(folders):
            batch: list[tuple[bytes, bytes]] = []
            in_batch = 0
            while number < mails * (folder + 1) // folders and sent < octets * 1.1:
                data = one_mail(number, random)
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
    return sent


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


def experiment(
    directory: Path, gigabytes: float, mails: int, folders: int, *, sync: bool
) -> Iterator[tuple[str, str]]:
    """Run it all; yield the rows of the table."""
    with running_demo(directory / "demo", nodes=1, users="alice") as demo:
        account = account_of(demo)
        memory = Memory(demo.node("alice")["pid"])
        memory.start()
        seconds = timed(lambda: create(account, folders))
        yield f"CREATE of {folders} folders", f"{seconds:.1f} s"
        start = time.perf_counter()
        sent = fill(account, int(gigabytes * GIGABYTE), mails, folders, memory)
        seconds = time.perf_counter() - start
        megabytes = sent / 10**6
        yield (
            f"import of {megabytes / 1000:.2f} GB, {mails:,} mails, by APPEND",
            f"{seconds:.0f} s, {megabytes / seconds:.1f} MB/s, {mails / seconds:.0f} mails/s",
        )
        yield "memory of the daemon meanwhile, at most", f"{memory.end()} MB"
        demo.stop("alice")
        seconds = timed(lambda: demo.restart("alice"))
        yield "started again: until it serves", f"{seconds:.1f} s"
        memory = Memory(demo.node("alice")["pid"])
        memory.start()
        seconds, listed, counted = listing(account)
        row = f"login and LIST with counters: {listed} folders, {counted:,} mails"
        yield row, f"{seconds:.2f} s"
        if sync:
            first = synchronise(account, directory / "maildir")
            yield "mbsync fetches everything", _seconds(first)
            again = synchronise(account, directory / "maildir")
            yield "mbsync with nothing to do", _seconds(again)
        yield "memory of the daemon meanwhile, at most", f"{memory.end()} MB"
        data = Path(demo.node("alice")["data_dir"])
        on_disk = sum(path.stat().st_size for path in data.rglob("*") if path.is_file())
        yield "on disk", f"{on_disk / GIGABYTE:.2f} GB"


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _seconds(seconds: float | None) -> str:
    return "mbsync is not installed" if seconds is None else f"{seconds:.1f} s"


def account_of(demo: RunningDemo) -> Account:
    node = demo.node("alice")
    return Account(node["imap"]["port"], node["username"], node["password"])


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--gigabytes", type=float, default=4.0)
    parser.add_argument("--mails", type=int, default=MAILS, help="for every 4 GB")
    parser.add_argument("--folders", type=int, default=FOLDERS)
    parser.add_argument("--without-mbsync", action="store_true")
    options = parser.parse_args()
    mails = round(options.mails * options.gigabytes / 4)
    with tempfile.TemporaryDirectory(prefix="epost-large-") as name:
        rows = experiment(
            Path(name),
            options.gigabytes,
            mails,
            options.folders,
            sync=not options.without_mbsync,
        )
        sys.stdout.write(f"| a mailbox of {options.gigabytes:g} GB | |\n|---|---|\n")
        for row, value in rows:
            sys.stdout.write(f"| {row} | {value} |\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
