"""Memos of outgoing messages, reports of delivery, and messages that are held until later."""

from __future__ import annotations

import pytest

from epost.foundation.errors import MessageTooLarge, NoSuchMail, RefusedError
from epost.past.pending import ReceiptStatus, claimed_receipt
from epost.post.notification import delivery
from epost.post.notification.records import DeliveryState
from epost.simulation.clock import run
from tests.support.post_world import DOMAIN, Machine, World, settle
from tests.unit.post.notification.test_notifications import folder, send, start, state

HOUR_MS = 3_600_000
BOB = f"bob@{DOMAIN}"


def later(machine: Machine, milliseconds: int = HOUR_MS) -> int:
    """A moment on this machine's clock."""
    return machine.ports.clock.wall_ms() + milliseconds


def test_with_a_memo_the_sender_is_told_of_the_delivery_and_shown_the_receipt() -> None:
    async def story() -> None:
        world = World()
        alice, bob = world.enrol("alice"), world.enrol("bob")
        inbox = await start(alice)
        await start(bob)
        await send(alice, b"hello", "bob", memo=b"tell me")
        await send(alice, b"again", "bob")
        await settle()
        (told,) = inbox.told
        assert (told.content, told.recipient, told.memo) == (b"hello", BOB, b"tell me")
        assert claimed_receipt(told.receipt).status is ReceiptStatus.ACCEPTED
        assert await folder(alice) == [b"delivered: " + BOB.encode()]
        assert await folder(bob) == [b"hello", b"again"], "a memo goes to nobody"
        await world.stop()

    run(story())


def test_a_memo_outlives_a_restart_however_long_it_is() -> None:
    async def story() -> None:
        world = World()
        alice, bob = world.enrol("alice"), world.enrol("bob")
        await start(alice)
        await start(bob)
        await bob.stop()
        memo = bytes(range(256)) * 200
        await send(alice, b"hello", "bob", memo=memo)
        await alice.stop()
        inbox = await start(alice)
        await start(bob)
        await settle(120)
        assert [told.memo for told in inbox.told] == [memo]
        await world.stop()

    run(story())


def test_a_memo_too_long_for_a_record_is_refused() -> None:
    async def story() -> None:
        world = World()
        alice = world.enrol("alice")
        await start(alice)
        with pytest.raises(MessageTooLarge):
            await send(alice, b"hello", "bob", memo=bytes(200_000))
        await world.stop()

    run(story())


def test_a_held_message_is_durable_at_once_and_leaves_when_its_time_has_come() -> None:
    async def story() -> None:
        world = World()
        alice, bob = world.enrol("alice"), world.enrol("bob")
        await start(alice)
        inbox = await start(bob)
        release_at = later(alice)
        sent = await send(alice, b"hello", "bob", not_before_ms=release_at)
        assert sent.durability.ring_durable
        assert [s.state for s in sent.states] == [DeliveryState.STORED]
        await settle(1800)
        assert inbox.received == []
        assert state(alice, sent) == [DeliveryState.STORED]
        await settle(1800 + delivery.HELD_LOOK_SECONDS_MAX)
        assert [each.sent_at_ms for each in inbox.received] == [release_at]
        assert state(alice, sent) == []
        await world.stop()

    run(story())


def test_a_restart_neither_sends_a_held_message_early_nor_forgets_it() -> None:
    async def story() -> None:
        world = World()
        alice, bob = world.enrol("alice"), world.enrol("bob")
        await start(alice)
        inbox = await start(bob)
        await send(alice, b"hello", "bob", not_before_ms=later(alice))
        await alice.stop()
        await start(alice)
        await settle(600)
        assert inbox.received == []
        await alice.stop()
        await settle(3600)
        await start(alice)
        await settle(10)
        assert [each.content for each in inbox.received] == [b"hello"]
        await world.stop()

    run(story())


def test_a_held_message_can_be_withdrawn_and_never_leaves() -> None:
    async def story() -> None:
        world = World()
        alice, bob = world.enrol("alice"), world.enrol("bob")
        own = await start(alice)
        inbox = await start(bob)
        assert alice.post is not None
        notifications = alice.post.services.notifications
        names = [f"someone{n}@{DOMAIN}" for n in range(99)]
        sent = await send(alice, b"hello", "bob", *names, not_before_ms=later(alice))
        await notifications.withdraw(sent.message_key)
        assert state(alice, sent) == []
        with pytest.raises(NoSuchMail):
            await notifications.withdraw(sent.message_key)
        await settle(2 * 3600)
        assert inbox.received == []
        assert own.told == [], "who withdrew it need not be told"
        await alice.stop()
        await start(alice)
        await settle(10)
        assert inbox.received == []
        await world.stop()

    run(story())


def test_what_has_left_cannot_be_withdrawn() -> None:
    async def story() -> None:
        world = World()
        alice, bob = world.enrol("alice"), world.enrol("bob")
        await start(alice)
        await start(bob)
        await bob.stop()
        sent = await send(alice, b"hello", "bob", not_before_ms=later(alice, 1000))
        await settle(30)
        assert alice.post is not None
        with pytest.raises(RefusedError):
            await alice.post.services.notifications.withdraw(sent.message_key)
        await world.stop()

    run(story())


def test_a_message_that_is_being_withdrawn_does_not_leave_meanwhile() -> None:
    async def story() -> None:
        world = World()
        alice, bob = world.enrol("alice"), world.enrol("bob")
        await start(alice)
        inbox = await start(bob)
        release_at = later(alice, 60_000)
        sent = await send(alice, b"hello", "bob", not_before_ms=release_at)
        await settle((release_at - later(alice, 0) - 1) / 1000)
        assert alice.post is not None
        await alice.post.services.notifications.withdraw(sent.message_key)
        await settle(600)
        assert inbox.received == []
        await world.stop()

    run(story())
