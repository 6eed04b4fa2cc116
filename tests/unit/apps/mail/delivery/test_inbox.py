"""The inbox: which notices are taken, and what is kept of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import msgspec
import pytest

from epost.apps.mail.contents import content_of
from epost.apps.mail.delivery.inbox import UNVOUCHED, email_id
from epost.apps.mail.delivery.notice import InNotice, InStore, make_notice
from epost.apps.mail.log.records import Insert, Noticed, Save, decode_record
from epost.apps.mail.mime.headers import read_fields
from epost.apps.mail.observed import MailArrived, MailDeferred, MailRefused
from epost.foundation.codec import encode
from epost.post.notification.handlers import Accepted, Deferred, Refused
from epost.post.storage.references import Reference, Secrecy
from epost.simulation.clock import run
from tests.support.mail import (
    ALICE,
    BOB,
    CAROL,
    Member,
    living,
    notification,
    organisation,
    simple_mail,
)

Scene = Callable[[Member, Member], Awaitable[None]]
LARGE = simple_mail(body="x" * 40_000)


def play(scene: Scene) -> None:
    async def story() -> None:
        alice, bob, carol = organisation(ALICE, BOB, CAROL)
        async with living(alice, bob, carol):
            await scene(alice, bob)

    run(story())


def notice_of(octets: bytes) -> bytes:
    return make_notice(read_fields(octets), InNotice(octets))


async def stored_notice(sender: Member, octets: bytes, *, size: int | None = None) -> bytes:
    """The content of a notice about a mail in the store, perhaps lying about its size."""
    await sender.submit(octets, CAROL.name)
    content = sender.post.contents[-1]
    notice = msgspec.msgpack.decode(content)
    notice[-1][1] = len(octets) if size is None else size
    return msgspec.msgpack.encode(notice)


def test_the_insertion_record_keeps_the_signed_notice_verbatim() -> None:
    async def scene(alice: Member, bob: Member) -> None:
        told = notification(alice, bob, notice_of(simple_mail()))
        answer = await bob.mail.inbox.accept(told)
        assert isinstance(answer, Accepted)
        record, saved = [decode_record(entry.payload) for entry in answer.entries]
        assert isinstance(record, Insert)
        assert isinstance(saved, Save)
        assert saved.placements == (record.email,)
        assert record.content == Noticed(told.signed)
        assert content_of(told.signed) == told.content
        assert record.size == len(simple_mail())
        assert bob.observer.of(MailArrived) == [MailArrived(len(simple_mail()))]

    play(scene)


def test_a_mail_is_dated_when_its_sender_let_go_of_it() -> None:
    async def scene(alice: Member, bob: Member) -> None:
        alice.clock.seconds = 1000.0
        await alice.submit(simple_mail(), BOB.name)
        inbox = await bob.mail.mailbox.open("INBOX")
        (row,) = await inbox.rows([1])
        assert row.internal_date.seconds == alice.clock.wall_ms() // 1000

    play(scene)


def test_one_notice_told_twice_is_one_mail_and_two_mails_are_two() -> None:
    async def scene(alice: Member, bob: Member) -> None:
        one = notification(alice, bob, notice_of(simple_mail()))
        other = notification(alice, bob, notice_of(simple_mail()))
        forged = notification(alice, bob, notice_of(simple_mail(subject="x")), notice_id=one.id)
        assert len({email_id(told) for told in (one, one, other, forged)}) == 3
        for told in (one, one, other):
            answer = await bob.mail.inbox.accept(told)
            assert isinstance(answer, Accepted)
            await bob.log.append(answer.entries)
        inbox = await bob.mail.mailbox.open("INBOX")
        assert list(inbox.uids()) == [1, 2]

    play(scene)


def test_all_parts_are_here_before_a_mail_is_accepted() -> None:
    async def scene(alice: Member, bob: Member) -> None:
        content = await stored_notice(alice, LARGE)
        bob.ring.is_reachable = False
        told = notification(alice, bob, content)
        assert await bob.mail.inbox.accept(told) == Deferred()
        assert len(bob.observer.of(MailDeferred)) == 1
        bob.ring.is_reachable = True
        assert isinstance(await bob.mail.inbox.accept(told), Accepted)

    play(scene)


def test_a_mail_whose_parts_nobody_has_is_deferred() -> None:
    async def scene(alice: Member, bob: Member) -> None:
        content = await stored_notice(alice, LARGE)
        bob.ring.blocks.clear()
        assert await bob.mail.inbox.accept(notification(alice, bob, content)) == Deferred()

    play(scene)


def test_a_sender_who_cannot_be_looked_up_is_heard_later() -> None:
    async def scene(alice: Member, bob: Member) -> None:
        bob.names.is_reachable = False
        told = notification(alice, bob, notice_of(simple_mail()))
        assert await bob.mail.inbox.accept(told) == Deferred()

    play(scene)


def test_a_mail_that_takes_for_ever_is_deferred() -> None:
    async def scene(alice: Member, bob: Member) -> None:
        bob.names.delay_seconds = 3600.0
        told = notification(alice, bob, notice_of(simple_mail()))
        assert await bob.mail.inbox.accept(told) == Deferred()

    play(scene)


@pytest.mark.parametrize(
    "octets",
    [
        simple_mail("carol@example.org"),
        simple_mail(extra="Sender: carol@example.org\r\n"),
        b"Subject: by nobody\r\n\r\n",
        b"",
        b"From: alice@example.org\rFrom: carol@example.org\r\n",
    ],
)
def test_a_mail_around_somebody_elses_name_is_refused(octets: bytes) -> None:
    async def scene(alice: Member, bob: Member) -> None:
        answer = await bob.mail.inbox.accept(notification(alice, bob, notice_of(octets)))
        assert isinstance(answer, Refused)
        assert len(bob.observer.of(MailRefused)) == 1

    play(scene)


def test_a_name_that_is_now_another_accounts_is_refused() -> None:
    async def scene(alice: Member, bob: Member) -> None:
        told = notification(alice, bob, notice_of(simple_mail()))
        stranger = replace(told, sender_account=bytes(32))
        assert isinstance(await bob.mail.inbox.accept(stranger), Refused)

    play(scene)


@pytest.mark.parametrize("content", [b"", b"\x01", encode([1, 2, 3])])
def test_what_is_no_mail_notice_is_refused(content: bytes) -> None:
    async def scene(alice: Member, bob: Member) -> None:
        assert isinstance(await bob.mail.inbox.accept(notification(alice, bob, content)), Refused)

    play(scene)


def test_a_mail_of_another_size_than_promised_is_refused() -> None:
    async def scene(alice: Member, bob: Member) -> None:
        content = await stored_notice(alice, LARGE, size=5)
        assert isinstance(await bob.mail.inbox.accept(notification(alice, bob, content)), Refused)

    play(scene)


def test_references_to_more_than_a_mail_may_have_are_refused_unseen() -> None:
    async def scene(alice: Member, bob: Member) -> None:
        bob.ring.is_reachable = False  # a fetch would be deferred, not refused
        huge = Reference(bytes(32), bytes(32), Secrecy.UNIQUE, 0, 2**40)
        small = Reference(bytes(32), bytes(32), Secrecy.UNIQUE, 0, 10)
        for content in (InStore(10, huge, ()), InStore(10, small, (huge,))):
            told = notification(alice, bob, make_notice(read_fields(b""), content))
            assert isinstance(await bob.mail.inbox.accept(told), Refused)

    play(scene)


def test_parts_that_do_not_fit_their_skeleton_are_refused() -> None:
    async def scene(alice: Member, bob: Member) -> None:
        await alice.submit(LARGE, CAROL.name)
        notice = msgspec.msgpack.decode(alice.post.contents[-1])
        notice[-1][3] = []
        content = msgspec.msgpack.encode(notice)
        assert isinstance(await bob.mail.inbox.accept(notification(alice, bob, content)), Refused)

    play(scene)


def test_a_notice_longer_than_any_is_refused() -> None:
    async def scene(alice: Member, bob: Member) -> None:
        told = notification(alice, bob, notice_of(simple_mail()))
        padded = replace(told, signed=told.signed + bytes(70_000))
        assert isinstance(await bob.mail.inbox.accept(padded), Refused)

    play(scene)


def test_what_a_stolen_device_sent_is_kept_apart() -> None:
    async def scene(alice: Member, bob: Member) -> None:
        told = notification(alice, bob, notice_of(simple_mail()))
        answer = await bob.mail.inbox.accept(replace(told, is_vouched=False))
        assert isinstance(answer, Accepted)
        await bob.log.append(answer.entries)
        await asyncio.sleep(0)
        junk = await bob.mail.mailbox.open("Junk")
        (row,) = await junk.rows(junk.uids())
        assert row.flags == {UNVOUCHED}

    play(scene)


def test_a_large_mail_is_seen_whole_by_its_recipient() -> None:
    async def scene(alice: Member, bob: Member) -> None:
        octets = simple_mail(body="y" * 600_000)
        await alice.submit(octets, BOB.name)
        inbox = await bob.mail.mailbox.open("INBOX")
        assert await inbox.octets(1) == octets
        assert b"lunch" in (await inbox.rendered([1]))[1].envelope

    play(scene)
