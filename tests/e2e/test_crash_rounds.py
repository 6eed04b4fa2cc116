"""kill -9, lost indexes and full disks in the middle of a mixed load: what was said stays true.

No acknowledged mail is lost, nothing is there twice, no UID means two mails, UIDVALIDITY stays.
What was not acknowledged may be there or not, but never in two places.
"""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest

from tests.support.demo import (
    RunningDemo,
    compose,
    eventually,
    is_gone,
    message_id_of,
    running_demo,
)
from tests.support.disks import full_disk, small_disk
from tests.support.imap_wire import ImapWire, imap_wire
from tests.support.smtp_wire import smtp_wire

pytestmark = [pytest.mark.daemons, pytest.mark.timeout(600)]

FOLDERS = ("INBOX", "Work", "Archive")
GONE = "gone"
RETRY_SECONDS = 0.05
DISK_MIB = 512
LOAD_SECONDS = 600.0
BROKEN = (OSError, EOFError, AssertionError)
"""What a client meets when the daemon dies under it, or says NO for a while."""


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDemo]:
    path = tmp_path_factory.mktemp("crashes")
    with running_demo(path, nodes=3, users="alice,bob") as running:
        yield running


class Numbers:
    """Every (folder, UIDVALIDITY, UID) that a client ever saw, and the mail that it meant."""

    def __init__(self) -> None:
        self._meaning: dict[tuple[str, int], str] = {}
        self._validity: dict[str, int] = {}
        self._next: dict[str, int] = {}

    def seen(self, folder: str, validity: int, uid: int, mail: str) -> None:
        assert self._validity.setdefault(folder, validity) == validity, f"UIDVALIDITY of {folder}"
        known = self._meaning.setdefault((folder, uid), mail)
        assert known == mail, f"UID {uid} of {folder} was {known}, is {mail}"

    def next_is(self, folder: str, uid_next: int) -> None:
        assert uid_next >= self._next.get(folder, 0), f"UIDNEXT of {folder} went back"
        self._next[folder] = uid_next


class Load:
    """A sender and an editor who go on whatever happens, and remember what was promised."""

    def __init__(self, demo: RunningDemo, numbers: Numbers, seed: int) -> None:
        self._demo = demo
        self._numbers = numbers
        self._random = Random(seed)
        self._stop = threading.Event()
        self.submitted: dict[str, bytes] = {}
        self.acknowledged: dict[str, bytes] = {}
        self.octets: dict[str, bytes] = {}
        self.places: dict[str, set[str]] = {}
        self.flagged: set[str] = set()
        self.promises = 0
        self.refusals = 0
        self.failures: list[BaseException] = []
        stories = (self._send, self._edit)
        self._threads = [threading.Thread(target=self._keep, args=(s,)) for s in stories]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=120)
            assert not thread.is_alive(), "a client hangs"

    def _keep(self, story: Callable[[], None]) -> None:
        while not self._stop.is_set():
            try:
                story()
            except UidMeansTwo as error:
                self.failures.append(error)
                return
            except BROKEN:
                self.refusals += 1
                self._stop.wait(RETRY_SECONDS)  # the daemon is away: come again

    def _send(self) -> None:
        with smtp_wire(self._demo.node("alice")) as wire:
            while not self._stop.is_set():
                size = self._random.choice((800, 5_000, 60_000))
                message_id, octets = compose("alice@example.org", ["bob@example.org"], size=size)
                self.submitted[message_id] = octets
                answer = wire.submit("alice@example.org", "bob@example.org", octets)
                if answer.code == 250:
                    self.acknowledged[message_id] = octets
                    self.promises += 1

    def _edit(self) -> None:
        with imap_wire(self._demo.node("bob")) as wire:
            wire.command(b"SELECT Work")
            while not self._stop.is_set():
                self._treat_one_mail(wire)

    def _treat_one_mail(self, wire: ImapWire) -> None:
        message_id, octets = compose("bob@example.org", ["bob@example.org"], size=3_000)
        self.octets[message_id] = octets
        places = self.places[message_id] = {"Work", GONE}
        validity, (uid,) = wire.append(b"Work", [octets])
        places.remove(GONE)
        self._promise(message_id, validity, uid)
        wire.command(b"UID STORE %d +FLAGS (\\Flagged)" % uid)
        self.flagged.add(message_id)
        self.promises += 1
        match self._random.randrange(3):
            case 0:
                places.add("Archive")
                wire.command(b"UID MOVE %d Archive" % uid)
                places.remove("Work")
            case 1:
                wire.command(b"UID STORE %d +FLAGS (\\Deleted)" % uid)
                places.add(GONE)
                wire.command(b"UID EXPUNGE %d" % uid)
                places.remove("Work")
        self.promises += 1

    def _promise(self, message_id: str, validity: int, uid: int) -> None:
        try:
            self._numbers.seen("Work", validity, uid, message_id)
        except AssertionError as error:
            raise UidMeansTwo(str(error)) from error
        self.promises += 1


class UidMeansTwo(Exception):  # noqa: N818
    """The one failure that the load itself notices."""


def look(demo: RunningDemo, numbers: Numbers) -> dict[str, list[tuple[str, bytes, bool]]]:
    """Read all of bob's folders: (Message-ID, octets, is it flagged) of every mail."""
    found = {}
    with imap_wire(demo.node("bob")) as wire:
        for folder in FOLDERS:
            responses = wire.command(b"EXAMINE " + folder.encode())
            text = b"".join(response for response, _ in responses)
            validity = int(re.search(rb"UIDVALIDITY (\d+)", text)[1])
            numbers.next_is(folder, int(re.search(rb"UIDNEXT (\d+)", text)[1]))
            flagged = wire.command(b"UID SEARCH FLAGGED")[0][0].split()[2:]
            mails = wire.fetch("1:*")
            for uid, octets in mails.items():
                numbers.seen(folder, validity, uid, message_id_of(octets))
            found[folder] = [
                (message_id_of(octets), octets, b"%d" % uid in flagged)
                for uid, octets in mails.items()
            ]
    return found


def check(demo: RunningDemo, load: Load, numbers: Numbers) -> int:
    """Compare what is there with what was promised; return how many mails were compared."""
    eventually(
        lambda: load.acknowledged.keys() <= {m for m, _, _ in look(demo, numbers)["INBOX"]},
        "every acknowledged mail",
        120,
        every=0.5,
    )
    found = look(demo, numbers)
    counts = Counter(mail for folder in FOLDERS for mail, _, _ in found[folder])
    assert set(counts.values()) <= {1}, "a mail is there twice"
    for mail, octets, _ in found["INBOX"]:
        assert load.submitted.get(mail, octets) == octets  # the demo itself has sent one
    where = {mail: folder for folder in FOLDERS for mail, _, _ in found[folder]}
    for mail, places in load.places.items():
        assert where.get(mail, GONE) in places, (mail, where.get(mail), places)
    for folder in ("Work", "Archive"):
        for mail, octets, is_flagged in found[folder]:
            assert load.octets.get(mail, octets) == octets  # others are of an earlier load
            assert is_flagged or mail not in load.flagged
    return len(counts)


Mishap = Callable[[RunningDemo, Load], None]


def kill(victim: str) -> Mishap:
    def happen(demo: RunningDemo, _load: Load) -> None:
        demo.kill(victim)
        restart(demo, victim)

    return happen


def lose_index(demo: RunningDemo, _load: Load) -> None:
    demo.kill("bob")
    for path in folder_of(demo).glob("index.db*"):
        path.unlink()
    restart(demo, "bob")


def fill_disk(demo: RunningDemo, load: Load) -> None:
    """Once there is room again it goes on by itself, or says that it stopped."""
    with full_disk(folder_of(demo)):
        wait_for_refusals(load, 3)
    pid = demo.node("bob")["pid"]
    eventually(lambda: is_gone(pid) or answers(demo), "bob to answer, or to have stopped", 60)
    if is_gone(pid):
        restart(demo, "bob")


def answers(demo: RunningDemo) -> bool:
    """Can one log in at bob's daemon? One that is about to stop takes no connections."""
    try:
        with imap_wire(demo.node("bob")):
            return True
    except OSError:
        return False


def kill_while_full(demo: RunningDemo, load: Load) -> None:
    with full_disk(folder_of(demo)):
        wait_for_refusals(load, 1)
        demo.kill("bob")
    restart(demo, "bob")


MISHAPS: dict[str, Mishap] = {
    "kill bob": kill("bob"),
    "kill alice": kill("alice"),
    "kill storage": kill("storage-1"),
    "lose index": lose_index,
    "fill disk": fill_disk,
    "kill while full": kill_while_full,
}


def restart(demo: RunningDemo, name: str) -> None:
    result = demo.restart(name)
    assert result.returncode == 0, result.stderr


def folder_of(demo: RunningDemo) -> Path:
    return Path(demo.node("bob")["data_dir"])


def wait_for_refusals(load: Load, count: int) -> None:
    enough = load.refusals + count
    eventually(lambda: load.refusals >= enough, "the disk to be full", 60)


def rounds(demo: RunningDemo, mishaps: Iterable[str], seed: int) -> str:
    """Let mishaps happen under load, one after the other; return what was done."""
    random, numbers = Random(seed), Numbers()
    with demo.imap("bob") as client:
        client.create("Work")
    happened: Counter[str] = Counter()
    with Load(demo, numbers, seed) as load:
        for mishap in mishaps:
            enough = load.promises + random.randrange(20, 80)
            eventually(lambda enough=enough: load.promises >= enough, "the load to go on", 120)
            MISHAPS[mishap](demo, load)
            happened[mishap] += 1
            look(demo, numbers)
        enough = load.promises + 20
        eventually(lambda: load.promises >= enough, "the load to go on after the last", 120)
    assert not load.failures
    compared = check(demo, load, numbers)
    return (
        f"{dict(happened)}: {load.promises} promises kept, "
        f"{len(load.acknowledged)} mails acknowledged, {compared} compared"
    )


def test_machines_that_are_killed_under_load_keep_every_promise(
    three: RunningDemo, tell: Callable[[object], None]
) -> None:
    tell(rounds(three, ("kill bob", "lose index", "kill alice"), seed=1))


def test_a_disk_that_is_full_for_a_while_under_load_costs_nothing_acknowledged(
    three: RunningDemo, tell: Callable[[object], None]
) -> None:
    with disk_of_bob(three):
        tell(rounds(three, ("fill disk", "kill while full"), seed=3))


@pytest.mark.long
@pytest.mark.timeout(3000)
def test_ten_minutes_of_mishaps_under_load_and_every_promise_is_kept(
    tmp_path: Path, tell: Callable[[object], None]
) -> None:
    with running_demo(tmp_path, nodes=3, users="alice,bob") as demo, disk_of_bob(demo):
        tell(rounds(demo, at_random(Random(2), LOAD_SECONDS), seed=2))


def at_random(random: Random, seconds: float) -> Iterator[str]:
    """Every kind of mishap once, then any, until the time is over."""
    yield from random.sample(sorted(MISHAPS), len(MISHAPS))
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield random.choice(sorted(MISHAPS))


@contextmanager
def disk_of_bob(demo: RunningDemo) -> Iterator[None]:
    """Give bob's machine a disk that can be filled; skips where that is not allowed."""
    demo.kill("bob")
    with small_disk(folder_of(demo), DISK_MIB):
        restart(demo, "bob")
        yield
        demo.kill("bob")
