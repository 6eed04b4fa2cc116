"""Reports: mail from the own device about mail that was sent."""

from __future__ import annotations

import email
import email.message
import hashlib
from collections.abc import Awaitable, Callable, Sequence

import pytest

from epost.apps.mail.delivery.delivery_wishes import (
    NO_WISHES,
    DeliveryWishes,
    Notify,
    RecipientWishes,
    encode_wishes,
    read_wishes,
)
from epost.apps.mail.delivery.notice import read_notice
from epost.crypto.signed import sign
from epost.crypto.signing import Kind
from epost.foundation.codec import encode
from epost.past.pending import Receipt, ReceiptBlock, ReceiptStatus
from epost.post.logs.entries import Entry
from epost.post.notification.handlers import Dispatched
from epost.simulation.clock import run
from tests.support.mail import ALICE, BOB, WALL_MS, Member, living, organisation, simple_mail

Scene = Callable[[Member], Awaitable[None]]
NOBODY = "nobody@example.org"
FULL = DeliveryWishes(returns_full=True)


def play(scene: Scene) -> None:
    async def story() -> None:
        alice, bob = organisation(ALICE, BOB)
        async with living(alice, bob):
            await scene(alice)

    run(story())


def told_of(
    content: bytes,
    *,
    recipient: str = NOBODY,
    key: bytes = b"k" * 16,
    reason: str = "gone",
    wishes: DeliveryWishes = NO_WISHES,
    receipt: bytes = b"",
) -> Dispatched:
    """What post says of a notice of alice's."""
    memo = encode_wishes(wishes)
    return Dispatched(key, content, recipient, WALL_MS, memo, reason, receipt)


async def bounces(alice: Member) -> list[email.message.Message]:
    inbox = await alice.mail.mailbox.open("INBOX")
    return [email.message_from_bytes(await inbox.octets(uid)) for uid in inbox.uids()]


def status_of(bounce: email.message.Message) -> email.message.Message:
    parts = bounce.get_payload()
    assert isinstance(parts, list)
    report = parts[1]
    assert isinstance(report, email.message.Message)
    assert report.get_content_type() == "message/delivery-status"
    fields = report.get_payload()
    assert isinstance(fields, list)
    recipient = fields[1]
    assert isinstance(recipient, email.message.Message)
    return recipient


def test_a_mail_to_nobody_comes_back_as_a_delivery_status_notification() -> None:
    async def scene(alice: Member) -> None:
        await alice.submit(simple_mail(subject="hello?"), NOBODY)
        (bounce,) = await bounces(alice)
        assert bounce["To"] == ALICE.name
        assert bounce["Subject"] == f"Mail not delivered: {NOBODY}"
        assert bounce.get_content_type() == "multipart/report"
        assert bounce.get_param("report-type") == "delivery-status"
        status = status_of(bounce)
        assert status["Final-Recipient"] == f"rfc822; {NOBODY}"
        assert status["Action"] == "failed"
        assert status["Status"].startswith("5.")
        assert "no such user" in status["Diagnostic-Code"]
        quoted = bounce.get_payload()[2]  # type: ignore[index]
        assert "hello?" in str(quoted)

    play(scene)


def test_told_twice_it_is_one_mail() -> None:
    async def scene(alice: Member) -> None:
        await alice.submit(simple_mail(), BOB.name)
        (content,) = alice.post.contents
        told: list[Sequence[Entry]] = []
        for _ in range(2):
            told.append(await alice.mail.inbox.undeliverable(told_of(content)))
            alice.clock.seconds += 100
        for entries in told:
            await alice.log.append(entries)
        assert len(await bounces(alice)) == 1

    play(scene)


def test_a_mail_on_its_way_for_long_is_said_to_be_delayed() -> None:
    async def scene(alice: Member) -> None:
        await alice.submit(simple_mail(), BOB.name)
        (content,) = alice.post.contents
        await alice.log.append(
            await alice.mail.inbox.delayed(
                told_of(content, recipient=BOB.name, reason="not seen since Monday")
            )
        )
        (bounce,) = await bounces(alice)
        assert status_of(bounce)["Action"] == "delayed"
        assert status_of(bounce)["Status"] == "4.4.1"

    play(scene)


def test_reasons_and_addresses_cannot_add_header_lines() -> None:
    async def scene(alice: Member) -> None:
        await alice.submit(simple_mail(), BOB.name)
        (content,) = alice.post.contents
        reason = "bad\r\nX-Injected: yes " + "x" * 10_000 + "ü"
        entries = await alice.mail.inbox.undeliverable(told_of(content, reason=reason))
        await alice.log.append(entries)
        (bounce,) = await bounces(alice)
        assert "X-Injected" not in bounce
        assert "X-Injected" not in status_of(bounce)

    play(scene)


def test_the_header_of_a_stored_mail_is_quoted_or_its_basics_if_it_is_out_of_reach() -> None:
    async def scene(alice: Member) -> None:
        mail = simple_mail(body="x" * 40_000, extra="X-Only: in the header\r\n")
        await alice.submit(mail, BOB.name)
        (content,) = alice.post.contents
        assert read_notice(content).subject == "lunch"
        for key, is_reachable in ((b"1" * 16, True), (b"2" * 16, False)):
            alice.ring.is_reachable = is_reachable
            await alice.restart()
            entries = await alice.mail.inbox.undeliverable(told_of(content, key=key))
            await alice.log.append(entries)
        alice.ring.is_reachable = True
        whole, basics = (str(bounce.get_payload()[2]) for bounce in await bounces(alice))  # type: ignore[index]
        assert "X-Only" in whole
        assert "X-Only" not in basics
        assert "Subject: lunch" in basics

    play(scene)


def test_an_endless_header_is_not_quoted() -> None:
    async def scene(alice: Member) -> None:
        await alice.submit(simple_mail(extra=f"X: {'y' * 12_000}\r\n"), NOBODY)
        (bounce,) = await bounces(alice)
        assert "yyyy" not in str(bounce)
        assert "Subject: lunch" in str(bounce)

    play(scene)


def message_fields(report: email.message.Message) -> email.message.Message:
    return report.get_payload()[1].get_payload()[0]  # type: ignore[index, union-attr, return-value]


def wishes_for_bob(notify: Notify, **asked: object) -> DeliveryWishes:
    recipient = RecipientWishes(BOB.name, int(notify), "rfc822;Bob@old.example.org")
    return DeliveryWishes(recipients=(recipient,), **asked)  # type: ignore[arg-type]


def receipt_of(alice: Member) -> bytes:
    """A receipt block; whether its signature holds was looked at before reports are written."""
    signed = Receipt(1, bytes(32), BOB.account_id, 2, ReceiptStatus.ACCEPTED, WALL_MS)
    return encode(ReceiptBlock(1, sign(alice.key, Kind.RECEIPT, encode(signed)), b"", b""))


def test_a_delivery_is_reported_on_the_recipients_receipt_with_what_the_sender_named() -> None:
    async def scene(alice: Member) -> None:
        await alice.submit(simple_mail(subject="hello?"), BOB.name)
        (content,) = alice.post.contents
        wishes = wishes_for_bob(
            Notify.SUCCESS, envelope_id="QQ314159", hold="for;600", submitted=1_000_000_000
        )
        receipt = receipt_of(alice)
        notice = told_of(content, recipient=BOB.name, reason="", wishes=wishes, receipt=receipt)
        await alice.log.append(await alice.mail.inbox.delivered(notice))
        (report,) = await bounces(alice)
        assert report["Subject"] == f"Mail delivered: {BOB.name}"
        fields = message_fields(report)
        assert fields["Original-Envelope-Id"] == "QQ314159"
        assert fields["Future-Release-Request"] == "for;600"
        assert fields["Arrival-Date"] == "Sun, 09 Sep 2001 01:46:40 -0000"
        status = status_of(report)
        assert status["Original-Recipient"] == "rfc822;Bob@old.example.org"
        assert status["Final-Recipient"] == f"rfc822; {BOB.name}"
        assert (status["Action"], status["Status"]) == ("delivered", "2.0.0")
        digest = hashlib.sha256(receipt).hexdigest()
        assert status["X-ePOST-Receipt"] == f"device=2; sha256={digest}"
        assert "hello?" in str(report.get_payload()[2])  # type: ignore[index]

    play(scene)


@pytest.mark.parametrize("notify", [Notify(number) for number in range(8)])
def test_a_sender_hears_what_she_asked_for_and_nothing_else(notify: Notify) -> None:
    async def scene(alice: Member) -> None:
        await alice.submit(simple_mail(), BOB.name)
        (content,) = alice.post.contents
        notice = told_of(content, recipient=BOB.name, wishes=wishes_for_bob(notify))
        told = {
            Notify.SUCCESS: await alice.mail.inbox.delivered(notice),
            Notify.FAILURE: await alice.mail.inbox.undeliverable(notice),
            Notify.DELAY: await alice.mail.inbox.delayed(notice),
        }
        assert {asked for asked, entries in told.items() if entries} == set(notify)

    play(scene)


def test_without_wishes_failures_and_delays_are_told_and_deliveries_are_not() -> None:
    async def scene(alice: Member) -> None:
        await alice.submit(simple_mail(), BOB.name)
        assert alice.post.memos == [b""]
        (content,) = alice.post.contents
        inbox, notice = alice.mail.inbox, told_of(content)
        assert await inbox.delayed(notice)
        assert await inbox.undeliverable(notice)
        assert not await inbox.delivered(notice)

    play(scene)


def test_nobody_is_told_of_a_notification_that_cannot_be_delivered() -> None:
    async def scene(alice: Member) -> None:
        await alice.mail.submission.submit(ALICE.name, "", [NOBODY], simple_mail())
        assert await bounces(alice) == []

    play(scene)


@pytest.mark.parametrize("size", [100, 100_000])
def test_a_failed_mail_comes_back_whole_if_its_sender_wants_it(size: int) -> None:
    async def scene(alice: Member) -> None:
        mail = simple_mail(body="word " * (size // 5))
        await alice.submit(mail, NOBODY, wishes=DeliveryWishes(returns_full=True))
        (report,) = await bounces(alice)
        returned = report.get_payload()[2]  # type: ignore[index]
        assert returned.get_content_type() == "message/rfc822"  # type: ignore[union-attr]
        (uid,) = (await alice.mail.mailbox.open("INBOX")).uids()
        assert mail in await (await alice.mail.mailbox.open("INBOX")).octets(uid)

    play(scene)


def test_a_mail_that_cannot_be_read_now_comes_back_as_its_basics() -> None:
    async def scene(alice: Member) -> None:
        await alice.submit(simple_mail(body="x" * 40_000), BOB.name)
        (content,) = alice.post.contents
        await alice.restart()
        alice.ring.is_reachable = False
        wishes = DeliveryWishes(returns_full=True)
        await alice.log.append(
            await alice.mail.inbox.undeliverable(told_of(content, wishes=wishes))
        )
        (report,) = await bounces(alice)
        assert "Subject: lunch" in str(report.get_payload()[2])  # type: ignore[index]

    play(scene)


def test_an_alias_in_any_spelling_is_asked_about_once() -> None:
    async def scene(alice: Member) -> None:
        asked = (
            RecipientWishes("NoBody@Example.ORG", int(Notify.NEVER)),
            RecipientWishes(NOBODY, int(Notify.FAILURE)),
        )
        await alice.submit(simple_mail(), NOBODY, wishes=DeliveryWishes(recipients=asked))
        assert await bounces(alice) == []
        (memo,) = alice.post.memos
        assert [each.name for each in read_wishes(memo).recipients] == [NOBODY]

    play(scene)


def test_a_mail_with_binary_octets_is_said_to_be_so() -> None:
    async def scene(alice: Member) -> None:
        for number, (body, encoding) in enumerate(
            [("plain", "7bit"), ("ü", "8bit"), ("a\nb", "binary"), ("\0", "binary")]
        ):
            await alice.submit(simple_mail(body=body), NOBODY, wishes=FULL)
            report = (await bounces(alice))[number]
            returned = report.get_payload()[2]  # type: ignore[index]
            assert returned["Content-Transfer-Encoding"] == encoding  # type: ignore[call-overload]

    play(scene)
