"""The outbox and the retries: nothing is forgotten, nothing is offered for ever at full speed."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from epost.foundation.codec import encode
from epost.foundation.errors import Overloaded, UnavailableError
from epost.past.pending import ReceiptStatus
from epost.post.app_ids import AppId
from epost.post.logs.entries import Entry
from epost.post.messages import Answered
from epost.post.notification import notifications, receipts
from epost.post.notification.delivery import RESEALED_AT_ONCE_MAX
from epost.post.notification.outbox import Outbox
from epost.post.notification.received import ReceivedNotices
from epost.post.notification.records import (
    DeliveryState,
    Outgoing,
    OutgoingNotice,
    Received,
    Step,
)
from epost.simulation.clock import run
from tests.support.post_world import DOMAIN, World, settle
from tests.unit.post.notification.test_notifications import folder, send, start, state

BOB = f"bob@{DOMAIN}"


def outgoing(key: bytes, *names: str) -> Outgoing:
    notices = tuple(OutgoingNotice(name, name.encode().ljust(16), 0) for name in names)
    return Outgoing(key, 1, 1000, 2000, (b"content",), notices)


def step(key: bytes, notice: int, state: DeliveryState, pending: bytes = b"") -> Step:
    return Step(key, notice, state, 1500, pending, b"")


def with_alice(story):
    """Run a story with Alice's machine, started."""

    def test() -> None:
        async def whole() -> None:
            alice = World().enrol("alice")
            await alice.start()
            await story(alice)
            await alice.stop()

        run(whole())

    test.__name__ = story.__name__
    return test


@with_alice
async def test_a_message_stays_in_the_outbox_until_every_notice_is_settled(alice) -> None:
    outbox, key = Outbox(alice.device, alice.ports), b"k" * 16
    outbox.on_outgoing(7, outgoing(key, "a", "b"))
    outbox.on_step(step(key, 0, DeliveryState.DELIVERED))
    assert len(outbox) == 1
    outbox.on_step(step(key, 1, DeliveryState.REFUSED))
    assert len(outbox) == 0
    assert outbox.message(key) is None


@with_alice
async def test_steps_never_lead_back(alice) -> None:
    outbox, key = Outbox(alice.device, alice.ports), b"k" * 16
    outbox.on_outgoing(7, outgoing(key, "a", "b"))
    for state_ in (DeliveryState.DELIVERED, DeliveryState.DELEGATED, DeliveryState.UNDELIVERABLE):
        outbox.on_step(step(key, 0, state_))
        assert outbox.message(key).progress[0].state is DeliveryState.DELIVERED
    outbox.on_step(step(key, 0, DeliveryState.READ))
    assert outbox.message(key).progress[0].state is DeliveryState.READ
    outbox.on_step(step(key, 9, DeliveryState.READ))
    outbox.on_step(step(b"x" * 16, 0, DeliveryState.READ))
    outbox.on_outgoing(70, outgoing(key, "a", "b"))
    message = outbox.message(key)
    assert message.sequence == 70, "logged again after a fork"
    assert message.progress[0].state is DeliveryState.READ


@with_alice
async def test_the_outbox_comes_back_from_its_checkpoint(alice) -> None:
    outbox = Outbox(alice.device, alice.ports)
    for number in range(3):
        outbox.on_outgoing(number, outgoing(bytes((number,)) * 16, "a", "b"))
    outbox.on_step(step(bytes(16), 0, DeliveryState.DELEGATED, b"p" * 32))
    await alice.disk.durable(outbox.checkpoint())
    for notice in (0, 1):
        outbox.on_step(step(b"\1" * 16, notice, DeliveryState.DELIVERED))
    await alice.disk.durable(outbox.checkpoint())
    again = Outbox(alice.device, alice.ports)
    again.load()
    assert {message.message_key[0] for message in again.messages()} == {0, 2}
    message, index = again.delegated(b"p" * 32)
    assert (message.message_key, index) == (bytes(16), 0)
    for notice in (0, 1):
        again.on_step(step(bytes(16), notice, DeliveryState.DELIVERED))
    assert again.delegated(b"p" * 32) is None
    assert again.delegated(b"q" * 32) is None


@with_alice
async def test_the_replay_set_remembers_the_first_word_and_forgets_after_expiry(alice) -> None:
    received = ReceivedNotices(alice.device, alice.ports)
    now_ms = alice.ports.clock.wall_ms()
    first = Received(b"f" * 32, b"i" * 16, ReceiptStatus.ACCEPTED, now_ms, now_ms + 1000)
    received.on_received(5, first)
    received.on_received(9, Received(b"f" * 32, b"i" * 16, ReceiptStatus.REFUSED, 1, 2))
    found = received.find(b"f" * 32, b"i" * 16)
    assert (found.status, found.at, found.sequence) == (ReceiptStatus.ACCEPTED, now_ms, 9)
    assert received.find(b"g" * 32, b"i" * 16) is None
    await alice.disk.durable(received.checkpoint())
    assert received.find(b"f" * 32, b"i" * 16) == found
    assert len(received.expired()) == 1, "it says that it expired long ago"
    await alice.disk.durable(received.expired())
    assert received.find(b"f" * 32, b"i" * 16) is None


@pytest.mark.no_cover  # tracing takes twice the time, and other tests run the same lines
def test_pauses_between_offers_grow_to_an_hour() -> None:
    async def story() -> None:
        world = World()
        alice, bob = world.enrol("alice"), world.enrol("bob")
        await start(alice)
        await start(bob)
        world.delegates.clear()  # they offer at every presence
        offers = 0

        class Deaf:
            async def on_request(self, _sender: object, _body: bytes) -> bytes:
                nonlocal offers
                offers += 1
                raise UnavailableError("busy")

        bob.post.endpoint = Deaf()  # type: ignore[union-attr, assignment]
        await send(alice, b"hello", "bob")
        await settle(3600)
        assert offers < 15
        before = offers
        await settle(24 * 3600)
        assert 20 <= offers - before <= 30
        await world.stop()

    run(story())


def test_a_full_outbox_takes_nothing_more() -> None:
    async def story() -> None:
        world = World()
        alice, _ = world.enrol("alice"), world.enrol("bob")
        await start(alice)
        limit, notifications.MESSAGES_MAX = notifications.MESSAGES_MAX, 2
        try:
            for _ in range(2):
                await send(alice, b"hello", "bob")
            with pytest.raises(Overloaded):
                await send(alice, b"hello", "bob")
        finally:
            notifications.MESSAGES_MAX = limit
        await world.stop()

    run(story())


def test_a_bounce_that_cannot_be_made_now_is_made_later() -> None:
    async def story() -> None:
        world = World()
        alice = world.enrol("alice")
        inbox = await start(alice)
        tries = 0

        async def undeliverable(*_: object) -> Sequence[Entry]:
            nonlocal tries
            tries += 1
            if tries < 3:
                raise UnavailableError("no room for the bounce")
            return [Entry(AppId.MAIL, b"bounce")]

        inbox.undeliverable = undeliverable  # type: ignore[method-assign, assignment]
        sent = await send(alice, b"hello", "nobody")
        assert [s.state for s in sent.states] == [DeliveryState.HELD]
        await settle(6 * 3600)
        assert tries == 3
        assert await folder(alice) == [b"bounce"]
        assert state(alice, sent) == []
        await world.stop()

    run(story())


def test_a_notice_that_nobody_handles_is_refused_and_bounces_without_a_handler() -> None:
    async def story() -> None:
        world = World()
        alice, bob = world.enrol("alice"), world.enrol("bob")
        await alice.start()
        await bob.start()
        assert alice.post is not None
        sent = await alice.post.services.notifications.send(AppId.CHAT, b"hi", [BOB])
        assert [s.state for s in sent.states] == [DeliveryState.REFUSED]
        assert alice.post.services.notifications.states(sent.message_key) == ()
        await world.stop()

    run(story())


def test_a_key_that_is_gone_makes_the_sender_seal_anew() -> None:
    async def story() -> None:
        world = World()
        alice, bob = world.enrol("alice"), world.enrol("bob")
        await start(alice)
        inbox = await start(bob)
        world.delegates.clear()
        await settle()
        seeds = dict(bob.device._prekeys)
        bob.device._prekeys.clear()
        await send(alice, b"hello", "bob")
        bob.device._prekeys.update(seeds)
        await settle(60)
        assert [n.content for n in inbox.received] == [b"hello"]
        await world.stop()

    run(story())


def test_a_delegate_stops_at_what_is_not_taken_and_ignores_false_receipts() -> None:
    async def story() -> None:
        world = World()
        alice, bob, carol = (world.enrol(name) for name in ("alice", "bob", "carol"))
        await start(alice)
        await start(carol)
        for text in (b"one", b"two", b"three"):
            await send(alice, text, "bob")
        await settle(world.config.listening_delay_seconds)
        await alice.stop()
        world.delegates.remove(alice)
        inbox = await start(bob)
        world.delegates.remove(bob)
        honest, offers = bob.post.endpoint, 0  # type: ignore[union-attr]

        class Odd:
            async def on_request(self, sender: object, body: bytes) -> bytes:
                nonlocal offers
                offers += 1
                if offers == 1:
                    raise UnavailableError("busy")
                forged = receipts.sign(carol.device, bytes(32), ReceiptStatus.ACCEPTED, 0)
                return encode(Answered(forged))

        bob.post.endpoint = Odd()  # type: ignore[union-attr, assignment]
        await settle(90)
        assert offers == 3, "one offer per presence: at the start, with the ring, a minute later"
        assert len(world.pending) == 3
        bob.post.endpoint = honest  # type: ignore[union-attr]
        await settle(90)
        assert sorted(n.content for n in inbox.received) == [b"one", b"three", b"two"]
        assert world.pending == {}
        await world.stop()

    run(story())


def test_when_the_ring_is_back_what_is_held_leaves_at_once() -> None:
    async def story() -> None:
        world = World()
        alice, bob = world.enrol("alice"), world.enrol("bob")
        await start(alice)
        inbox = await start(bob)
        alice.is_online = False
        for number in range(3):
            await send(alice, b"%d" % number, "bob")
        await settle(7 * 3600)
        assert inbox.received == []
        alice.is_online = True
        await settle(65)
        assert sorted(n.content for n in inbox.received) == [b"0", b"1", b"2"]
        await world.stop()

    run(story())


def test_presence_is_announced_when_the_ring_is_found() -> None:
    async def story() -> None:
        world = World(presence_seconds=3600.0)
        alice, bob = world.enrol("alice"), world.enrol("bob")
        await start(alice)
        await send(alice, b"hello", "bob")
        bob.is_online = False
        inbox = await start(bob)
        await settle(100)
        bob.is_online = True
        await settle(20)
        assert len(inbox.received) == 1
        await world.stop()

    run(story())


def test_what_delegates_keep_under_a_lost_key_is_sealed_and_left_anew() -> None:
    async def story() -> None:
        world = World()
        alice, bob, carol = (world.enrol(name) for name in ("alice", "bob", "carol"))
        await start(alice)
        await start(carol)
        await send(alice, b"hello", "bob")
        world.delegates.remove(alice)
        await settle(3)
        await alice.stop()
        inbox = await start(bob)
        bob.device._prekeys.clear()
        await settle(70)  # carol is told to have it sealed anew, alice is not there to hear it
        await bob.device_block_renewed()
        await bob.stop()
        await start(alice)
        await settle(30)
        await alice.stop()
        inbox = await start(bob)
        await settle(10)
        assert [n.content for n in inbox.received] == [b"hello"]
        await world.stop()

    run(story())


def test_a_delegate_tells_the_sender_that_a_key_is_lost() -> None:
    async def story() -> None:
        world = World(offer_again_seconds_min=3600.0)
        alice, bob, carol = (world.enrol(name) for name in ("alice", "bob", "carol"))
        await start(alice)
        await start(carol)
        world.delegates.remove(alice)
        await send(alice, b"hello", "bob")
        await settle(3)
        laptop = await world.recover(bob, revoke=True)
        inbox = await start(laptop)
        await settle(130)
        assert [n.content for n in inbox.received] == [b"hello"], "not in an hour"
        await world.stop()

    run(story())


def test_who_never_has_the_key_is_sealed_to_at_once_only_a_few_times() -> None:
    async def story() -> None:
        world = World(offer_again_seconds_min=3600.0)
        alice, bob, carol = (world.enrol(name) for name in ("alice", "bob", "carol"))
        await start(alice)
        await start(carol)
        world.delegates.remove(alice)
        await send(alice, b"hello", "bob")
        inbox = await start(bob)
        bob.device._prekeys.clear()
        await settle(1800)
        assert len(world.depositors) == 1 + RESEALED_AT_ONCE_MAX
        assert inbox.received == []
        await world.stop()

    run(story())


def test_what_was_written_to_a_lost_machine_reaches_the_new_one_with_the_next_offer() -> None:
    async def story() -> None:
        world = World()
        alice, bob = world.enrol("alice"), world.enrol("bob")
        await start(alice)
        world.delegates.clear()
        await send(alice, b"hello", "bob")
        laptop = await world.recover(bob, revoke=True)
        inbox = await start(laptop)
        await settle(world.config.direct_timeout_seconds + world.config.offer_again_seconds_min)
        assert [n.content for n in inbox.received] == [b"hello"]
        await world.stop()

    run(story())
