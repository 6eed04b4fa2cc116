"""One folder of a million messages: does it open, list, search and grow, and with which memory?

    python benchmarks/mail/million.py                       about 40 minutes, most of it to fill it
    python benchmarks/mail/million.py --messages 20000      a try
    python benchmarks/mail/million.py --dir /tmp/million    the folder is kept, and found again

A ring of one daemon takes small mails by APPEND, and many empty folders. It is started again, five
sessions open the folder and each row is taken some times, the memory of the daemon being watched.
Prints a table for docs/benchmarks.md; nothing asserts a time.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cpu_time import cpu_clock
from large_mailbox import account_of, create, timed
from memory import Memory
from progress import Progress
from report import Report
from wire import FLAGS, NEEDLE, Account, Imap, mail

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent))

from tests.support.demo import RunningDemo, running_demo  # noqa: E402 - not installed

MESSAGES = 1_000_000
FOLDERS = 1_000
MAIL_OCTETS = 600
FOLDER = "Million"
SESSIONS = 5
TURNS = 5
FILL_BATCH = 500
SLICE = 1_000
PAGE = 50
"""As many messages as a mail program shows."""
LISTED = b"(UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE)"


def fill(account: Account, messages: int, memory: Memory) -> None:
    """Append what is missing, if anything is."""
    progress = Progress("fill", messages)
    with Imap(account) as client:
        if FOLDER.encode() not in client.ok(b'LIST "" ' + FOLDER.encode()):
            client.ok(b"CREATE " + FOLDER.encode())
        for first in range(client.count(FOLDER), messages, FILL_BATCH):
            numbers = range(first, min(first + FILL_BATCH, messages))
            client.append_many(FOLDER, ((FLAGS[n % 5], mail(n, MAIL_OCTETS)) for n in numbers))
            progress.show(numbers.stop, f"{memory.latest} MB of memory")


def commands(messages: int) -> dict[str, bytes]:
    middle = max(1, messages // 2)
    last = min(messages, middle + SLICE - 1)
    page = max(1, messages - PAGE + 1)
    return {
        "STATUS": b"STATUS %b (MESSAGES UNSEEN UIDNEXT)" % FOLDER.encode(),
        f"list view of the last {PAGE}": b"FETCH %d:* %b" % (page, LISTED),
        f"ENVELOPE of {SLICE:,} in the middle": b"FETCH %d:%d (ENVELOPE)" % (middle, last),
        "UID FLAGS of all": b"FETCH 1:* (UID FLAGS)",
        "list view of all": b"FETCH 1:* " + LISTED,
        "SEARCH UNSEEN": b"SEARCH UNSEEN",
        "SEARCH SINCE": b"SEARCH SINCE 1-Jan-2024",
        "SEARCH SUBJECT": b"SEARCH SUBJECT n777",
        "SEARCH BODY": b"SEARCH BODY " + NEEDLE,
        "SORT by arrival, backwards": b"SORT (REVERSE ARRIVAL) UTF-8 ALL",
        "SORT by subject": b"SORT (SUBJECT) UTF-8 ALL",
        "THREAD by references": b"THREAD REFERENCES UTF-8 ALL",
        "THREAD by subject": b"THREAD ORDEREDSUBJECT UTF-8 ALL",
        f"STORE on {SLICE:,}": b"STORE %d:%d +FLAGS.SILENT (\\Flagged)" % (middle, last),
        "LIST of all folders": b'LIST "" "*"',
        "LIST of all folders with STATUS": b'LIST "" "*" RETURN (STATUS (MESSAGES UNSEEN))',
    }


class Rows:
    """Takes times, CPU and memory of the daemon into the report."""

    def __init__(self, report: Report, memory: Memory) -> None:
        self._report = report
        self._memory = memory
        self._cpu = cpu_clock([memory.pid])
        self._cpu_before = self._cpu()
        memory.highest_since()

    def add(self, name: str, seconds: list[float]) -> None:
        """Add a row for what was done since the last one, so many times."""
        median, worst = statistics.median(seconds), max(seconds)
        spent = self._cpu()
        cpu = max(0.0, spent - self._cpu_before) / len(seconds)
        megabytes = self._memory.highest_since()
        times = f"{median * 1e3:.1f} ms, at most {worst * 1e3:.1f}; CPU {cpu * 1e3:.1f} ms"
        figures = {"seconds": median, "seconds_max": worst, "cpu_seconds": cpu}
        self._report.row(name, f"{times}; {megabytes} MB", megabytes=megabytes, **figures)
        self._cpu_before = self._cpu()


def read(account: Account, messages: int, rows: Rows, turns: int) -> None:
    """Every row, with the folder open in several sessions."""
    select = b"SELECT " + FOLDER.encode()
    sessions = [Imap(account) for _ in range(SESSIONS)]
    rows.add("SELECT, first after a start", [timed(lambda: sessions[0].ok(select))])
    rows.add("SELECT", [timed(lambda client=client: client.ok(select)) for client in sessions[1:]])
    for name, command in commands(messages).items():
        seconds = timed(lambda command=command: sessions[0].drain(command))
        often = turns if seconds < 1 else min(turns, 2)
        again = [timed(lambda c=command: sessions[0].drain(c)) for _ in range(often - 1)]
        rows.add(name, [seconds, *again])
    octets = mail(1, MAIL_OCTETS)
    rows.add("APPEND", [timed(lambda: sessions[1].append(FOLDER, octets)) for _ in range(turns)])
    rows.add("EXISTS in another session", [timed(lambda: sessions[2].ok(b"NOOP"))])
    rows.add("IDLE wake-up", [woken(sessions[3], sessions[1]) for _ in range(turns)])
    rows.add("sessions closed", [timed(lambda: [client.socket.close() for client in sessions])])


def woken(idle: Imap, writer: Imap) -> float:
    """Return the seconds from the OK of an APPEND until an idle session hears of the mail."""
    idle.ok(b"NOOP")
    idle.socket.sendall(b"i IDLE\r\n")
    while not idle.line().startswith(b"+"):
        pass
    writer.append(FOLDER, mail(2, MAIL_OCTETS))
    start = time.perf_counter()
    while not idle.line().endswith(b" EXISTS"):
        pass
    seconds = time.perf_counter() - start
    idle.socket.sendall(b"DONE\r\n")
    while not idle.line().startswith(b"i OK"):
        pass
    return seconds


def run(demo: RunningDemo, messages: int, folders: int, turns: int, report: Report) -> None:
    account = account_of(demo)
    with Memory(demo.node("alice")["pid"]) as memory:
        rows = Rows(report, memory)
        rows.add(f"{FOLDER} filled", [timed(lambda: fill(account, messages, memory))])
        with Imap(account) as client:
            there = client.ok(b'LIST "" "*"').count(b"* LIST")
        if there < folders:
            rows.add(f"CREATE of {folders:,}", [timed(lambda: create(account, folders))])
    demo.stop("alice")
    seconds = timed(lambda: demo.restart("alice"))
    with Memory(demo.node("alice")["pid"]) as memory:
        rows = Rows(report, memory)
        rows.add("the daemon started again", [seconds])
        read(account_of(demo), messages, rows, turns)
    report.row("memory of it, at most", f"{memory.highest} MB", megabytes=memory.highest)


@contextmanager
def directory_of(kept: Path | None) -> Iterator[Path]:
    """Yield the directory that was named, or one that goes when the run ends."""
    if kept is not None:
        yield kept
        return
    with tempfile.TemporaryDirectory(prefix="epost-million-") as name:
        yield Path(name)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--messages", type=int, default=MESSAGES)
    parser.add_argument("--folders", type=int, default=FOLDERS, help="empty ones, beside it")
    parser.add_argument("--turns", type=int, default=TURNS)
    parser.add_argument("--dir", type=Path, help="keep the daemon's data here, and use it again")
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
    options = parser.parse_args()
    with (
        directory_of(options.dir) as directory,
        running_demo(directory / "demo", nodes=1, users="alice") as demo,
    ):
        report = Report(f"a folder of {options.messages:,} messages", options.json)
        run(demo, options.messages, options.folders, options.turns, report)


if __name__ == "__main__":
    main()
