"""The journal: stamps that go forward, and records that show before the caller goes on."""

from __future__ import annotations

import asyncio

import pytest

from epost.apps.mail.index import IndexState
from epost.apps.mail.log.fold import INBOX_ID
from epost.apps.mail.log.journal import Journal
from epost.apps.mail.log.ledger import Ledger
from epost.apps.mail.log.records import Expunge, Inline, Insert, Stamp, Subscribe, UidValidity
from epost.foundation.errors import DiskFull, Overloaded, UnavailableError
from epost.post.app_ids import AppId
from epost.simulation.clock import run
from epost.simulation.mail_index import SimulatedMailIndex
from tests.support.mail import ON_THREE, Appended, MemoryLog, Recorder


def desk() -> tuple[Journal, Ledger, MemoryLog]:
    log = MemoryLog()
    ledger = Ledger(SimulatedMailIndex(), open_notice=lambda signed: signed, observer=Recorder())
    ledger.open(IndexState(b"n" * 16, 0), 2, is_new=True)
    log.register(
        AppId.MAIL,
        lambda sequence, entry, _: ledger.take(sequence, bytes(entry.payload)),
    )
    ledger.release(lambda: None)
    journal = Journal(log, ledger)
    journal.write_as(3)
    return journal, ledger, log


def test_a_stamp_is_later_than_everything_seen_and_done() -> None:
    async def story() -> None:
        journal, ledger, _ = desk()
        assert journal.stamp() == Stamp(1, 3)
        await journal.write([Subscribe(Stamp(70, 9), "x", True)])
        assert ledger.state.lamport == 70
        assert journal.stamp() == Stamp(71, 3)
        assert journal.stamp() == Stamp(72, 3)

    run(story())


def test_records_show_when_write_returns_and_are_durable_later() -> None:
    async def story() -> None:
        journal, ledger, log = desk()
        log.ring_may_answer = asyncio.Event()
        written = await journal.write(
            [
                UidValidity(INBOX_ID, 5),
                Insert(b"m" * 16, INBOX_ID, (), 0, 0, 1, Inline(b"x")),
            ]
        )
        assert ledger.folders[INBOX_ID].messages == 1
        waiting = asyncio.create_task(written.durable())
        await asyncio.sleep(1)
        assert not waiting.done()
        log.ring_may_answer.set()
        assert await waiting == ON_THREE

    run(story())


def test_what_could_not_be_logged_is_told_to_the_caller() -> None:
    async def story() -> None:
        journal, _, log = desk()
        log.error = DiskFull("no room")
        with pytest.raises(DiskFull):
            await journal.write([Expunge((b"m" * 16,))])

    run(story())


def test_a_log_that_takes_nothing_leaves_nothing_to_wait_for() -> None:
    async def story() -> None:
        journal, ledger, log = desk()
        again = log.submit

        def busy(_entries: object) -> asyncio.Future[Appended]:
            raise Overloaded("too many entries")

        log.submit = busy  # type: ignore[method-assign]
        with pytest.raises(Overloaded):
            await journal.write([Expunge((b"m" * 16,))])
        log.submit = again  # type: ignore[method-assign]
        await journal.write([Expunge((b"m" * 16,))])
        assert ledger.state.applied == 1

    run(story())


def test_an_append_that_the_end_of_the_node_cut_off_keeps_nobody_waiting() -> None:
    async def story() -> None:
        journal, _, log = desk()

        async def never(_entries: object) -> object:
            raise asyncio.CancelledError

        log.append = never  # type: ignore[method-assign, assignment]
        with pytest.raises(UnavailableError):
            await journal.write([Expunge((b"m" * 16,))])

    run(story())


def test_many_records_are_encoded_with_turns_of_the_loop_between() -> None:
    async def story() -> None:
        journal, ledger, _ = desk()
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        counting = asyncio.create_task(count())
        records = [Expunge((b"%16d" % number,)) for number in range(100)]
        await journal.write(records)
        counting.cancel()
        assert turns > 10
        assert ledger.state.applied == 100

    run(story())
