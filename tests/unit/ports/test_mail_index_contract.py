"""What both mail indexes promise: the encrypted one on disk and its simulated twin."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import astuple, replace
from pathlib import Path

import msgspec
import pytest

from epost.apps.mail.index import (
    Batch,
    FolderRow,
    IndexState,
    MailFacts,
    MailIndex,
    Rendition,
    RowColumns,
)
from epost.apps.mail.log.fold import (
    FIRST,
    Annotation,
    FlagState,
    FolderState,
    Number,
    Placement,
    Saved,
    Subscription,
)
from epost.apps.mail.log.records import Inline, Stamp, Stored
from epost.apps.mail.mailbox import SEEN, MailTime, Rendered, TextMatch, TextPlace
from epost.daemon.mail_index.index import open_mail_index
from epost.post.storage.references import Reference, Secrecy
from epost.simulation.mail_index import SimulatedMailIndex
from tests.support.mail import Recorder

INBOX, WORK = b"i" * 16, b"w" * 16
STATE = IndexState(b"n" * 16, 7, applied=3)
DATE = MailTime(1000, 60)

Open = Callable[[], MailIndex]


@pytest.fixture(params=["sqlite", "simulated"])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens the one index of a test (again)."""
    opened: list[MailIndex] = []
    simulated = SimulatedMailIndex()

    def open_it() -> MailIndex:
        for index in opened:
            index.close()
        is_real = request.param == "sqlite"
        opened[:] = [
            open_mail_index(tmp_path / "mail.db", bytes(32), Recorder()) if is_real else simulated
        ]
        return opened[0]

    yield open_it
    for index in opened:
        index.close()


@pytest.fixture
def index(reopen: Open) -> MailIndex:
    return reopen()


def name(number: int) -> bytes:
    return number.to_bytes(16, "big")


def place(number: int, uid: int = 0, *, folder: bytes = INBOX, flags: str = "") -> Placement:
    states = (FlagState(Stamp(1, 1), True, flags),) if flags else ()
    numbered = Number(folder, FIRST, uid) if uid else None
    return Placement(name(number), name(number), folder, FIRST, states, number=numbered)


def mail(number: int, size: int = 10) -> tuple[MailFacts, Inline]:
    return MailFacts(name(number), size, DATE, position=number), Inline(b"octets %d" % number)


def rendition(subject: str = "lunch", body: str = "at noon") -> Rendition:
    forms = Rendered(b"envelope", b"body", b"bodystructure")
    return Rendition(forms, b"Header: 1\r\n\r\n", MailTime(5, -90), f"subject: {subject}\n", body)


def fill(index: MailIndex, *places: Placement, modseq: int = 2) -> None:
    numbers = [int.from_bytes(placement.name, "big") for placement in places]
    index.commit(
        Batch(
            STATE,
            mails=[mail(number) for number in numbers],
            placements=[(placement, modseq) for placement in places],
        )
    )


def test_a_new_index_is_empty(index: MailIndex) -> None:
    assert index.state() is None
    assert not index.folders()
    assert not index.subscriptions()
    assert not index.placements([name(1)])
    assert not index.facts([])
    assert not index.folder_rows(INBOX, 0, 10)
    assert index.content(name(1)) is None


def test_what_was_committed_is_there_after_opening_again(reopen: Open) -> None:
    index = reopen()
    row = FolderRow(FolderState(INBOX, "INBOX"), uid_validity=9, messages=1)
    subscription = Subscription("INBOX", FIRST, True)
    note = Annotation(INBOX, "/private/Comment", FIRST, (b"a\0",))
    index.commit(
        Batch(
            STATE,
            mails=[mail(1)],
            renditions=[(name(1), rendition())],
            placements=[(place(1, 1, flags="\\Flagged"), 5)],
            folders=[row],
            subscriptions=[subscription],
            annotations=[note, msgspec.structs.replace(note, folder=b"", value=())],
            vanished=[(INBOX, 4, 77)],
        )
    )
    again = reopen()
    assert again.state() == STATE
    assert list(again.folders()) == [row]
    assert list(again.subscriptions()) == [subscription]
    assert note in again.annotations()
    assert len(again.annotations()) == 2
    assert again.placements([name(1)]) == {name(1): (place(1, 1, flags="\\Flagged"), 5)}
    assert again.content(name(1)) == Inline(b"octets 1")
    assert again.vanished(INBOX, 3) == [77]


def test_a_later_batch_replaces_what_it_names_and_leaves_the_rest(index: MailIndex) -> None:
    index.commit(Batch(STATE, folders=[FolderRow(FolderState(INBOX, "a"))]))
    index.commit(Batch(STATE, folders=[FolderRow(FolderState(WORK, "b"))]))
    index.commit(Batch(STATE, folders=[FolderRow(FolderState(INBOX, "c"))]))
    assert {row.state.name for row in index.folders()} == {"b", "c"}


def test_rows_of_a_folder_come_by_uid_and_only_those_with_one(index: MailIndex) -> None:
    fill(index, place(3, 30), place(1, 10), place(2), place(4, 5, folder=WORK), place(5, 20))
    rows = index.folder_rows(INBOX, 0, 10)
    assert [row.placement.uid for row in rows] == [10, 20, 30]
    assert [row.placement.uid for row in index.folder_rows(INBOX, 10, 1)] == [20]
    assert rows[0].facts == MailFacts(name(1), 10, DATE, position=1)
    assert rows[0].modseq == 2


def test_a_place_that_moves_is_in_its_new_folder_only(index: MailIndex) -> None:
    fill(index, place(1, 10), place(2, 11))
    fill(index, place(1, 4, folder=WORK), modseq=3)
    assert [row.placement.uid for row in index.folder_rows(INBOX, 0, 10)] == [11]
    assert [row.placement.uid for row in index.folder_rows(WORK, 0, 10)] == [4]


def test_a_place_whose_mail_is_unknown_shows_nowhere(index: MailIndex) -> None:
    index.commit(Batch(STATE, placements=[(place(1, 1), 2), (place(2), 2)]))
    assert not index.folder_rows(INBOX, 0, 10)
    assert not index.unnumbered(10)
    index.commit(Batch(STATE, mails=[mail(1), mail(2)]))
    assert [row.placement.name for row in index.folder_rows(INBOX, 0, 10)] == [name(1)]
    assert [placement.name for placement in index.unnumbered(10)] == [name(2)]


def test_flags_change_without_anything_else(index: MailIndex) -> None:
    fill(index, place(1, 1), place(2, 2))
    read = place(1, 1, flags=SEEN)
    index.commit(Batch(STATE, flagged=[(read, 9)]))
    (seen, unseen) = index.folder_rows(INBOX, 0, 10)
    assert seen.placement.set_flags == {SEEN}
    assert (seen.modseq, unseen.modseq) == (9, 2)


def test_a_number_is_given_without_anything_else(index: MailIndex) -> None:
    fill(index, place(1), place(2), place(3, 1))
    index.commit(Batch(STATE, numbered=[(place(1, 2), 9)]))
    assert [row.placement.uid for row in index.folder_rows(INBOX, 0, 10)] == [1, 2]
    assert index.placements([name(1)]) == {name(1): (place(1, 2), 9)}
    assert [placement.name for placement in index.unnumbered(9)] == [name(2)]
    assert index.count_from(INBOX, 1) == 2


def test_an_expunged_place_is_gone_from_its_folder(index: MailIndex) -> None:
    fill(index, place(1, 1))
    fill(index, msgspec.structs.replace(place(1, 1), is_expunged=True))
    assert not index.folder_rows(INBOX, 0, 10)
    assert not index.unnumbered(10)
    assert index.placements([name(1)])[name(1)][0].is_expunged


def test_places_of_a_mail_are_found_in_the_order_in_which_they_came(index: MailIndex) -> None:
    copy = msgspec.structs.replace(place(9, 1, folder=WORK), email=name(1))
    index.commit(Batch(STATE, mails=[mail(1)], placements=[(place(1, 1), 2), (copy, 2)]))
    assert list(index.places_of([name(1)])) == [name(1), name(9)]
    assert not index.places_of([name(2)])


def test_mails_without_uid_wait_in_the_order_in_which_they_came(index: MailIndex) -> None:
    fill(index, place(5), place(3), place(4, 1), place(1))
    assert [placement.name for placement in index.unnumbered(2)] == [name(5), name(3)]
    fill(index, place(5, 2))
    assert [placement.name for placement in index.unnumbered(9)] == [name(3), name(1)]


def test_mails_without_rendition_wait_and_can_be_passed_over(index: MailIndex) -> None:
    fill(index, place(1), place(2), place(3))
    index.commit(Batch(STATE, renditions=[(name(1), rendition())]))
    waiting = index.unrendered(10)
    assert [email for _, email in waiting] == [name(2), name(3)]
    assert [email for _, email in index.unrendered(10, waiting[0][0])] == [name(3)]
    assert len(index.unrendered(1)) == 1


def test_a_mail_that_is_in_no_folder_any_more_is_told_from_the_others(index: MailIndex) -> None:
    gone = msgspec.structs.replace(place(1, 1), is_expunged=True)
    fill(index, gone, place(2), place(3, 1))
    first, second, third = (Inline(b"octets %d" % n) for n in (1, 2, 3))
    kept = index.contents_of_mails(10, in_folders=True)
    assert kept == [(1, None), (2, second), (3, third)]
    assert index.contents_of_mails(10, in_folders=False) == [(1, first), (2, None), (3, None)]
    assert index.contents_of_mails(1, 1, in_folders=True) == kept[1:2]
    assert index.contents_of_mails(1, 1, in_folders=False) == [(2, None)]
    assert index.contents_of_mails(10, 3, in_folders=True) == []
    assert [email for _, email in index.unrendered(10)] == [name(2), name(3)]
    copied = msgspec.structs.replace(place(9), email=name(1))
    index.commit(Batch(STATE, placements=[(copied, 1)]))
    assert index.contents_of_mails(1, in_folders=True) == [(1, first)], "it is in another folder"


def test_a_rendition_gives_its_forms_and_when_the_mail_was_sent(index: MailIndex) -> None:
    fill(index, place(1, 1), place(2, 2))
    index.commit(Batch(STATE, renditions=[(name(1), rendition())]))
    assert index.envelopes([1, 2]) == {1: b"envelope"}
    assert index.structures([1, 2]) == {1: (b"body", b"bodystructure")}
    assert index.headers([1, 2]) == {1: b"Header: 1\r\n\r\n"}
    assert index.facts([name(1)])[name(1)].sent == MailTime(5, -90)
    assert [row.facts.sent for row in index.folder_rows(INBOX, 0, 9)] == [MailTime(5, -90), None]


def test_columns_of_a_folder_say_what_its_rows_say(index: MailIndex) -> None:
    unset = FlagState(Stamp(3, 1), False, SEEN)
    unseen = msgspec.structs.replace(place(4, 7), flags=(unset,), saved=Saved(FIRST, INBOX, 5))
    fill(index, place(1, 1), place(2, 2, flags=SEEN), place(3, 5, flags="x"), unseen)
    index.commit(Batch(STATE, renditions=[(name(1), rendition())]))
    for after, limit in ((0, 10), (0, 2), (2, 2), (7, 1)):
        columns = index.folder_columns(INBOX, after, limit)
        rows = RowColumns.of(index.folder_rows(INBOX, after, limit))
        assert [*map(list, astuple(columns))] == [*map(list, astuple(rows))]
    assert list(index.folder_columns(INBOX, 0, 10).flags) == [set(), {SEEN}, {"x"}, set()]


def test_a_long_header_and_an_unreadable_date_are_kept_as_missing(index: MailIndex) -> None:
    fill(index, place(1, 1))
    bare = Rendition(rendition().rendered, None, None, "", "")
    index.commit(Batch(STATE, renditions=[(name(1), bare)]))
    assert index.headers([1]) == {1: None}
    assert index.facts([name(1)])[name(1)].sent is None
    assert not index.unrendered(10)


def test_facts_written_again_keep_the_rendition(index: MailIndex) -> None:
    fill(index, place(1, 1))
    index.commit(Batch(STATE, renditions=[(name(1), rendition())]))
    index.commit(
        Batch(STATE, mails=[(MailFacts(name(1), 9, MailTime(1), position=1), Inline(b""))])
    )
    assert index.facts([name(1)])[name(1)] == MailFacts(
        name(1), 9, MailTime(1), sent=MailTime(5, -90), position=1
    )
    assert not index.unrendered(10)


def test_contents_come_back_whatever_their_kind(index: MailIndex) -> None:
    reference = Reference(bytes(32), bytes(32), Secrecy.UNIQUE, 0, 5)
    stored = Stored(reference, (reference, reference))
    facts = MailFacts(name(1), 5, DATE, position=1)
    index.commit(Batch(STATE, mails=[(facts, stored), mail(2)]))
    assert index.contents([1, 2, 3]) == {1: stored, 2: Inline(b"octets 2")}
    assert index.content(name(1)) == stored
    assert index.content(name(2)) == Inline(b"octets 2")


@pytest.mark.parametrize(
    ("match", "found"),
    [
        (TextMatch(TextPlace.BODY, "NOON"), {1}),
        (TextMatch(TextPlace.BODY, "lunch"), set()),
        (TextMatch(TextPlace.TEXT, "Lunch"), {1}),
        (TextMatch(TextPlace.TEXT, "SWEDEN"), {2}),
        (TextMatch(TextPlace.HEADER, "lunch", "subject"), {1}),
        (TextMatch(TextPlace.HEADER, "lunch", "from"), set()),
        (TextMatch(TextPlace.HEADER, "", "subject"), {1, 2}),
        (TextMatch(TextPlace.HEADER, "LUN", "subject"), {1}),
        (TextMatch(TextPlace.HEADER, "lunch\n", "subject"), set()),
        (TextMatch(TextPlace.HEADER, "lunch", "x-mood"), set()),
        (TextMatch(TextPlace.HEADER, "", "from"), set()),
    ],
)
def test_texts_are_found_without_case(index: MailIndex, match: TextMatch, found: set[int]) -> None:
    fill(index, place(1, 1), place(2, 2), place(3, 3))
    texts = [(name(1), rendition()), (name(2), rendition("trip", "in sweden"))]
    index.commit(Batch(STATE, renditions=texts))
    assert index.containing(match, (1, 2, 3)) == found


def test_what_is_read_of_files_is_found_and_they_wait_no_longer(reopen: Open) -> None:
    index = reopen()
    fill(index, place(1, 1), place(2, 2), place(3, 3), place(4))
    waiting = replace(rendition(), brings_files=True)
    index.commit(Batch(STATE, renditions=[(name(n), waiting) for n in (2, 3)]))
    index.commit(Batch(STATE, renditions=[(name(1), rendition())]))
    assert index.with_unread_files() == (2, name(2))
    assert index.with_unread_files(2) == (3, name(3))
    index.commit(Batch(STATE, file_texts=[(name(2), "invoice 4711"), (name(3), "")]))
    index = reopen()
    assert index.with_unread_files() is None
    for text, found in (("4711", {2}), ("at noon", {1, 2, 3})):
        assert index.containing(TextMatch(TextPlace.BODY, text), (1, 2, 3)) == found
    index.commit(Batch(STATE, file_texts=[(b"unknown", "text")]))


def test_files_of_mails_in_no_folder_wait_for_nobody(index: MailIndex) -> None:
    fill(index, place(1, 1))
    index.commit(Batch(STATE, renditions=[(name(1), replace(rendition(), brings_files=True))]))
    gone = msgspec.structs.replace(place(1), is_expunged=True)
    index.commit(Batch(STATE, placements=[(gone, 3)]))
    assert index.with_unread_files() is None


def test_counting_from_a_uid(index: MailIndex) -> None:
    fill(index, place(1, 1), place(2, 5), place(3, 9))
    assert [index.count_from(INBOX, uid) for uid in (1, 5, 6, 10)] == [3, 2, 1, 0]


def test_vanished_uids_are_remembered_by_modseq(index: MailIndex) -> None:
    gone = [(INBOX, 3, 9), (INBOX, 4, 2), (INBOX, 5, 7), (WORK, 9, 1)]
    index.commit(Batch(STATE, vanished=gone))
    assert list(index.vanished(INBOX, 3)) == [2, 7]
    assert list(index.vanished(INBOX, 0)) == [2, 7, 9]


def test_old_vanished_uids_can_be_forgotten(index: MailIndex) -> None:
    index.commit(Batch(STATE, vanished=[(INBOX, modseq, modseq * 10) for modseq in range(2, 7)]))
    assert index.forget_vanished(INBOX, 5) == 0
    assert index.forget_vanished(INBOX, 2) == 5
    assert list(index.vanished(INBOX, 0)) == [50, 60]


def test_clearing_leaves_nothing(index: MailIndex) -> None:
    index.commit(
        Batch(
            STATE,
            mails=[mail(1)],
            placements=[(place(1, 1), 2)],
            folders=[FolderRow(FolderState(INBOX, "a"))],
            vanished=[(INBOX, 3, 9)],
        )
    )
    index.clear()
    assert index.state() is None
    assert not index.folders()
    assert not index.folder_rows(INBOX, 0, 10)
    assert not index.vanished(INBOX, 0)
    fill(index, place(1, 1))
    assert len(index.folder_rows(INBOX, 0, 10)) == 1
