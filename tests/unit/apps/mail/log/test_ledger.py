"""The ledger: entries of the log in order, each once, in slices that leave the loop free."""

from __future__ import annotations

import asyncio

import pytest

from epost.apps.mail.index import IndexState, PlacedMail
from epost.apps.mail.log import ledger as ledger_module
from epost.apps.mail.log import prepared as prepared_module
from epost.apps.mail.log.difference import FolderChange
from epost.apps.mail.log.fold import INBOX_ID
from epost.apps.mail.log.folding import INSERT_WEIGHT
from epost.apps.mail.log.ledger import Ledger
from epost.apps.mail.log.records import (
    ChangeFlags,
    CopiedMail,
    Copy,
    Expunge,
    Inline,
    Insert,
    Record,
    Stamp,
    UidValidity,
    encode_record,
)
from epost.apps.mail.log.waiting import (
    BULK_WEIGHT_MIN,
    BULK_WEIGHT_PER_SLICE_MAX,
    WEIGHT_PER_SLICE_MAX,
)
from epost.apps.mail.mailbox import SEEN
from epost.apps.mail.renditions.rendition import make_rendition
from epost.simulation.clock import run
from epost.simulation.mail_index import SimulatedMailIndex
from tests.support.mail import Recorder


class Audience:
    """Somebody who has a folder open."""

    def __init__(self) -> None:
        self.modseqs: list[int] = []
        self.uids: list[int] = []
        self.is_gone = False

    def on_change(self, change: FolderChange, modseq: int) -> None:
        self.modseqs.append(modseq)
        self.uids += [mail.placement.uid for mail in change.appended]

    def on_rendered(self, mail: PlacedMail) -> None:
        """Nobody asks."""

    def on_gone(self) -> None:
        self.is_gone = True


class Desk:
    """A ledger that is fed by hand."""

    def __init__(self) -> None:
        self.index = SimulatedMailIndex()
        self.observer = Recorder()
        self.ledger = Ledger(self.index, open_notice=lambda signed: signed, observer=self.observer)
        self.ledger.open(IndexState(b"n" * 16, 1), 2, is_new=True)
        self.woken = 0
        self.sequence = 0

    def tell(self, *records: Record) -> None:
        for record in records:
            self.sequence += 1
            self.ledger.take(self.sequence, encode_record(record))

    def release(self) -> None:
        self.ledger.release(self._wake)

    def _wake(self) -> None:
        self.woken += 1


def name(number: int) -> bytes:
    return b"%16d" % number


def insertion(number: int) -> Insert:
    return Insert(name(number), INBOX_ID, (), 0, 0, 1, Inline(b"x"))


NUMBERED = UidValidity(INBOX_ID, 7)


def test_nothing_is_applied_before_the_log_has_been_read() -> None:
    async def story() -> None:
        desk = Desk()
        desk.tell(NUMBERED, insertion(1))
        await asyncio.sleep(1)
        assert desk.ledger.folders[INBOX_ID].messages == 0
        desk.release()
        await asyncio.sleep(1)
        assert desk.ledger.folders[INBOX_ID].messages == 1
        assert desk.ledger.state.applied == 2

    run(story())


def test_an_entry_told_twice_counts_once() -> None:
    async def story() -> None:
        desk = Desk()
        desk.release()
        desk.tell(NUMBERED, insertion(1))
        await asyncio.sleep(1)
        desk.sequence = 0
        desk.tell(NUMBERED, insertion(1), insertion(2))
        await asyncio.sleep(1)
        assert desk.ledger.folders[INBOX_ID].messages == 2
        assert desk.ledger.folders[INBOX_ID].uid_next == 3

    run(story())


def test_what_nobody_waits_for_lets_others_go_first() -> None:
    async def story() -> None:
        desk = Desk()
        desk.release()
        desk.tell(NUMBERED, insertion(1))
        for _ in range(ledger_module.TURNS_LEFT_TO_OTHERS):
            await asyncio.sleep(0)
        assert desk.ledger.folders[INBOX_ID].messages == 0
        expected = desk.ledger.expect(encode_record(insertion(2)))
        desk.tell(insertion(2))
        await expected
        assert desk.ledger.folders[INBOX_ID].messages == 2

    run(story())


def test_many_entries_leave_the_loop_free_between_slices() -> None:
    async def story() -> None:
        desk = Desk()
        desk.release()
        audience = Audience()
        desk.ledger.listen(INBOX_ID, audience)
        count = BULK_WEIGHT_MIN // INSERT_WEIGHT - 1
        desk.tell(NUMBERED, *(insertion(number) for number in range(count)))
        turns = 0
        while desk.ledger.folders[INBOX_ID].messages < count:
            await asyncio.sleep(0)
            turns += 1
        assert turns >= count * INSERT_WEIGHT // WEIGHT_PER_SLICE_MAX
        assert audience.uids == list(range(1, count + 1))
        assert audience.modseqs == sorted(set(audience.modseqs))

    run(story())


def test_where_very_many_wait_more_are_taken_at_once() -> None:
    async def story() -> None:
        desk = Desk()
        desk.release()
        audience = Audience()
        desk.ledger.listen(INBOX_ID, audience)
        count = 3 * BULK_WEIGHT_PER_SLICE_MAX // INSERT_WEIGHT
        desk.tell(NUMBERED, *(insertion(number) for number in range(count)))
        await asyncio.sleep(1)
        assert audience.uids == list(range(1, count + 1))
        assert len(audience.modseqs) <= 6

    run(story())


def test_every_kind_of_record_has_a_weight() -> None:
    async def story() -> None:
        desk = Desk()
        desk.release()
        names = tuple(name(number) for number in range(200))
        copies = tuple(CopiedMail(name(1), b"c%15d" % number, ()) for number in range(200))
        desk.tell(
            NUMBERED,
            *(insertion(number) for number in range(200)),
            ChangeFlags(Stamp(1, 1), names, (SEEN,), ()),
            Copy(copies, INBOX_ID),
            Expunge(names),
        )
        await asyncio.sleep(1)
        row = desk.ledger.folders[INBOX_ID]
        assert (row.messages, row.unseen) == (200, 200)

    run(story())


def test_a_waiter_is_told_when_its_record_shows() -> None:
    async def story() -> None:
        desk = Desk()
        desk.release()
        shows = desk.ledger.expect(encode_record(insertion(1)))
        assert desk.ledger.expect(encode_record(insertion(1))) is shows
        desk.tell(NUMBERED, insertion(1))
        await shows
        lost = desk.ledger.expect(encode_record(insertion(2)))
        desk.ledger.forget_expected(encode_record(insertion(2)), OSError("gone"))
        with pytest.raises(OSError, match="gone"):
            await lost

    run(story())


def test_who_asks_is_told_when_all_that_waits_shows() -> None:
    async def story() -> None:
        desk = Desk()
        desk.release()
        told: list[int] = []
        desk.ledger.when_shown(lambda: told.append(0))
        assert told == [0], "nothing waits"
        desk.tell(NUMBERED, insertion(1))
        desk.ledger.when_shown(lambda: told.append(desk.ledger.folders[INBOX_ID].messages))
        assert told == [0]
        await asyncio.sleep(1)
        assert told == [0, 1]
        desk.sequence -= 1
        desk.tell(insertion(1))
        desk.ledger.when_shown(lambda: told.append(2))
        await asyncio.sleep(1)
        assert told == [0, 1, 2], "the index has it already"

    run(story())


def test_numbers_and_renditions_that_are_missing_wake_the_backlog() -> None:
    async def story() -> None:
        desk = Desk()
        desk.tell(NUMBERED)
        desk.ledger.apply_slice()
        desk.ledger.state = IndexState(b"n" * 16, 1, 1, 0, 2, 1 << 40)
        desk.release()
        desk.ledger.prepare(name(1), make_rendition(b"Subject: x\r\n\r\n"))
        desk.tell(insertion(1))
        await asyncio.sleep(1)
        assert desk.woken == 0
        desk.tell(insertion(2))
        await asyncio.sleep(1)
        assert desk.woken == 1
        desk.ledger.prepare(name(3), make_rendition(b""))
        await desk.ledger.take_of(2, [(1, encode_record(insertion(3)))])
        await asyncio.sleep(1)
        assert desk.woken == 2

    run(story())


def test_only_so_many_renditions_wait_for_their_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepared_module, "PREPARED_MAX", 2)

    async def story() -> None:
        desk = Desk()
        desk.tell(NUMBERED)
        for number in (1, 2, 3):
            desk.ledger.prepare(name(number), make_rendition(b"Subject: x\r\n\r\n"))
        desk.tell(*(insertion(number) for number in (1, 2, 3)))
        desk.release()
        await asyncio.sleep(1)
        assert set(desk.index.envelopes([1, 2, 3])) == {2, 3}

    run(story())


def test_a_new_beginning_tells_everybody_that_their_uids_mean_nothing() -> None:
    async def story() -> None:
        desk = Desk()
        desk.release()
        desk.tell(NUMBERED, insertion(1))
        await asyncio.sleep(1)
        audience = Audience()
        desk.ledger.listen(INBOX_ID, audience)
        desk.ledger.open(IndexState(b"m" * 16, 9), 100, is_new=True)
        assert audience.is_gone
        assert desk.index.state() is None
        assert desk.ledger.folders[INBOX_ID].highest_modseq == 99

    run(story())


def test_old_vanished_uids_are_tidied_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "VANISHED_KEPT_MAX", 2)

    async def story() -> None:
        desk = Desk()
        desk.release()
        desk.tell(NUMBERED)
        for number in range(5):
            desk.tell(insertion(number))
            await asyncio.sleep(1)
            desk.tell(Expunge((name(number),)))
            await asyncio.sleep(1)
        assert list(desk.index.vanished(INBOX_ID, 0)) == [1, 2, 3, 4, 5]
        desk.ledger.tidy()
        kept = list(desk.index.vanished(INBOX_ID, 0))
        assert kept == [4, 5]
        assert (
            desk.index.vanished(INBOX_ID, desk.ledger.folders[INBOX_ID].vanished_from - 1) == kept
        )

    run(story())
