"""Submission: who may send what to whom, and what is promised."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from epost.apps.mail.delivery.notice import INLINE_BYTES_MAX, InNotice, InStore, read_notice
from epost.apps.mail.delivery.submission import RECIPIENTS_MAX, RecipientVerdict, Renamed
from epost.apps.mail.mailbox import MAIL_SIZE_BYTES_MAX, Durability
from epost.crypto.certificates import AccountFlag
from epost.foundation.errors import (
    DiskFull,
    MessageTooLarge,
    NotPermitted,
    RefusedError,
    UntrustedCertificate,
)
from epost.post.accounts.contacts import Contact
from epost.simulation.clock import run
from tests.support.large_octets import Zeros
from tests.support.mail import (
    ALICE,
    BOB,
    CAROL,
    HELD,
    Member,
    account,
    living,
    organisation,
    simple_mail,
)

Scene = Callable[[Member, Member], Awaitable[None]]
ME = ALICE.name
ROBERT = "robert@example.org"


async def refused(contact: Contact) -> Contact:
    raise UntrustedCertificate(f"{contact.name} is not who she was")


def play(scene: Scene) -> None:
    async def story() -> None:
        alice, bob, carol = organisation(ALICE, BOB, CAROL)
        async with living(alice, bob, carol):
            await scene(alice, bob)

    run(story())


async def inbox_of(member: Member) -> list[bytes]:
    inbox = await member.mail.mailbox.open("INBOX")
    return [await inbox.octets(uid) for uid in inbox.uids()]


@pytest.mark.parametrize("address", ["alice@example.org", "AL@EXAMPLE.org", ""])
def test_an_account_sends_under_its_names_and_the_null_sender(address: str) -> None:
    async def scene(alice: Member, _: Member) -> None:
        await alice.mail.submission.check_sender(ME, address)

    play(scene)


@pytest.mark.parametrize(
    ("account", "address"), [(ME, "bob@example.org"), (ME, "alice"), ("bob@example.org", ME)]
)
def test_an_account_sends_under_no_other_name(account: str, address: str) -> None:
    async def scene(alice: Member, _: Member) -> None:
        with pytest.raises(NotPermitted):
            await alice.mail.submission.check_sender(account, address)
        with pytest.raises(NotPermitted):
            await alice.mail.submission.submit(account, address, [BOB.name], simple_mail())

    play(scene)


@pytest.mark.parametrize(
    ("address", "verdict"),
    [
        ("bob@example.org", RecipientVerdict.KNOWN),
        ("AL@example.org", RecipientVerdict.KNOWN),
        ("nobody@example.org", RecipientVerdict.UNKNOWN),
        ("no name", RecipientVerdict.UNKNOWN),
        ("bob@elsewhere.org", RecipientVerdict.OTHER_DOMAIN),
        ("bob@sub.example.org", RecipientVerdict.OTHER_DOMAIN),
    ],
)
def test_a_recipient_is_looked_up(address: str, verdict: RecipientVerdict) -> None:
    async def scene(alice: Member, _: Member) -> None:
        assert await alice.mail.submission.check_recipient(ME, address) is verdict

    play(scene)


@pytest.mark.parametrize("is_verified", [True, False])
def test_a_recipient_with_another_name_by_now_is_told_if_that_can_be_verified(
    is_verified: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(alice: Member, _: Member) -> None:
        former = account("bob@example.org", aliases=(ROBERT,), flags=AccountFlag.FORMER_NAME)
        alice.names.everybody[former.name] = former
        if not is_verified:
            monkeypatch.setattr(alice.names, "present", refused)
        verdict = await alice.mail.submission.check_recipient(ME, former.name)
        assert verdict == (Renamed(ROBERT) if is_verified else RecipientVerdict.KNOWN)

    play(scene)


def test_a_recipient_who_cannot_be_looked_up_now_is_unresolved() -> None:
    async def scene(alice: Member, _: Member) -> None:
        alice.names.is_reachable = False
        verdict = await alice.mail.submission.check_recipient(ME, BOB.name)
        assert verdict is RecipientVerdict.UNRESOLVED

    play(scene)


def test_a_look_up_does_not_keep_the_client_waiting() -> None:
    async def scene(alice: Member, _: Member) -> None:
        alice.names.delay_seconds = 3600.0
        loop = asyncio.get_running_loop()
        before = loop.time()
        verdict = await alice.mail.submission.check_recipient(ME, BOB.name)
        assert verdict is RecipientVerdict.UNRESOLVED
        assert loop.time() - before < 10

    play(scene)


def test_a_submission_that_is_under_way_ends_with_the_service() -> None:
    async def story() -> None:
        (alice,) = organisation(ALICE)
        await alice.start()
        alice.ring.may_store = asyncio.Event()
        before = asyncio.all_tasks()
        waiting = asyncio.ensure_future(alice.submit(simple_mail(body="x" * 40_000), ME))
        await asyncio.sleep(1)
        await alice.mail.stop()
        await asyncio.sleep(1)
        assert waiting.cancelled()
        assert asyncio.all_tasks() <= before

    run(story())


def test_a_small_mail_to_a_few_rides_inside_the_notice() -> None:
    async def scene(alice: Member, bob: Member) -> None:
        await alice.submit(simple_mail(), BOB.name)
        (content,) = alice.post.contents
        assert read_notice(content).content == InNotice(simple_mail())
        assert await inbox_of(bob) == [simple_mail()]

    play(scene)


def test_a_larger_mail_or_one_to_many_is_stored_and_referred_to() -> None:
    async def scene(alice: Member, bob: Member) -> None:
        large = simple_mail(body="x" * INLINE_BYTES_MAX)
        await alice.submit(large, BOB.name)
        many = [f"nobody{number}@example.org" for number in range(10)]
        await alice.submit(simple_mail(), BOB.name, *many)
        kinds = [type(read_notice(content).content) for content in alice.post.contents]
        assert kinds == [InStore, InStore]
        assert await inbox_of(bob) == [large, simple_mail()]

    play(scene)


def test_parts_of_any_number_fit_into_a_notice() -> None:
    async def scene(alice: Member, bob: Member) -> None:
        part = "--b\r\nContent-Type: text/plain\r\n\r\n{}" + "y" * 2000 + "\r\n"
        body = "".join(part.format(number) for number in range(300)) + "--b--\r\n"
        mail = simple_mail(body=body, extra="Content-Type: multipart/mixed; boundary=b\r\n")
        await alice.submit(mail, BOB.name)
        assert await inbox_of(bob) == [mail]

    play(scene)


def test_every_recipient_gets_one_notice_and_sees_no_bcc() -> None:
    async def scene(alice: Member, bob: Member) -> None:
        mail = simple_mail(extra="Bcc: carol@example.org\r\n")
        await alice.submit(mail, BOB.name, "BOB@example.org", CAROL.name)
        expected = simple_mail()
        assert await inbox_of(bob) == [expected]
        assert await inbox_of(alice.post.members[CAROL.name]) == [expected]
        assert all(b"carol" not in content for content in alice.post.contents)

    play(scene)


def test_a_part_sent_again_is_not_stored_again() -> None:
    async def scene(alice: Member, _: Member) -> None:
        body = "x" * 50_000
        await alice.submit(simple_mail(body=body), BOB.name)
        stored = alice.ring.stored
        await alice.submit(simple_mail(subject="fwd", body=body), CAROL.name)
        assert alice.ring.stored - stored < 2000

    play(scene)


def test_only_attachments_of_unlabelled_mails_may_be_shared() -> None:
    def with_attachment(label: str, text: str) -> bytes:
        head = f"{label}Content-Type: multipart/mixed; boundary=b\r\n"
        file = "--b\r\nContent-Type: application/zip\r\n\r\n" + text * 20_000 + "\r\n--b--\r\n"
        return simple_mail(extra=head, body=file)

    async def scene(alice: Member, _: Member) -> None:
        await alice.submit(with_attachment("", "p"), BOB.name)
        assert alice.messages.confidential == [True, False]
        await alice.submit(with_attachment("Sensitivity: Private\r\n", "q"), BOB.name)
        assert alice.messages.confidential == [True, False, True, True]

    play(scene)


def test_the_answer_says_on_how_many_machines_the_mail_is() -> None:
    async def scene(alice: Member, _: Member) -> None:
        submission = alice.mail.submission
        submitted = await submission.submit(ME, "", [BOB.name], simple_mail())
        assert submitted.durability is Durability.RING_DURABLE
        assert (submitted.machines, submitted.machines_wanted) == (3, 3)
        assert len(bytes.fromhex(submitted.id)) == 16
        alice.messages.durability = HELD
        large = simple_mail(body="x" * 20_000)
        submitted = await submission.submit(ME, "", [BOB.name], large)
        assert submitted.durability is Durability.HELD_LOCALLY
        assert (submitted.machines, submitted.machines_wanted) == (1, 3)

    play(scene)


@pytest.mark.parametrize(
    "mail",
    [
        simple_mail("bob@example.org"),
        simple_mail(extra="Sender: bob@example.org\r\n"),
        simple_mail(extra="X-ePOST-Secure: True\r\n"),
        b"Subject: no author\r\n\r\n",
    ],
)
def test_a_header_that_claims_too_much_is_not_permitted(mail: bytes) -> None:
    async def scene(alice: Member, _: Member) -> None:
        with pytest.raises(NotPermitted):
            await alice.submit(mail, BOB.name)
        assert not alice.post.contents

    play(scene)


def test_mails_and_lists_of_recipients_are_bounded() -> None:
    async def scene(alice: Member, _: Member) -> None:
        with pytest.raises(MessageTooLarge):
            await alice.submit(Zeros(MAIL_SIZE_BYTES_MAX + 1), BOB.name)
        crowd = [f"m{number}@example.org" for number in range(RECIPIENTS_MAX + 1)]
        for recipients in ([], crowd, ["no name"]):
            with pytest.raises(RefusedError):
                await alice.submit(simple_mail(), *recipients)

    play(scene)


def test_a_submission_goes_on_when_its_client_is_gone() -> None:
    async def scene(alice: Member, bob: Member) -> None:
        submitting = asyncio.create_task(alice.submit(simple_mail(), BOB.name))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        submitting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await submitting
        await asyncio.sleep(1)
        assert await inbox_of(bob) == [simple_mail()]

    play(scene)


def test_a_full_disk_is_told_to_the_client() -> None:
    async def scene(alice: Member, _: Member) -> None:
        alice.messages.error = DiskFull("no room")
        with pytest.raises(DiskFull):
            await alice.submit(simple_mail(body="x" * 20_000), BOB.name)

    play(scene)
