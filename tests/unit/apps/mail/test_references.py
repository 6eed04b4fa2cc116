"""What mails refer to: by the folders of all devices' logs together, and by what was sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest

from epost.apps.mail.log.fold import first_folder_id
from epost.apps.mail.log.records import CopiedMail, Copy, Expunge, encode_record
from epost.apps.mail.mailbox import DELETED, FlagChange, NewMail
from epost.apps.mail.references import MailReferences, references_in_notice
from epost.foundation.errors import UnavailableError
from epost.post.app_ids import AppId
from epost.simulation.mail_index import SimulatedMailIndex
from tests.support.mail import Member, Origin, account, living, organisation, simple_mail

LONG = "word " * 8000


@dataclass
class SentMails:
    """Contents of notices."""

    open: list[bytes] = field(default_factory=list)
    settled: list[bytes] = field(default_factory=list)

    async def contents_on_their_way(self, app: AppId) -> AsyncIterator[bytes]:
        for content in self.open:
            yield content

    async def contents_settled(self, app: AppId) -> AsyncIterator[bytes]:
        for content in self.settled:
            yield content


async def given_up(member: Member, sent: SentMails | None = None) -> set[bytes]:
    references = member.mail.references(sent or SentMails())
    return {reference.digest async for reference in references.given_up()}


async def needed(member: Member, sent: SentMails | None = None) -> set[bytes]:
    references = member.mail.references(sent or SentMails())
    return {reference.digest async for reference in references.needed()}


async def expunge(member: Member, folder: str) -> None:
    opened = await member.mail.mailbox.open(folder)
    await opened.change_flags(opened.uids(), FlagChange.ADD, frozenset({DELETED}))
    await opened.expunge(None)


def known(member: Member) -> set[bytes]:
    return {reference.digest for reference in member.messages.known.values()}


def of_one(story: Callable[[Member], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    def test() -> None:
        async def whole() -> None:
            (alice,) = organisation(account("alice@example.org"))
            async with living(alice):
                await story(alice)

        asyncio.run(whole())

    test.__name__ = story.__name__
    return test


@of_one
async def test_a_mail_is_needed_until_its_last_copy_is_expunged(alice: Member) -> None:
    inbox = await alice.mail.mailbox.open("INBOX")
    await inbox.append([NewMail(simple_mail(body=LONG))])
    await inbox.copy(inbox.uids(), "Archive")
    await inbox.move(inbox.uids(), "Sent")
    assert await needed(alice) == known(alice)
    await expunge(alice, "Archive")
    assert await needed(alice) == known(alice)
    assert await given_up(alice) == set()
    await expunge(alice, "Sent")
    assert await needed(alice) == set()
    assert await given_up(alice) == known(alice)


@of_one
async def test_an_index_made_anew_tells_the_same(alice: Member) -> None:
    inbox = await alice.mail.mailbox.open("INBOX")
    await inbox.append([NewMail(simple_mail(body=LONG)), NewMail(simple_mail(body=LONG[1:]))])
    await inbox.copy(inbox.uids()[:1], "Archive")
    await expunge(alice, "INBOX")
    before = await needed(alice), await given_up(alice)
    await alice.restart(SimulatedMailIndex())
    assert (await needed(alice), await given_up(alice)) == before
    assert len(before[0]) == 2


@of_one
async def test_what_is_gone_for_good_is_not_read_again_for_an_index_made_anew(
    alice: Member,
) -> None:
    inbox = await alice.mail.mailbox.open("INBOX")
    await inbox.append([NewMail(simple_mail(body=LONG))])
    await expunge(alice, "INBOX")
    alice.ring.blocks.clear()
    await alice.restart(SimulatedMailIndex())
    await asyncio.sleep(0.01)
    assert alice.index.unrendered(10) == []


@of_one
async def test_a_copy_that_another_device_made_counts(alice: Member) -> None:
    inbox = await alice.mail.mailbox.open("INBOX")
    await inbox.append([NewMail(simple_mail(body=LONG))])
    (row,) = await inbox.rows(inbox.uids())
    copied = CopiedMail(bytes.fromhex(row.email_id), bytes(16), ())
    record = Copy((copied,), first_folder_id("Archive"))
    await alice.siblings.hear(encode_record(record), Origin(2, bytes(16)))
    await expunge(alice, "INBOX")
    assert await needed(alice) == known(alice)
    await alice.siblings.hear(encode_record(Expunge((bytes(16),))), Origin(2, bytes(16)))
    assert await needed(alice) == set()


def test_what_is_on_its_way_is_needed_and_what_has_arrived_is_not() -> None:
    async def story() -> None:
        alice, bob = organisation(account("alice@example.org"), account("bob@example.org"))
        async with living(alice, bob):
            await alice.submit(simple_mail(body=LONG), "bob@example.org")
            (content,) = alice.post.contents
            assert await needed(alice, SentMails(open=[content])) == known(alice)
            assert await needed(alice, SentMails(settled=[content])) == set()
            assert await given_up(alice, SentMails(settled=[content])) == known(alice)
            assert await needed(bob) == known(alice), "he has it in his inbox"

    asyncio.run(story())


def test_nothing_can_be_told_before_the_index_is_whole() -> None:
    (alice,) = organisation(account("alice@example.org"))
    with pytest.raises(UnavailableError):
        asyncio.run(needed(alice))


def test_nothing_can_be_told_if_the_index_was_made_anew_meanwhile() -> None:
    async def story() -> None:
        (alice,) = organisation(account("alice@example.org"))
        standings = iter(["first", "second"])
        references = MailReferences(alice.index, SentMails(), lambda: next(standings))
        with pytest.raises(UnavailableError):
            assert [reference async for reference in references.needed()]

    asyncio.run(story())


def test_a_memo_beside_a_notice_refers_to_nothing() -> None:
    assert references_in_notice(b"\x01 no notice") == ()
