"""Notification from end to end: direct, delegated, retried, bounced, exactly once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from epost.crypto.names import certificate_digest
from epost.foundation.errors import MessageTooLarge, RefusedError
from epost.foundation.ids import BlockKind, Handle
from epost.past.pending import ReceiptStatus, receipt_handle
from epost.post.app_ids import AppId
from epost.post.logs.entries import Entry
from epost.post.notification import receipts
from epost.post.notification.handlers import (
    Accepted,
    Answer,
    Deferred,
    Dispatched,
    Notification,
    Refused,
)
from epost.post.notification.notifications import Sent
from epost.post.notification.records import DeliveryState
from epost.simulation.clock import run
from epost.simulation.world import EPOCH_MS
from tests.support.post_world import DOMAIN, FOR_DAYS, Machine, World, settle

BOB = f"bob@{DOMAIN}"


@dataclass
class Inbox:
    """A mail application that accepts everything, unless told otherwise."""

    received: list[Notification] = field(default_factory=list)
    bounced: list[tuple[bytes, str, str]] = field(default_factory=list)
    warned: list[str] = field(default_factory=list)
    told: list[Dispatched] = field(default_factory=list)
    answer: Answer | None = None

    async def accept(self, notification: Notification) -> Answer:
        self.received.append(notification)
        return self.answer or Accepted([Entry(AppId.MAIL, notification.content)])

    async def delivered(self, notice: Dispatched) -> Sequence[Entry]:
        self.told.append(notice)
        return [Entry(AppId.MAIL, b"delivered: " + notice.recipient.encode())]

    async def undeliverable(self, notice: Dispatched) -> Sequence[Entry]:
        self.told.append(notice)
        self.bounced.append((notice.content, notice.recipient, notice.reason))
        return [Entry(AppId.MAIL, b"bounce: " + notice.recipient.encode())]

    async def delayed(self, notice: Dispatched) -> Sequence[Entry]:
        self.told.append(notice)
        self.warned.append(notice.recipient)
        return [Entry(AppId.MAIL, b"late: " + notice.recipient.encode())]


async def start(machine: Machine) -> Inbox:
    inbox = Inbox()
    await machine.start(lambda post: post.services.notifications.register(AppId.MAIL, inbox))
    if machine not in machine.world.delegates:
        machine.world.delegates.append(machine)
    return inbox


async def folder(machine: Machine) -> list[bytes]:
    assert machine.post is not None
    return [payload async for _, payload in machine.post.log.replay(AppId.MAIL, 0)]


async def send(machine: Machine, content: bytes, *names: str, **options: Any) -> Sent:
    assert machine.post is not None
    full = [name if "@" in name else f"{name}@{DOMAIN}" for name in names]
    return await machine.post.services.notifications.send(AppId.MAIL, content, full, **options)


def state(machine: Machine, sent: Sent) -> list[DeliveryState]:
    assert machine.post is not None
    return [s.state for s in machine.post.services.notifications.states(sent.message_key)]


def test_a_notification_reaches_whoever_is_there_at_once_and_once() -> None:
    async def story() -> None:
        world = World()
        alice, bob = world.enrol("alice"), world.enrol("bob")
        await start(alice)
        inbox = await start(bob)
        await settle()
        started = asyncio.get_running_loop().time()
        sent = await send(alice, b"hello", "bob", "bob")
        assert asyncio.get_running_loop().time() - started < 0.1
        assert sent.durability.ring_durable
        assert [s.state for s in sent.states] == [DeliveryState.STORED], "nothing was signed yet"
        (received,) = inbox.received
        assert (received.content, received.sender_name) == (b"hello", f"alice@{DOMAIN}")
        assert received.sender_account == alice.new.keys.account_id
        assert await folder(bob) == [b"hello"]
        assert not world.pending, "nothing was left with delegates"
        await settle(5)
        assert state(alice, sent) == [], "settled, and out of the outbox"
        await world.stop()

    run(story())


def test_whoever_is_away_gets_it_from_delegates_when_she_is_back() -> None:
    async def story() -> None:
        world = World()
        alice, bob, carol = (world.enrol(name) for name in ("alice", "bob", "carol"))
        for machine in (alice, carol):
            await start(machine)
        sent = await send(alice, b"hello", "bob")
        assert sent.durability.ring_durable
        assert [s.state for s in sent.states] == [DeliveryState.DELEGATED]
        await settle(3)
        assert state(alice, sent) == [DeliveryState.DELEGATED]
        await alice.stop()  # the sender is gone for good
        inbox = await start(bob)
        await settle(3)
        assert [n.content for n in inbox.received] == [b"hello"]
        assert await folder(bob) == [b"hello"]
        assert not world.pending
        await start(alice)
        await settle(30)
        assert state(alice, sent) == [], "the receipt in the ring settled it"
        assert len(inbox.received) == 1
        await world.stop()

    run(story())


@pytest.mark.parametrize("status", [ReceiptStatus.ACCEPTED, ReceiptStatus.DEFERRED])
def test_a_receipt_of_a_lying_replica_does_not_hide_the_true_one(status: ReceiptStatus) -> None:
    """Signed by somebody else, or once by the recipient herself: they are never on together."""

    async def story() -> None:
        world = World()
        alice, bob, carol = (world.enrol(name) for name in ("alice", "bob", "carol"))
        for machine in (alice, carol):
            await start(machine)
        sent = await send(alice, b"hello", "bob")
        (pending,) = world.pending
        await settle(3)
        await alice.stop()
        await start(bob)
        await settle(3)
        assert not world.pending
        await bob.stop()
        liar = carol if status is ReceiptStatus.ACCEPTED else bob
        early = receipts.sign(liar.device, pending.digest, status, EPOCH_MS)
        world.ring.of_liars[receipt_handle(pending.digest)] = early
        mine = await start(alice)
        await settle(60)
        assert state(alice, sent) == []
        assert mine.bounced == []
        await world.stop()

    run(story())


def test_delegates_let_go_and_never_listen_when_her_device_answers_a_little_late() -> None:
    async def story() -> None:
        world = World(direct_patience_seconds=0.001)
        alice, bob, carol = (world.enrol(name) for name in ("alice", "bob", "carol"))
        for machine in (alice, carol):
            await start(machine)
        inbox = await start(bob)
        sent = await send(alice, b"hello", "bob")
        assert [s.state for s in sent.states] == [DeliveryState.DELEGATED]
        await settle(world.config.listening_delay_seconds / 2)
        assert [n.content for n in inbox.received] == [b"hello"]
        assert state(alice, sent) == []
        assert not world.pending, "though her presence was not announced since"
        await settle(world.config.listening_delay_seconds)
        assert not any(world.groups.values()), "nobody waits for news of her"
        await world.stop()

    run(story())


def test_the_sender_hears_of_a_delegated_delivery_at_once() -> None:
    async def story() -> None:
        world = World()
        alice, bob, carol = (world.enrol(name) for name in ("alice", "bob", "carol"))
        for machine in (alice, carol):
            await start(machine)
        world.delegates.remove(alice)  # so that carol brings it
        sent = await send(alice, b"hello", "bob")
        await settle(15)
        await start(bob)
        await settle(3)
        assert state(alice, sent) == []
        await world.stop()

    run(story())


def test_without_the_ring_it_is_held_and_sent_later() -> None:
    async def story() -> None:
        world = World()
        alice, bob = world.enrol("alice"), world.enrol("bob")
        inbox = await start(bob)
        alice.is_online = False
        await start(alice)
        sent = await send(alice, b"from a train", "bob", "carol")
        assert not sent.durability.ring_durable
        assert [s.state for s in sent.states] == [DeliveryState.HELD] * 2
        await alice.stop()
        alice.is_online = True
        mine = await start(alice)
        await settle(120)
        assert [n.content for n in inbox.received] == [b"from a train"]
        await settle(2 * 3600)
        assert [recipient for _, recipient, _ in mine.bounced] == [f"carol@{DOMAIN}"]
        assert state(alice, sent) == []
        assert await folder(alice) == [b"bounce: carol@" + DOMAIN.encode()]
        await world.stop()

    run(story())


def test_a_name_that_nobody_is_found_of_for_a_while_is_waited_for() -> None:
    """The part of the ring that answers may be cut off from those who have the certificate."""

    async def story() -> None:
        world = World()
        alice, bob = world.enrol("alice"), world.enrol("bob")
        mine, inbox = await start(alice), await start(bob)
        certificate = Handle(BlockKind.CERTIFICATE, certificate_digest(BOB))
        hidden = world.ring.blocks.pop(certificate)
        sent = await send(alice, b"hello", "bob", "nobody")
        assert [s.state for s in sent.states] == [DeliveryState.HELD] * 2
        await settle(20 * 60)
        world.ring.blocks[certificate] = hidden
        await settle(40 * 60)
        assert [n.content for n in inbox.received] == [b"hello"]
        assert mine.bounced == []
        await settle(3600)
        assert [recipient for _, recipient, _ in mine.bounced] == [f"nobody@{DOMAIN}"]
        assert state(alice, sent) == []
        await world.stop()

    run(story())


def test_an_unknown_name_bounces_and_the_others_still_get_it() -> None:
    async def story() -> None:
        world = World()
        alice, bob = world.enrol("alice"), world.enrol("bob")
        mine, inbox = await start(alice), await start(bob)
        sent = await send(alice, b"hello", "nobody", "bob")
        assert [s.state for s in sent.states] == [DeliveryState.STORED, DeliveryState.HELD]
        assert not sent.durability.ring_durable
        await settle(2 * 3600)
        assert state(alice, sent) == []
        assert [(recipient, content) for content, recipient, _ in mine.bounced] == [
            (f"nobody@{DOMAIN}", b"hello")
        ]
        assert len(inbox.received) == 1
        await world.stop()

    run(story())


def test_an_expired_notice_bounces_and_is_never_delivered() -> None:
    async def story() -> None:
        world = World(notice_lifetime_seconds=3600.0)
        alice, bob = world.enrol("alice"), world.enrol("bob")
        mine = await start(alice)
        world.delegates.clear()
        await send(alice, b"hello", "bob")
        await settle(3 * 3600)
        ((content, recipient, reason),) = mine.bounced
        assert (content, recipient) == (b"hello", BOB)
        assert "in time" in reason
        inbox = await start(bob)
        await settle(3 * 3600)
        assert inbox.received == []
        assert len(mine.bounced) == 1
        await world.stop()

    run(story())


def test_nothing_bounces_while_the_own_clock_is_doubted() -> None:
    async def story() -> None:
        world = World(notice_lifetime_seconds=60.0)
        alice, _ = world.enrol("alice"), world.enrol("bob")
        mine = await start(alice)
        object.__setattr__(alice.ports, "is_clock_sound", lambda: False)
        await send(alice, b"hello", "bob")
        await settle(3600)
        assert mine.bounced == []
        object.__setattr__(alice.ports, "is_clock_sound", lambda: True)
        await settle(3600)
        assert len(mine.bounced) == 1
        await world.stop()

    run(story())


def test_what_the_application_refuses_comes_back_and_what_it_defers_comes_again() -> None:
    async def story() -> None:
        world = World()
        alice, bob = world.enrol("alice"), world.enrol("bob")
        mine, inbox = await start(alice), await start(bob)
        inbox.answer = Refused("spam")
        sent = await send(alice, b"buy", "bob")
        assert [s.state for s in sent.states] == [DeliveryState.REFUSED]
        assert [content for content, _, _ in mine.bounced] == [b"buy"]
        inbox.answer = Deferred()
        await send(alice, b"later", "bob")
        await settle(60)
        assert await folder(bob) == []
        inbox.answer = None
        await settle(120)
        assert await folder(bob) == [b"later"]
        await world.stop()

    run(story())


def test_no_receipt_is_given_before_k_machines_have_the_record() -> None:
    async def story() -> None:
        world = World()
        alice, bob = world.enrol("alice"), world.enrol("bob")
        await start(alice)
        inbox = await start(bob)
        await settle()
        assert bob.post is not None
        await bob.post.services.accounts.resolve(f"alice@{DOMAIN}")
        bob.store._reach = unreachable  # type: ignore[method-assign]
        sent = await send(alice, b"hello", "bob")
        assert state(alice, sent) == [DeliveryState.STORED], "said to be kept, not to be delivered"
        assert await folder(bob) == [b"hello"], "shown at once"
        await settle(3)
        assert state(alice, sent) == [DeliveryState.DELEGATED], "with delegates, to be sure"
        assert len(world.pending) == 1
        del bob.store._reach
        await settle(60)
        assert state(alice, sent) == []
        assert len(inbox.received) == 1
        await world.stop()

    run(story())


async def unreachable() -> bool:
    return False


def test_every_recipient_may_get_her_own_content() -> None:
    async def story() -> None:
        world = World()
        alice, bob, carol = (world.enrol(name) for name in ("alice", "bob", "carol"))
        await start(alice)
        bobs, carols = await start(bob), await start(carol)
        assert alice.post is not None
        await alice.post.services.notifications.send(
            AppId.MAIL, lambda name: b"for " + name.encode(), [BOB, f"carol@{DOMAIN}"]
        )
        assert [n.content for n in bobs.received] == [b"for " + BOB.encode()]
        assert [n.content for n in carols.received] == [b"for carol@" + DOMAIN.encode()]
        await world.stop()

    run(story())


def test_a_restart_of_the_recipient_does_not_make_her_forget_what_she_has() -> None:
    async def story() -> None:
        world = World()
        alice, bob = world.enrol("alice"), world.enrol("bob")
        await start(alice)
        await start(bob)
        await send(alice, b"hello", "bob")
        (_, body) = next(r for r in reversed(bob.requests_seen))
        for pause in (0.1, 30.0):
            await settle(pause)  # before and after the checkpoint
            await bob.stop()
            inbox = await start(bob)
            assert bob.post is not None
            first = await bob.post.endpoint.on_request(alice.node, body)
            assert first == await bob.post.endpoint.on_request(alice.node, body)
            assert inbox.received == []
        assert await folder(bob) == [b"hello"]
        await world.stop()

    run(story())


def test_a_message_to_oneself_arrives() -> None:
    async def story() -> None:
        world = World()
        alice = world.enrol("alice")
        inbox = await start(alice)
        sent = await send(alice, b"remember the milk", "alice")
        assert sent.durability.ring_durable
        assert len(inbox.received) == 1
        await world.stop()

    run(story())


def test_what_cannot_be_sent_is_refused_before_anything_is() -> None:
    async def story() -> None:
        world = World()
        alice = world.enrol("alice")
        await start(alice)
        with pytest.raises(MessageTooLarge):
            await send(alice, b"x" * 20_481, "alice")
        with pytest.raises(RefusedError):
            await send(alice, b"x")
        with pytest.raises(RefusedError):
            await send(alice, b"x", "not a name@")
        await world.stop()

    run(story())


def test_receipts_of_many_recipients_are_logged_together() -> None:
    async def story() -> None:
        world = World()
        alice = world.enrol("alice")
        others = [world.enrol(f"user{n}") for n in range(10)]
        await start(alice)
        for machine in others:
            await start(machine)
        await settle()
        assert alice.post is not None
        before = alice.post.log.sequence
        sent = await send(alice, b"x" * 16_000, *(f"user{n}" for n in range(10)))
        assert sent.durability.ring_durable
        await settle(5)
        assert alice.post.log.sequence - before == 2
        await world.stop()

    run(story())


@pytest.mark.no_cover  # tracing takes twice the time, and other tests run the same lines
def test_a_notice_that_nobody_took_for_four_hours_is_reported_once_and_still_offered() -> None:
    async def story() -> None:
        world = World(**FOR_DAYS)
        alice, bob = world.enrol("alice"), world.enrol("bob")
        mine, inbox = await start(alice), await start(bob)
        alice.is_online = False
        await send(alice, b"hello", "bob")
        await settle(3.9 * 3600)
        assert mine.warned == []
        await settle(1.2 * 3600)
        assert mine.warned == [BOB]
        assert await folder(alice) == [b"late: " + BOB.encode()]
        await alice.stop()
        mine = await start(alice)
        await settle(30 * 3600)
        assert mine.warned == [], "the log remembers that she was told"
        alice.is_online = True
        await settle(2 * 3600)
        assert [n.content for n in inbox.received] == [b"hello"]
        assert mine.bounced == []
        await world.stop()

    run(story())


@pytest.mark.no_cover
def test_a_notice_that_delegates_keep_is_reported_after_three_days() -> None:
    async def story() -> None:
        world = World(**FOR_DAYS)
        alice, carol, _ = world.enrol("alice"), world.enrol("carol"), world.enrol("bob")
        mine, _ = await start(alice), await start(carol)
        sent = await send(alice, b"hello", "bob")
        assert [s.state for s in sent.states] == [DeliveryState.DELEGATED]
        await settle(2.9 * 24 * 3600)
        assert mine.warned == []
        await settle(0.2 * 24 * 3600)
        assert mine.warned == [BOB]
        await world.stop()

    run(story())


def test_what_is_sent_while_the_own_clock_is_ahead_is_dated_by_the_peers_clocks() -> None:
    async def story() -> None:
        world = World()
        alice, bob = world.enrol("alice"), world.enrol("bob")
        await start(alice)
        inbox = await start(bob)
        alice.ports.clock.skew_seconds = 3600
        await send(alice, b"nobody takes it for an hour", "bob")
        alice.clock_ahead_ms = 3_600_000  # as the peers say
        await send(alice, b"dated rightly", "bob")
        await settle()
        assert [received.content for received in inbox.received] == [b"dated rightly"]
        await settle(3600)
        assert len(inbox.received) == 2
        await world.stop()

    run(story())
