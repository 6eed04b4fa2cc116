"""Every mail comes back to the octet: the corpus and generated ones, through real daemons.

By IMAP APPEND and FETCH BODY.PEEK[]; what IMAP cannot carry (NUL, and mails without an octet)
through the message store of a daemon; by SMTP what strict line ends and the From rule let pass.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.support.corpus import mails as corpus_mails
from tests.support.demo import RunningDemo, eventually, running_demo
from tests.support.imap_wire import ImapWire, imap_wire
from tests.support.odd_mails import OddMail, odd_mails
from tests.support.smtp_wire import Answer, smtp_wire

pytestmark = [pytest.mark.daemons, pytest.mark.timeout(600)]

BATCH_MAILS = 200
BATCH_BYTES = 16 * 2**20
SUBMITTING = 4
LINE_ENDS = "refused: line ends, NUL"
HEADERS = "refused: From and header rules"
_NOT_HERS = re.compile(
    rb"^(from|sender|(resent-)?bcc)[ \t]*:[^\n]*\n([ \t][^\n]*\n)*", re.IGNORECASE | re.MULTILINE
)
COLUMNS = ("mails", "IMAP", "store", "SMTP", LINE_ENDS, HEADERS)


class Tally:
    """How many mails of each class took which way."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[str]] = {}

    def add(self, mails: Sequence[OddMail], column: str) -> None:
        for mail in mails:
            self._counts.setdefault(mail.kind, Counter())[column] += 1

    def total(self, column: str) -> int:
        return sum(counts[column] for counts in self._counts.values())

    def table(self, title: str) -> str:
        """Return the counts for people, a line for each class."""
        rows = [(kind, *(c[column] for column in COLUMNS)) for kind, c in self._counts.items()]
        rows.append(("all", *(self.total(column) for column in COLUMNS)))
        lines = [f"\n{title}", f"{'':32}" + "".join(f"{c:>{len(c) + 3}}" for c in COLUMNS)]
        lines += [
            f"{kind:32}" + "".join(f"{n:>{len(c) + 3}}" for c, n in zip(COLUMNS, row, strict=True))
            for kind, *row in rows
        ]
        return "\n".join(lines)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDemo]:
    with running_demo(tmp_path_factory.mktemp("alone"), nodes=1, users="alice") as running:
        yield running


def corpus() -> list[OddMail]:
    """Return the corpus; its classes are its folders."""
    return [OddMail(f"corpus: {Path(name).parts[0]}"[:31], octets) for name, octets in _named()]


def _named() -> Iterator[tuple[str, bytes]]:
    folder = "-"
    for name, octets in corpus_mails():
        folder = name.partition("/")[0] if "/" in name else folder  # members of a mailbox
        yield folder, octets


def rewritten(mails: Sequence[OddMail]) -> list[OddMail]:
    """Return mails of others as alice's own program would send them: strict lines, From alice."""
    return [OddMail("corpus, rewritten for SMTP", as_from_alice(mail.octets)) for mail in mails]


def as_from_alice(octets: bytes) -> bytes:
    lines = re.split(rb"\r\n|\r|\n", octets)
    end = lines.index(b"") if b"" in lines else len(lines)
    fields = re.sub(_NOT_HERS, b"", b"".join(line + b"\r\n" for line in lines[:end]))
    return b"From: alice@example.org\r\n" + fields + b"\r\n".join(lines[end:])


def imap_can_carry(octets: bytes) -> bool:
    return bool(octets) and b"\0" not in octets


def test_every_mail_comes_back_to_the_octet(
    alone: RunningDemo, tmp_path: Path, tell: Callable[[object], None]
) -> None:
    mails = [*corpus(), *rewritten(corpus())[::4], *odd_mails(1000)]
    tally = round_trip(alone, "alice", mails, tmp_path)
    tell(tally.table("Octets, one node: the corpus and 1,000 generated mails"))


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_the_corpus_and_ten_thousand_mails_come_back_to_the_octet(
    alone: RunningDemo, tmp_path: Path, tell: Callable[[object], None]
) -> None:
    mails = [*corpus(), *rewritten(corpus()), *odd_mails(10_000, seed=2)]
    tally = round_trip(alone, "alice", mails, tmp_path)
    tell(tally.table("Octets, one node: the corpus and 10,000 generated mails"))
    assert tally.total("mails") >= 10_000


def test_mails_come_back_to_the_octet_from_another_machine(
    tmp_path: Path, tell: Callable[[object], None]
) -> None:
    mails = [*corpus()[::10], *rewritten(corpus())[::20], *odd_mails(105, seed=3)]
    tally = Tally()
    tally.add(mails, "mails")
    with running_demo(tmp_path, nodes=3, users="alice,bob") as three:
        append_and_fetch(three, "alice", [m for m in mails if imap_can_carry(m.octets)], tally)
        submit_and_fetch(three, "alice", "bob", mails, tally)
    tell(tally.table("Octets, three nodes: a part of them, from alice to bob"))


def round_trip(demo: RunningDemo, user: str, mails: Sequence[OddMail], folder: Path) -> Tally:
    """Send every mail on every way it may take; returns the counts."""
    tally = Tally()
    tally.add(mails, "mails")
    carried = [m for m in mails if imap_can_carry(m.octets)]
    stored = [m for m in mails if not imap_can_carry(m.octets)]
    append_and_fetch(demo, user, carried, tally)
    assert asyncio.run(stored_and_fetched(folder, [m.octets for m in stored])) == [
        m.octets for m in stored
    ]
    tally.add(stored, "store")
    submit_and_fetch(demo, user, user, mails, tally)
    assert tally.total("IMAP") + tally.total("store") == tally.total("mails")
    return tally


def append_and_fetch(demo: RunningDemo, user: str, mails: Sequence[OddMail], tally: Tally) -> None:
    """By IMAP, many in one command."""
    with imap_wire(demo.node(user)) as wire:
        appended: dict[int, OddMail] = {}
        for batch in batches(mails):
            _, uids = wire.append(b"Drafts", [mail.octets for mail in batch])
            appended |= dict(zip(uids, batch, strict=True))
        assert len(appended) == len(mails)
        wire.command(b"EXAMINE Drafts")
        for batch in batches(list(appended.items())):
            uids = [uid for uid, _ in batch]
            found = wire.fetch(f"{uids[0]}:{uids[-1]}")
            for uid, mail in batch:
                assert found[uid] == mail.octets, (mail.kind, mail.octets[:200])
            tally.add([mail for _, mail in batch], "IMAP")


def batches(items: Sequence[object]) -> Iterator[list]:
    """Cut a list of mails (or of pairs with a UID) by number and by octets."""
    batch, size = [], 0
    for item in items:
        mail = item if isinstance(item, OddMail) else item[1]
        if len(batch) == BATCH_MAILS or size + len(mail.octets) > BATCH_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += len(mail.octets)
    if batch:
        yield batch


def submit_and_fetch(
    demo: RunningDemo, sender: str, reader: str, mails: Sequence[OddMail], tally: Tally
) -> None:
    """By SMTP; what is accepted is read by IMAP, each once."""
    with imap_wire(demo.node(reader)) as wire:
        before = inbox_digests(wire)
        answers = submit_all(demo, sender, reader, mails)
        taken = [mail for mail, answer in zip(mails, answers, strict=True) if answer.code == 250]
        expected = before + Counter(map(digest, (mail.octets for mail in taken)))
        eventually(lambda: inbox_size(wire) >= expected.total(), "all mails submitted", 120)
        assert inbox_digests(wire) == expected
    tally.add(taken, "SMTP")
    for mail, answer in zip(mails, answers, strict=True):
        if answer.code != 250:
            tally.add([mail], why_refused(mail, answer))
    assert tally.total("SMTP") + tally.total(LINE_ENDS) + tally.total(HEADERS) == len(mails)
    assert tally.total("SMTP") >= len(mails) // 8


def submit_all(
    demo: RunningDemo, sender: str, reader: str, mails: Sequence[OddMail]
) -> list[Answer]:
    """Submit over a few connections at once; return the answers in the order of the mails."""
    node, addresses = demo.node(sender), (demo.address(sender), demo.address(reader))

    def submit_some(first: int) -> list[Answer]:
        with smtp_wire(node) as wire:
            return [wire.submit(*addresses, mail.octets) for mail in mails[first::SUBMITTING]]

    answers: list[Answer] = [Answer(0, "")] * len(mails)
    with ThreadPoolExecutor(SUBMITTING) as pool:
        for first, some in enumerate(pool.map(submit_some, range(SUBMITTING))):
            answers[first::SUBMITTING] = some
    return answers


def why_refused(mail: OddMail, answer: Answer) -> str:
    """Return the column of a refusal; every other refusal than by these two rules fails."""
    if answer.text.startswith("5.6.0"):
        pairs = mail.octets.count(b"\r\n")
        has_lines = mail.octets.count(b"\n") == mail.octets.count(b"\r") == pairs
        assert not has_lines or b"\0" in mail.octets, mail.octets[:200]
        return LINE_ENDS
    assert answer.text.startswith("5.7.1"), (answer, mail.kind, mail.octets[:200])
    return HEADERS


def inbox_size(wire: ImapWire) -> int:
    (text, _), *_ = wire.command(b"STATUS INBOX (MESSAGES)")
    return int(text.rpartition(b"MESSAGES ")[2].partition(b")")[0])


def inbox_digests(wire: ImapWire) -> Counter[bytes]:
    """Return how often each mail lies in the INBOX."""
    wire.command(b"EXAMINE INBOX")
    found: Counter[bytes] = Counter()
    (text, _), *_ = wire.command(b"UID SEARCH ALL")
    uids = [int(uid) for uid in text.split()[2:]]
    for first in range(0, len(uids), BATCH_MAILS):
        some = uids[first : first + BATCH_MAILS]
        found.update(map(digest, wire.fetch(f"{some[0]}:{some[-1]}").values()))
    return found


def digest(octets: bytes) -> bytes:
    return hashlib.sha256(octets).digest()


async def stored_and_fetched(folder: Path, mails: Sequence[bytes]) -> list[bytes]:
    """Put mails into the message store of a real daemon, run in this process, and get them back."""
    from epost.apps.mail.mail_store import MailStore
    from epost.apps.mail.mime.structure import parse_structure
    from epost.apps.mail.ports import in_the_loop
    from epost.daemon.demo.state import free_ports
    from epost.daemon.folder import NodeFolder
    from epost.daemon.joining.membership import found_organisation
    from epost.daemon.joining.new_machine import NewMachine
    from epost.daemon.process import Daemon

    ring, enrolment = (f"127.0.0.1:{port}" for port in free_ports(2))
    data_dir = folder / "node"
    machine = NewMachine(data_dir, ring)
    await found_organisation(
        "example.org", "alice", machine, folder / "authority", enrol_listen=enrolment
    )
    node = NodeFolder(data_dir)
    async with AsyncExitStack() as stack:
        daemon = Daemon(node, node.read_config(), stack)
        await daemon.start()
        assert daemon.node.post is not None
        messages = daemon.node.post.services.messages
        put = [await MailStore(messages, in_the_loop).put(m, parse_structure(m)) for m in mails]
        reader = MailStore(messages, in_the_loop)  # another one: nothing is remembered
        return [await reader.get(mail.content) for mail in put]
