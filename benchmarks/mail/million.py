"""One folder of a million messages: does it open, list, search and grow, and with which memory?

    python benchmarks/mail/million.py                       about 25 minutes, most of it to fill it
    python benchmarks/mail/million.py --messages 20000      a try

A ring of one daemon takes small mails by APPEND. Then five sessions open the folder and each row is
taken five times. Prints a table for docs/benchmarks.md; nothing asserts a time.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

from large_mailbox import Memory, account_of, timed
from measures import FILL_BATCH
from progress import Progress
from wire import FLAGS, NEEDLE, Account, Imap, mail

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent))

from tests.support.demo import running_demo  # noqa: E402 - not installed

MESSAGES = 1_000_000
MAIL_OCTETS = 600
FOLDER = "Million"
SESSIONS = 5
TURNS = 5
SLICE = 1000


def fill(account: Account, messages: int, memory: Memory) -> None:
    progress = Progress("fill", messages)
    with Imap(account) as client:
        client.ok(b"CREATE " + FOLDER.encode())
        for first in range(0, messages, FILL_BATCH):
            numbers = range(first, min(first + FILL_BATCH, messages))
            client.append_many(FOLDER, ((FLAGS[n % 5], mail(n, MAIL_OCTETS)) for n in numbers))
            progress.show(numbers.stop, f"{memory.latest} MB of memory")


def commands(messages: int) -> dict[str, bytes]:
    middle = max(1, messages // 2)
    last = min(messages, middle + SLICE - 1)
    return {
        f"UID FLAGS of {SLICE:,} in the middle": b"FETCH %d:%d (UID FLAGS)" % (middle, last),
        f"ENVELOPE of {SLICE:,} in the middle": b"FETCH %d:%d (ENVELOPE)" % (middle, last),
        "UID FLAGS of all": b"FETCH 1:* (UID FLAGS)",
        "SEARCH UNSEEN": b"SEARCH UNSEEN",
        "SEARCH SUBJECT": b"SEARCH SUBJECT n777",
        "SEARCH BODY": b"SEARCH BODY " + NEEDLE,
        "STATUS": b"STATUS %b (MESSAGES UNSEEN UIDNEXT)" % FOLDER.encode(),
    }


def row(name: str, seconds: list[float]) -> None:
    median, worst = statistics.median(seconds) * 1e3, max(seconds) * 1e3
    sys.stdout.write(f"| {name} | {median:.1f} ms, at most {worst:.1f} |\n")
    sys.stdout.flush()


def read(account: Account, messages: int) -> None:
    """Every row, with the folder open in several sessions."""
    select = b"SELECT " + FOLDER.encode()
    sessions = [Imap(account) for _ in range(SESSIONS)]
    row("SELECT, first after a start", [timed(lambda: sessions[0].ok(select))])
    row("SELECT", [timed(lambda client=client: client.ok(select)) for client in sessions[1:]])
    for name, command in commands(messages).items():
        row(name, [timed(lambda command=command: sessions[0].ok(command)) for _ in range(TURNS)])
    octets = mail(1, MAIL_OCTETS)
    row("APPEND", [timed(lambda: sessions[1].append(FOLDER, octets)) for _ in range(TURNS)])
    row("EXISTS in the other sessions", [timed(lambda: sessions[2].ok(b"NOOP"))])
    for client in sessions:
        client.socket.close()


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--messages", type=int, default=MESSAGES)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="epost-million-") as name,
        running_demo(Path(name) / "demo", nodes=1, users="alice") as demo,
    ):
        account = account_of(demo)
        memory = Memory(demo.node("alice")["pid"])
        memory.start()
        fill(account, options.messages, memory)
        sys.stdout.write(f"| a folder of {options.messages:,} messages | |\n|---|---|\n")
        sys.stdout.write(f"| memory while it is filled, at most | {memory.end()} MB |\n")
        demo.stop("alice")
        row("the daemon started again", [timed(lambda: demo.restart("alice"))])
        memory = Memory(demo.node("alice")["pid"])
        memory.start()
        read(account_of(demo), options.messages)
        sys.stdout.write(f"| memory with {SESSIONS} sessions, at most | {memory.end()} MB |\n")


if __name__ == "__main__":
    main()
