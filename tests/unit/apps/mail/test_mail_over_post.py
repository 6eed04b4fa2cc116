"""Mail over the real POST services: logs, notices, seals and references, on one virtual loop."""

from __future__ import annotations

from dataclasses import dataclass, field

from epost.apps.mail.log.records import Insert, Noticed, decode_record
from epost.apps.mail.mailbox import DELETED, SEEN, Durability, FlagChange, NewMail
from epost.apps.mail.observed import MailIndexCaughtUp
from epost.apps.mail.service import MailService
from epost.apps.mail.services import MailServices
from epost.crypto.signed import parse
from epost.crypto.signing import Kind
from epost.post.app_ids import AppId
from epost.post.assembly import Post
from epost.post.notification.notices import decode_signed_notice
from epost.simulation.clock import run
from epost.simulation.mail_index import SimulatedMailIndex
from tests.support.mail import simple_mail
from tests.support.post_world import Machine, World, settle

LARGE = simple_mail(body="x" * 200_000)


@dataclass
class Desk:
    """A user's machine with its mail."""

    machine: Machine
    index: SimulatedMailIndex = field(default_factory=SimulatedMailIndex)

    async def start(self) -> MailService:
        """Start POST and mail; again, if they ran before."""

        def prepare(post: Post) -> None:
            services = post.services
            self.mail = MailService(
                MailServices(
                    log=services.log,
                    siblings=services.siblings,
                    messages=services.messages,
                    sending=services.notifications,
                    names=services.accounts,
                    clock=services.clock,
                    entropy=services.entropy,
                    observer=services.observer,
                    snapshots=services.snapshots,
                    run_story=self.machine.stories.run_story,
                ),
                self.index,
            )
            services.notifications.register(AppId.MAIL, self.mail.inbox)

        await self.machine.start(prepare)
        await self.mail.start()
        return self.mail

    async def stop(self) -> None:
        await self.mail.stop()
        await self.machine.stop()

    async def submit(self, octets: bytes, *recipients: str) -> Durability:
        name = self.machine.name
        submitted = await self.mail.submission.submit(name, name, recipients, octets)
        return submitted.durability

    async def shown(self, name: str = "INBOX") -> list[tuple[int, frozenset[str], bytes]]:
        folder = await self.mail.mailbox.open(name)
        rows = await folder.rows(folder.uids())
        return [(row.uid, row.flags, await folder.octets(row.uid)) for row in rows]


async def office() -> tuple[World, Desk, Desk]:
    world = World()
    alice, bob = Desk(world.enrol("alice")), Desk(world.enrol("bob"))
    await alice.start()
    await bob.start()
    await settle()
    return world, alice, bob


def test_mails_arrive_to_the_octet_and_are_ring_durable() -> None:
    async def story() -> None:
        world, alice, bob = await office()
        for octets in (simple_mail(), LARGE):
            assert await alice.submit(octets, "bob@example.org") is Durability.RING_DURABLE
        assert [octets for _, _, octets in await bob.shown()] == [simple_mail(), LARGE]
        await world.stop()

    run(story())


def test_a_rebuilt_index_is_made_from_the_signed_log() -> None:
    async def story() -> None:
        world, alice, bob = await office()
        for number in range(60):
            await alice.submit(simple_mail(subject=str(number)), "bob@example.org")
        inbox = await bob.mail.mailbox.open("INBOX")
        await inbox.change_flags([1, 2], FlagChange.ADD, frozenset({SEEN, DELETED}))
        await inbox.expunge([1])
        await inbox.append([NewMail(LARGE)])
        await inbox.move([5], "Archive")
        before = [await bob.shown(name) for name in ("INBOX", "Archive")]
        await bob.stop()
        bob.index = SimulatedMailIndex()
        await bob.start()
        assert [await bob.shown(name) for name in ("INBOX", "Archive")] == before
        assert bob.machine.observer.of(MailIndexCaughtUp)[-1].was_rebuilt
        await world.stop()

    run(story())


def test_a_copy_of_a_sent_mail_costs_no_block() -> None:
    async def story() -> None:
        world, alice, _ = await office()
        await alice.submit(LARGE, "bob@example.org")
        contents = sum(handle.kind.name == "CONTENT" for handle in world.ring.inserted)
        sent = await alice.mail.mailbox.open("Sent")
        await sent.append([NewMail(LARGE)])
        after = sum(handle.kind.name == "CONTENT" for handle in world.ring.inserted)
        assert after == contents
        assert await sent.octets(1) == LARGE
        await world.stop()

    run(story())


def test_without_a_network_everything_works_and_is_called_held_locally() -> None:
    async def story() -> None:
        world, alice, bob = await office()
        await alice.submit(simple_mail(), "bob@example.org")
        for desk in (alice, bob):
            desk.machine.is_online = False
        inbox = await bob.mail.mailbox.open("INBOX")
        outcome = await inbox.append([NewMail(LARGE)])
        assert outcome.durability is Durability.HELD_LOCALLY
        assert [octets for _, _, octets in await bob.shown()] == [simple_mail(), LARGE]
        assert await alice.submit(simple_mail(), "bob@example.org") is Durability.HELD_LOCALLY
        await bob.stop()
        await bob.start()
        assert [octets for _, _, octets in await bob.shown()] == [simple_mail(), LARGE]
        for desk in (alice, bob):
            desk.machine.is_online = True
        await settle(600)
        assert len(await bob.shown()) == 3
        await world.stop()

    run(story())


def test_a_mail_to_nobody_bounces_into_the_senders_inbox() -> None:
    async def story() -> None:
        world, alice, _ = await office()
        await alice.submit(LARGE, "nobody@example.org")
        await settle(2 * 3600)
        ((_, _, bounce),) = await alice.shown()
        assert b"Action: failed" in bounce
        assert b"nobody@example.org" in bounce
        await world.stop()

    run(story())


def test_a_cloned_disk_loses_no_mail_and_numbers_anew() -> None:
    async def story() -> None:
        world, alice, bob = await office()
        await alice.submit(simple_mail(subject="both have it"), "bob@example.org")
        inbox = await bob.mail.mailbox.open("INBOX")
        await settle(10)
        old = await bob.mail.mailbox.counters("INBOX")
        clone = Desk(bob.machine.clone())
        await inbox.append([NewMail(b"only in the ring")])
        await settle(10)
        await bob.stop()
        clone.machine.is_online = False
        await clone.start()
        drafts = await clone.mail.mailbox.open("INBOX")
        await drafts.append([NewMail(b"only on the clone")])
        clone.machine.is_online = True
        await settle(300)
        found = await clone.shown()
        assert sorted(octets for _, _, octets in found) == sorted(
            [simple_mail(subject="both have it"), b"only in the ring", b"only on the clone"]
        )
        new = await clone.mail.mailbox.counters("INBOX")
        assert new.uid_validity > old.uid_validity
        await clone.stop()
        clone.index = SimulatedMailIndex()
        await clone.start()
        assert await clone.shown() == found
        await clone.stop()
        await world.stop()

    run(story())


def test_the_kept_notice_still_carries_the_senders_signature() -> None:
    async def story() -> None:
        world, alice, bob = await office()
        await alice.submit(simple_mail(), "bob@example.org")
        log = bob.machine.post.services.log if bob.machine.post else None
        assert log is not None
        records = [decode_record(payload) async for _, payload in log.replay(AppId.MAIL, 0)]
        (insert,) = [record for record in records if isinstance(record, Insert)]
        assert isinstance(insert.content, Noticed)
        signed = decode_signed_notice(insert.content.signed)
        assert len(parse(signed.notice, Kind.NOTICE).signature) == 64
        await world.stop()

    run(story())
