"""Two devices of one account: whatever they do, and in whatever order it is read, they agree."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from epost.apps.mail.index import FolderRow, IndexState, MailFacts
from epost.apps.mail.log import fold
from epost.apps.mail.log.fold import DEFAULT_FOLDERS, INBOX_ID, FolderState
from epost.apps.mail.log.folding import Folding, new_folder_row
from epost.apps.mail.log.records import (
    FIRST,
    Annotate,
    ChangeFlags,
    CopiedMail,
    Copy,
    CreateFolder,
    DeleteFolder,
    Expunge,
    Inline,
    Insert,
    ModseqRange,
    Move,
    Numbering,
    Record,
    RenameFolder,
    Save,
    Stamp,
    Stay,
    Subscribe,
    UidRange,
    UidValidity,
)
from epost.apps.mail.mailbox import DELETED, SEEN
from epost.simulation.mail_index import SimulatedMailIndex

MAILS = [b"mail %010d " % number for number in range(4)]
COPIES = [b"copy %010d " % number for number in range(4)]
FOLDERS = [INBOX_ID, fold.first_folder_id("Trash"), b"folder-a" * 2, b"folder-b" * 2]
FLAGS = [SEEN, DELETED, "$Work", "$WORK"]
US, THEM = 1, 2
Numbered = tuple[bytes, int]
"""A folder and a UID."""

names = st.lists(st.sampled_from(MAILS + COPIES), min_size=1, max_size=3, unique=True).map(tuple)
flags = st.lists(st.sampled_from(FLAGS), max_size=2, unique=True).map(tuple)
folders = st.sampled_from(FOLDERS)
stamps = st.builds(Stamp, st.integers(1, 6), st.just(0))
titles = st.sampled_from(["Work", "Labour", "INBOX"])


def insertion(email: bytes, folder: bytes, seconds: int) -> Insert:
    return Insert(email, folder, (), seconds, 0, 3, Inline(email[:3]))


deeds = st.one_of(
    st.builds(insertion, st.sampled_from(MAILS), folders, st.integers(1, 3)),
    st.builds(ChangeFlags, stamps, names, flags, flags),
    st.builds(Move, stamps, names, folders),
    st.builds(
        lambda of, number, folder, these: Copy(
            (CopiedMail(of, COPIES[MAILS.index(of)], these),), folder
        ),
        st.sampled_from(MAILS),
        st.integers(0, 3),
        st.just(FOLDERS[2]),
        st.just((SEEN,)),
    ),
    st.builds(Expunge, names),
    st.builds(CreateFolder, stamps, st.sampled_from(FOLDERS[2:]), titles, st.just("")),
    st.builds(RenameFolder, stamps, st.sampled_from(FOLDERS[2:]), titles),
    st.builds(DeleteFolder, st.sampled_from(FOLDERS[2:])),
    st.builds(Subscribe, stamps, titles, st.booleans()),
    st.builds(
        Annotate,
        stamps,
        st.sampled_from([b"", FOLDERS[2]]),
        st.sampled_from(["/private/a", "/PRIVATE/A"]),
        st.sampled_from([(), (b"1",), (b"2",)]),
    ),
    st.builds(Save, folders, st.just(FIRST) | stamps, st.integers(1, 3), names),
)


def done_by(device: int, record: Record) -> Record:
    """The record with its stamp made out to a device, as its journal does."""
    stamp = getattr(record, "stamp", None)
    if stamp is None:
        return record
    return msgspec.structs.replace(record, stamp=Stamp(stamp.lamport, device))


histories = st.tuples(st.lists(deeds, max_size=8), st.lists(deeds, max_size=8)).map(
    lambda both: (
        [done_by(US, record) for record in both[0]],
        [done_by(THEM, record) for record in both[1]],
    )
)


@dataclass
class Device:
    """A device's index, folded from the logs of both; what the ledger is, without waiting."""

    index: SimulatedMailIndex = field(default_factory=SimulatedMailIndex)
    state: IndexState = field(default_factory=lambda: IndexState(b"n" * 16, 0, modseq_next=2))
    applied: int = 0

    def __post_init__(self) -> None:
        self.folders = {f.folder: new_folder_row(f, 2) for f in DEFAULT_FOLDERS}

    def annotations(self) -> dict[bytes, dict[str, fold.Annotation]]:
        notes: dict[bytes, dict[str, fold.Annotation]] = {}
        for note in self.index.annotations():
            notes.setdefault(note.folder, {})[note.key[1]] = note
        return notes

    def read(self, *entries: tuple[int, Record]) -> None:
        """Fold some records, each with the device that wrote it, in one slice."""
        with self.slice_of(len(entries)) as folding:
            for writer, record in entries:
                folding.apply(record, is_own=writer == US)

    @contextmanager
    def slice_of(self, count: int) -> Iterator[Folding]:
        """Fold a slice with so many records of the logs, as the ledger does."""
        folding = Folding(
            self.index,
            state=self.state,
            folders=self.folders,
            subscriptions={entry.name: entry for entry in self.index.subscriptions()},
            annotations=self.annotations(),
            prepared={},
            open_notice=lambda signed: signed,
        )
        yield folding
        self.applied += count
        folded = folding.finish(self.applied)
        self.index.commit(folded.batch)
        self.state = folded.batch.state
        self.folders.update((row.state.folder, row) for row in folded.batch.folders)

    def can_do(self, record: Record) -> bool:
        """A device moves and copies only what it has; read from a log, that may come before."""
        match record:
            case Copy():
                return {copied.email for copied in record.mails} <= self.index.facts(MAILS).keys()
            case Move():
                known = self.index.placements(record.placements)
                return all(name in known and known[name][0].email for name in record.placements)
            case _:
                return True

    def adoption(self) -> list[Record]:
        """What this device logs to number mails that the other one put into folders."""
        stays: dict[bytes, list[Stay]] = {}
        for placement in self.index.unnumbered(100):
            stays.setdefault(placement.folder, []).append(Stay(placement.name, placement.since))
        return [UidRange(folder, tuple(some)) for folder, some in stays.items()]

    def places(self) -> dict[bytes, object]:
        known = self.index.placements([*MAILS, *COPIES])
        return {
            name: msgspec.structs.replace(placement, number=None)
            for name, (placement, _) in known.items()
        }

    def shown(self) -> dict[tuple[bytes, int], object]:
        rows = [row for folder in FOLDERS for row in self.index.folder_rows(folder, 0, 100)]
        return {
            (row.placement.folder, row.placement.uid): (
                row.placement.name,
                row.placement.set_flags,
                without_position(row.facts),
            )
            for row in rows
        }

    def facts(self) -> dict[bytes, MailFacts]:
        known = self.index.facts(MAILS)
        return {email: without_position(facts) for email, facts in known.items()}

    def sums(self) -> dict[bytes, tuple[int, ...]]:
        return {name: _sums(row) for name, row in self.folders.items() if row.messages}

    def folder_states(self) -> dict[bytes, FolderState]:
        return {name: row.state for name, row in self.folders.items() if row.state.name}


def without_position(facts: MailFacts) -> MailFacts:
    """The position says in which order this index heard of mails, nothing of the mails."""
    return msgspec.structs.replace(facts, position=0)


def _sums(row: FolderRow) -> tuple[int, ...]:
    return row.messages, row.unseen, row.deleted, row.size


def interleaved(
    ours: Sequence[Record], theirs: Sequence[Record], order: Sequence[bool]
) -> Iterator[tuple[int, Record]]:
    """Both logs as one stream; each keeps its own order."""
    first, second = list(ours), list(theirs)
    for is_ours in order:
        if is_ours and first:
            yield US, first.pop(0)
        elif second:
            yield THEM, second.pop(0)
    yield from ((US, record) for record in first)
    yield from ((THEM, record) for record in second)


orders = st.lists(st.booleans(), max_size=16)
NUMBERED: list[Record] = [
    Numbering(b"n" * 16),
    ModseqRange(1 << 20),
    *(UidValidity(folder, 100 + place) for place, folder in enumerate(FOLDERS)),
]


@given(histories, orders, orders, st.integers(1, 20), st.integers(1, 20))
@settings(max_examples=300, deadline=None)
def test_any_interleaving_gives_the_same_folders(
    logs: tuple[list[Record], list[Record]],
    order: list[bool],
    other_order: list[bool],
    slice_length: int,
    other_slice_length: int,
) -> None:
    outcomes = []
    for this_order, length in ((order, slice_length), (other_order, other_slice_length)):
        device = Device()
        entries = list(interleaved(*logs, this_order))
        for at in range(0, len(entries), length):
            device.read(*entries[at : at + length])
        outcomes.append(device)
    one, other = outcomes
    assert one.places() == other.places()
    assert one.folder_states() == other.folder_states()
    assert {s.name: s for s in one.index.subscriptions()} == {
        s.name: s for s in other.index.subscriptions()
    }
    assert one.facts() == other.facts()


@given(histories)
@settings(max_examples=200, deadline=None)
def test_reading_a_log_twice_changes_nothing(logs: tuple[list[Record], list[Record]]) -> None:
    once, twice = Device(), Device()
    for device in (once, twice):
        device.read(*((US, record) for record in NUMBERED))
        for record in logs[0]:
            device.read((US, record))
    for record in logs[0]:
        twice.read((US, record))
    assert once.places() == twice.places()
    assert {key: value[0] for key, value in once.shown().items()} == {
        key: value[0] for key, value in twice.shown().items()
    }


@given(histories, orders, orders, st.lists(st.booleans(), min_size=16, max_size=16))
@settings(max_examples=300, deadline=None)
def test_a_rebuilt_index_gives_every_mail_the_uid_it_had(
    logs: tuple[list[Record], list[Record]],
    order: list[bool],
    other_order: list[bool],
    adopts: list[bool],
) -> None:
    live, our_log = Device(), list(NUMBERED)
    live.read(*((US, record) for record in NUMBERED))
    uids_given: set[tuple[bytes, int]] = set()

    def log_and_read(records: Sequence[Record]) -> None:
        our_log.extend(records)
        before = live.shown().keys()
        live.read(*((US, record) for record in records))
        _require_ascending(before, live.shown().keys(), uids_given)

    for (writer, record), adopts_now in zip(
        interleaved(*logs, order), [*adopts, *adopts], strict=False
    ):
        if writer == THEM:
            live.read((THEM, record))
        elif live.can_do(record):
            log_and_read([record])
        if adopts_now:
            log_and_read(live.adoption())
    log_and_read(live.adoption())

    rebuilt = Device()
    for entry in interleaved(our_log, logs[1], other_order):
        rebuilt.read(entry)
    assert not live.adoption()
    assert not rebuilt.adoption()
    assert rebuilt.shown() == live.shown()
    assert rebuilt.sums() == live.sums()


def _require_ascending(
    before: Collection[Numbered], after: Collection[Numbered], given_ever: set[Numbered]
) -> None:
    """New mails get UIDs above all that their folder ever had (RFC 3501 2.3.1.1)."""
    new = set(after) - set(before)
    for folder, uid in new:
        assert all(uid > other for where, other in given_ever - new if where == folder)
    given_ever |= set(after)


@given(histories, orders)
@settings(max_examples=200, deadline=None)
def test_the_sums_of_a_folder_are_those_of_its_mails(
    logs: tuple[list[Record], list[Record]], order: list[bool]
) -> None:
    device = Device()
    device.read(*((US, record) for record in NUMBERED))
    for entry in interleaved(*logs, order):
        device.read(entry)
        device.read(*((US, record) for record in device.adoption()))
    for folder in FOLDERS:
        rows = device.index.folder_rows(folder, 0, 100)
        marks = [row.placement.set_flags for row in rows]
        expected = (
            len(rows),
            sum(SEEN not in mark for mark in marks),
            sum(DELETED in mark for mark in marks),
            sum(row.facts.size for row in rows),
        )
        row = device.folders.get(folder)
        assert expected == (_sums(row) if row else (0, 0, 0, 0))
