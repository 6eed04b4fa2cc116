"""What is measured of a mail server: each function returns the seconds that one thing took."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cpu_time import cpu_clock
from wire import FLAGS, NEEDLE, Account, Imap, Smtp, as_set, mail

FILL_SIZE = 2048
FILL_BATCH = 100
MAIL_SIZE = 10 * 1024
BODIES = 1000

Seconds = list[float]


@dataclass
class Server:
    """One of the two that are compared."""

    name: str
    imap: Account
    smtp: Account
    sender: str
    recipient: str
    inbox: Account
    pid: int | None = None
    """Of the one process that serves, if there is one."""
    samples: dict[str, Seconds] = field(default_factory=dict)
    roots: Sequence[int] = ()
    """The processes that started whatever serves."""
    counts_cpu: bool = False
    """The seconds are those of the processors, not of the clock."""

    def timed(self, work: Callable[[], object]) -> float:
        clock = cpu_clock(self.roots) if self.counts_cpu else time.perf_counter
        start = clock()
        work()
        return clock() - start

    def note(self, row: str, seconds: float) -> None:
        self.samples.setdefault(row, []).append(seconds)


def fill(server: Server, folder: str, count: int) -> float:
    """Fill a folder by APPEND of several mails at once."""
    with Imap(server.imap) as client:
        client.ok(f'CREATE "{folder}"'.encode())

        def batches() -> None:
            for first in range(0, count, FILL_BATCH):
                numbers = range(first, min(first + FILL_BATCH, count))
                client.append_many(folder, ((FLAGS[n % 5], mail(n, FILL_SIZE)) for n in numbers))

        return server.timed(batches)


def first_listing(server: Server, folder: str) -> None:
    """What a mail program does with a folder that it has never seen."""
    with Imap(server.imap) as client:
        server.note("SELECT, first", server.timed(lambda: client.ok(f'SELECT "{folder}"'.encode())))
        server.note(
            "ENVELOPE of all, first", server.timed(lambda: client.ok(b"FETCH 1:* (ENVELOPE)"))
        )


def read_folder(server: Server, folder: str, count: int, turn: int) -> None:
    """Every reading row once."""
    rnd = random.Random(turn)
    with Imap(server.imap) as client:

        def row(name: str, command: bytes) -> None:
            server.note(name, server.timed(lambda: client.ok(command)))

        row("SELECT", f'SELECT "{folder}"'.encode())
        row("FETCH 1:* (UID FLAGS)", b"FETCH 1:* (UID FLAGS)")
        some = as_set(sorted(rnd.sample(range(1, count + 1), count // 100)))
        client.ok(b"STORE %b %bFLAGS.SILENT ($Seen%d)" % (some, b"+-"[turn % 2 :][:1], turn // 2))
        row("the same, 1 % of flags changed before", b"FETCH 1:* (UID FLAGS)")
        subset = as_set(sorted(rnd.sample(range(1, count + 1), min(count // 10, 2000))))
        row("UID FLAGS of a random subset", b"FETCH %b (UID FLAGS)" % subset)
        row("ENVELOPE of all", b"FETCH 1:* (ENVELOPE)")
        row(
            "list view of all",
            b"FETCH 1:* (UID FLAGS RFC822.SIZE INTERNALDATE "
            b"BODY.PEEK[HEADER.FIELDS (FROM TO SUBJECT DATE)])",
        )
        middle = max(1, count // 2 - BODIES // 2)
        bodies = b"%d:%d" % (middle, middle + BODIES - 1)
        row("1,000 bodies", b"FETCH %b (BODY.PEEK[])" % bodies)
        row("SEARCH UNSEEN", b"SEARCH UNSEEN")
        row("SEARCH SUBJECT", b"SEARCH SUBJECT n77")
        row("SEARCH BODY", b"SEARCH BODY " + NEEDLE)


def store_all(server: Server, folder: str, turn: int) -> None:
    """Set and clear a flag on everything."""
    with Imap(server.imap, folder) as client:
        sign = b"+-"[turn % 2 :][:1]
        command = b"STORE 1:* %bFLAGS.SILENT (\\Draft)" % sign
        server.note("STORE on all", server.timed(lambda: client.ok(command)))


def login(server: Server) -> None:
    """Connect, LOGIN, SELECT, LOGOUT."""

    def once() -> None:
        with Imap(server.imap, "INBOX"):
            pass

    server.note("connect, LOGIN, SELECT, LOGOUT", server.timed(once))


def append(server: Server, count: int, connections: int) -> None:
    """APPEND mails one by one, by several clients at once; seconds of each, and per mail."""
    name = f"APPEND 10 KB, {connections} connection{'s' * (connections > 1)}"
    mails = [mail(n, MAIL_SIZE) for n in range(20)]
    with Imap(server.imap) as client:
        if b"Appended" not in client.ok(b'LIST "" Appended'):
            client.ok(b"CREATE Appended")

    def story() -> None:
        with Imap(server.imap) as client:
            for number in range(count // connections):
                octets = mails[number % len(mails)]
                server.note(
                    name, server.timed(lambda octets=octets: client.append("Appended", octets))
                )

    took = server.timed(lambda: _at_once(story, connections))
    server.note(f"{name}: whole", took / count)


def idle(server: Server, count: int) -> None:
    """From the OK of an APPEND on another connection to EXISTS in IDLE."""
    octets = mail(3, FILL_SIZE)
    with Imap(server.imap, "INBOX") as watcher, Imap(server.imap) as writer:
        for _ in range(count):
            tag = watcher.tag()
            watcher.socket.sendall(tag + b" IDLE\r\n")
            while not watcher.line().startswith(b"+"):
                pass
            time.sleep(0.05)
            writer.append("INBOX", octets)
            start = time.perf_counter()
            while not watcher.line().endswith(b"EXISTS"):
                pass
            server.note("IDLE wake-up", time.perf_counter() - start)
            watcher.socket.sendall(b"DONE\r\n")
            watcher.until(tag)


def submissions(server: Server, count: int, connections: int) -> None:
    """Submit mails of 10 KB; the clock stops when the recipient's INBOX has all of them."""
    name = f"submissions of 10 KB, {connections} connection{'s' * (connections > 1)}"
    octets = mail(5, MAIL_SIZE, server.sender)

    def story() -> None:
        client = Smtp(server.smtp)
        for _ in range(count // connections):
            send = server.timed(lambda: client.send(server.sender, server.recipient, octets))
            server.note(name, send)

    with Imap(server.inbox) as reader:
        wanted = reader.count("INBOX") + count // connections * connections
        start = time.perf_counter()
        _at_once(story, connections)
        while reader.count("INBOX") < wanted:
            time.sleep(0.01)
        server.note(f"{name}: whole", (time.perf_counter() - start) / count)


def resident_megabytes(server: Server, folder: str, sessions: int) -> int | None:
    """Memory of the serving process with a folder open in several sessions."""
    if server.pid is None:
        return None
    clients = [Imap(server.imap, folder) for _ in range(sessions)]
    for client in clients:
        client.ok(b"FETCH 1:* (UID FLAGS)")
    with open(f"/proc/{server.pid}/status") as status:
        kilobytes = next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
    for client in clients:
        client.socket.close()
    return kilobytes // 1024


def _at_once(story: Callable[[], None], clients: int) -> None:
    threads = [threading.Thread(target=story) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
