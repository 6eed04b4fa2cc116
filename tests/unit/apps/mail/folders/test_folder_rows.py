"""Rows of an open folder: read in pages while the folder changes."""

from __future__ import annotations

import asyncio

import pytest

from epost.apps.mail.folders import folder_rows as folder_rows_module
from epost.apps.mail.folders.folder_rows import FolderRows
from epost.apps.mail.index import Batch, IndexState, MailFacts, PlacedMail
from epost.apps.mail.log.difference import FolderChange
from epost.apps.mail.log.fold import FIRST, FlagState, Number, Placement
from epost.apps.mail.log.records import Inline, Stamp
from epost.apps.mail.mailbox import (
    KEYWORDS_PER_FOLDER_MAX,
    Appended,
    Expunged,
    FlagsChanged,
    FolderGone,
    MailTime,
)
from epost.simulation.clock import run
from epost.simulation.mail_index import SimulatedMailIndex

FOLDER = b"f" * 16
STATE = IndexState(b"n" * 16, 1)


def placed(uid: int, *flags: str, modseq: int = 2) -> PlacedMail:
    name = uid.to_bytes(16, "big")
    states = tuple(FlagState(Stamp(1, 1), True, flag) for flag in flags)
    placement = Placement(name, name, FOLDER, FIRST, states, number=Number(FOLDER, FIRST, uid))
    return PlacedMail(placement, modseq, MailFacts(name, 10, MailTime(uid)))


def index_with(*mails: PlacedMail) -> SimulatedMailIndex:
    index = SimulatedMailIndex()
    write(index, *mails)
    return index


def write(index: SimulatedMailIndex, *mails: PlacedMail) -> None:
    index.commit(
        Batch(
            STATE,
            mails=[(mail.facts, Inline(b"")) for mail in mails],
            placements=[(mail.placement, mail.modseq) for mail in mails],
        )
    )


async def loaded(*mails: PlacedMail) -> FolderRows:
    rows = FolderRows(FOLDER)
    await rows.load(index_with(*mails))
    return rows


def test_changes_while_it_is_read_are_neither_lost_nor_doubled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(folder_rows_module, "ROWS_SLICE", 2)

    async def story() -> None:
        index = index_with(*(placed(uid) for uid in range(1, 6)))
        rows = FolderRows(FOLDER)
        reading = asyncio.create_task(rows.load(index))
        await asyncio.sleep(0)
        assert list(rows.uids()) == [1, 2]
        fresh, flagged, unread = placed(6), placed(1, "x", modseq=3), placed(5, "y", modseq=3)
        write(index, fresh, flagged, unread)
        gone = Placement(placed(2).placement.name, is_expunged=True)
        index.commit(Batch(STATE, placements=[(gone, 3)]))
        change = FolderChange(appended=[fresh], changed=[flagged, unread], expunged=[2])
        rows.on_change(change, 3)
        await reading
        assert list(rows.uids()) == [1, 3, 4, 5, 6]
        assert [set(row.flags) for row in rows.rows([1, 5, 6])] == [{"x"}, {"y"}, set()]

    run(story())


def test_listeners_hear_of_each_kind_of_change_in_turn() -> None:
    async def story() -> None:
        rows = await loaded(placed(1), placed(2), placed(3))
        heard: list[object] = []
        rows.subscribe(heard.append)
        new, changed = placed(4, modseq=9), placed(1, "x", modseq=9)
        rows.on_change(FolderChange(appended=[new], changed=[changed], expunged=[2, 3]), 9)
        rows.on_gone()
        (row,) = rows.rows([1])
        assert heard == [Expunged([2, 3], 9), Appended([4]), FlagsChanged([row]), FolderGone()]
        assert list(rows.uids()) == [1, 4]
        assert rows.is_gone

    run(story())


def test_a_listener_that_leaves_while_it_hears_disturbs_nobody() -> None:
    async def story() -> None:
        rows = await loaded()
        heard: list[str] = []
        leave = rows.subscribe(lambda _: (heard.append("first"), leave()))  # type: ignore[func-returns-value]
        rows.subscribe(lambda _: heard.append("second"))
        for uid in (1, 2):
            rows.on_change(FolderChange(appended=[placed(uid)]), 2)
        assert heard == ["first", "second", "second"]

    run(story())


def test_many_mails_go_as_fast_as_few() -> None:
    async def story() -> None:
        rows = await loaded(*(placed(uid) for uid in range(1, 3001)))
        rows.on_change(FolderChange(expunged=list(range(1, 3001, 2))), 3)
        assert list(rows.uids()) == list(range(2, 3001, 2))
        rows.on_change(FolderChange(expunged=[]), 4)
        rows.on_change(FolderChange(expunged=[7, 2999]), 4)
        assert len(rows.uids()) == 1500

    run(story())


def test_a_mail_that_shows_late_takes_its_place() -> None:
    async def story() -> None:
        rows = await loaded(placed(1), placed(9))
        rows.on_change(FolderChange(appended=[placed(5)]), 3)
        assert list(rows.uids()) == [1, 5, 9]

    run(story())


def test_a_rendition_tells_nobody_and_shows_when_the_mail_was_sent() -> None:
    async def story() -> None:
        rows = await loaded(placed(1))
        heard: list[object] = []
        rows.subscribe(heard.append)
        mail = placed(1)
        sent = MailFacts(mail.facts.email, 10, MailTime(1), MailTime(99))
        rows.on_rendered(PlacedMail(mail.placement, mail.modseq, sent))
        rows.on_rendered(placed(2))
        assert not heard
        assert list(rows.uids()) == [1]
        (row,) = rows.rows([1])
        assert row.sent == MailTime(99)

    run(story())


def test_keywords_beyond_the_limit_do_not_show() -> None:
    async def story() -> None:
        many = [f"k{number:03}" for number in range(KEYWORDS_PER_FOLDER_MAX)]
        rows = await loaded(placed(1, *many), placed(2, "one-more", "K001", "\\Seen"))
        assert rows.keywords == tuple(many)
        assert [set(row.flags) for row in rows.rows([2])] == [{"k001", "\\Seen"}]
        assert rows.may_have(["K002", "\\Seen"])
        assert not rows.may_have(["other"])

    run(story())


def test_slices_cover_everything_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_rows_module, "ROWS_SLICE", 2)

    async def story() -> None:
        rows = await loaded(*(placed(uid) for uid in (1, 2, 3, 5)))
        found = [[row.uid for row in some] async for some in rows.in_slices([1, 2, 3, 4, 5])]
        assert found == [[1, 2], [3], [5]]

    run(story())
