"""Bounces: mail from the system about mail that does not arrive."""

from __future__ import annotations

import email
import email.message
from collections.abc import Awaitable, Callable, Sequence

from epost.apps.mail.notice import read_notice
from epost.post.log_records import Entry
from epost.simulation.clock import run
from tests.support.mail import ALICE, BOB, Member, living, organisation, simple_mail

Scene = Callable[[Member], Awaitable[None]]
NOBODY = "nobody@example.org"


def play(scene: Scene) -> None:
    async def story() -> None:
        alice, bob = organisation(ALICE, BOB)
        async with living(alice, bob):
            await scene(alice)

    run(story())


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
            told.append(await alice.mail.inbox.undeliverable(b"k" * 16, content, NOBODY, "gone"))
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
            await alice.mail.inbox.delayed(b"k" * 16, content, BOB.name, "not seen since Monday")
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
        entries = await alice.mail.inbox.undeliverable(b"k" * 16, content, NOBODY, reason)
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
            entries = await alice.mail.inbox.undeliverable(key, content, NOBODY, "gone")
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
