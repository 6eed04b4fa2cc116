"""The backlog: numbers and renditions that could not be given at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from epost.apps.mail.log import backlog as backlog_module
from epost.apps.mail.log.fold import INBOX_ID
from epost.apps.mail.log.records import (
    CopiedMail,
    Copy,
    CreateFolder,
    Inline,
    Insert,
    Move,
    Stamp,
    encode_record,
)
from epost.apps.mail.mailbox import NewMail
from epost.apps.mail.observed import MailWorkFailed
from epost.foundation.errors import DiskFull, UnavailableError
from epost.simulation.clock import run
from epost.simulation.mail_index import SimulatedMailIndex
from tests.support.mail import ALICE, Member, Origin, living, organisation, simple_mail

Scene = Callable[[Member], Awaitable[None]]
SIBLING = Origin(2, b"s" * 16)
LARGE = simple_mail(body="x" * 40_000)


def play(scene: Scene) -> None:
    async def story() -> None:
        (alice,) = organisation(ALICE)
        async with living(alice):
            await scene(alice)

    run(story())


def insertion(number: int, folder: bytes = INBOX_ID) -> bytes:
    return encode_record(Insert(b"%16d" % number, folder, (), 0, 0, 1, Inline(b"n")))


def test_mails_of_another_device_are_numbered_in_the_order_in_which_they_came() -> None:
    async def scene(alice: Member) -> None:
        for number in (7, 3, 5):
            await alice.siblings.hear(insertion(number), SIBLING)
        await asyncio.sleep(1)
        inbox = await alice.mail.mailbox.open("INBOX")
        emails = [bytes.fromhex(row.email_id) for row in await inbox.rows(inbox.uids())]
        assert emails == [b"%16d" % number for number in (7, 3, 5)]

    play(scene)


def test_a_folder_of_another_device_shows_with_its_mail() -> None:
    async def scene(alice: Member) -> None:
        made = CreateFolder(Stamp(9, 2), b"w" * 16, "Work", "")
        await alice.siblings.hear(insertion(1, b"w" * 16), SIBLING)
        await asyncio.sleep(1)
        await alice.siblings.hear(encode_record(made), SIBLING)
        await asyncio.sleep(1)
        work = await alice.mail.mailbox.open("Work")
        assert list(work.uids()) == [1]
        assert (await alice.mail.mailbox.counters("Work")).messages == 1

    play(scene)


def test_a_copy_read_before_its_original_shows_when_that_comes() -> None:
    async def scene(alice: Member) -> None:
        copied = Copy((CopiedMail(b"%16d" % 1, b"c" * 16, ("\\Seen",)),), INBOX_ID)
        await alice.siblings.hear(encode_record(copied), SIBLING)
        await asyncio.sleep(1)
        inbox = await alice.mail.mailbox.open("INBOX")
        assert not inbox.uids()
        await alice.siblings.hear(insertion(1), SIBLING)
        await asyncio.sleep(1)
        assert len(inbox.uids()) == 2
        assert {frozenset(row.flags) for row in await inbox.rows(inbox.uids())} == {
            frozenset(),
            frozenset({"\\Seen"}),
        }

    play(scene)


def test_a_move_that_overtakes_the_numbering_ends_in_one_place() -> None:
    async def scene(alice: Member) -> None:
        folders = {info.name: info for info in await alice.mail.mailbox.folders()}
        archive = bytes.fromhex(folders["Archive"].folder_id)
        await alice.siblings.hear(insertion(1), SIBLING)
        await asyncio.sleep(0)
        moved = Move(Stamp(9, 2), (b"%16d" % 1,), archive)
        await alice.siblings.hear(encode_record(moved), SIBLING)
        await asyncio.sleep(1)
        assert (await alice.mail.mailbox.counters("INBOX")).messages == 0
        assert (await alice.mail.mailbox.counters("Archive")).messages == 1

    play(scene)


def test_what_could_not_be_rendered_is_rendered_later() -> None:
    async def scene(alice: Member) -> None:
        inbox = await alice.mail.mailbox.open("INBOX")
        await inbox.append([NewMail(LARGE)])
        await alice.restart(SimulatedMailIndex())
        alice.ring.is_reachable = False
        await asyncio.sleep(600)
        failures = len(alice.observer.of(MailWorkFailed))
        assert 1 <= failures <= 6, "with growing pauses"
        alice.ring.is_reachable = True
        await asyncio.sleep(3600)
        inbox = await alice.mail.mailbox.open("INBOX")
        alice.ring.is_reachable = False
        assert b"lunch" in (await inbox.rendered([1]))[1].envelope
        assert (await inbox.rows([1]))[0].sent is not None

    play(scene)


def test_mails_that_come_while_others_are_rendered_show_before_those_are() -> None:
    async def scene(alice: Member) -> None:
        inbox = await alice.mail.mailbox.open("INBOX")
        for number in range(100):
            await alice.siblings.hear(insertion(number), SIBLING)
        while not alice.index.envelopes([1]):
            await asyncio.sleep(0)
        await alice.siblings.hear(insertion(100), SIBLING)
        while len(inbox.uids()) < 101:
            await asyncio.sleep(0)
        assert not alice.index.envelopes([90])
        await asyncio.sleep(10)
        assert alice.index.envelopes([90, 101])

    play(scene)


def test_one_mail_that_cannot_be_rendered_keeps_no_other_from_it() -> None:
    async def scene(alice: Member) -> None:
        inbox = await alice.mail.mailbox.open("INBOX")
        for mail in (simple_mail(subject="first"), LARGE, simple_mail(subject="last")):
            await inbox.append([NewMail(mail)])
        await alice.restart(SimulatedMailIndex())
        alice.ring.is_reachable = False
        await asyncio.sleep(10)
        assert sorted(alice.index.envelopes([1, 2, 3])) == [1, 3]

    play(scene)


def test_numbers_that_could_not_be_logged_are_given_later() -> None:
    async def scene(alice: Member) -> None:
        alice.log.error = DiskFull("no room")
        await alice.siblings.hear(insertion(1), SIBLING)
        await asyncio.sleep(10)
        assert alice.observer.of(MailWorkFailed)
        alice.log.error = None
        await asyncio.sleep(backlog_module.RETRY_SECONDS_MAX)
        inbox = await alice.mail.mailbox.open("INBOX")
        assert list(inbox.uids()) == [1]

    play(scene)


def test_a_mail_that_is_nowhere_cannot_be_rendered() -> None:
    async def scene(alice: Member) -> None:
        with pytest.raises(UnavailableError):
            await alice.mail._backlog.render(b"?" * 16)

    play(scene)
