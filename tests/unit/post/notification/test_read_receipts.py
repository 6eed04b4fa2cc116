"""That a mail was read is told to its sender if its reader wishes, once, and signed."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from epost.foundation.codec import encode
from epost.foundation.errors import AuthenticityError
from epost.past.pending import ReceiptStatus
from epost.post.app_ids import AppId
from epost.post.logs.entries import Entry
from epost.post.messages import POST_MESSAGE, Settle
from epost.post.notification import delivered, read_receipts, receipts
from epost.post.notification.handlers import Accepted, Answer, Notification
from epost.post.notification.records import POST_RECORD, DeliveryState, Progressed, Step
from epost.simulation.clock import run
from tests.support.post_world import Machine, World, settle
from tests.unit.post.notification.test_notifications import Inbox, send, state
from tests.unit.post.notification.test_tracing import BOB, states, traced

MONTH_SECONDS = 30 * 86_400.0


class Reader(Inbox):
    """Calls each mail by what is in it."""

    async def accept(self, notification: Notification) -> Answer:
        self.received.append(notification)
        entry = Entry(AppId.MAIL, notification.content)
        return Accepted([entry], tag=notification.content)


async def start(machine: Machine) -> None:
    inbox = Reader()
    await machine.start(lambda post: post.services.notifications.register(AppId.MAIL, inbox))
    machine.world.delegates.append(machine)


def read(machine: Machine, *tags: bytes) -> None:
    assert machine.post is not None
    machine.post.services.read_receipts.read(tags)


def settlements(machine: Machine) -> list[bytes]:
    """Return the receipts that came to a machine by themselves."""
    messages = [POST_MESSAGE.decode(body) for _, body in machine.requests_seen]
    return [message.receipt for message in messages if isinstance(message, Settle)]


def of_two(**config: Any) -> Callable[..., Callable[[], None]]:
    def decorate(
        story: Callable[[Machine, Machine], Coroutine[Any, Any, None]],
    ) -> Callable[[], None]:
        def test() -> None:
            async def whole() -> None:
                world = World(**config)
                alice, bob = world.enrol("alice"), world.enrol("bob")
                await start(alice)
                await start(bob)
                await story(alice, bob)
                await world.stop()

            run(whole())

        test.__name__ = story.__name__
        return test

    return decorate


@of_two(read_receipts=True)
async def test_the_sender_sees_who_signed_that_she_has_read(alice: Machine, bob: Machine) -> None:
    await send(alice, b"hello", "bob")
    await settle(5)
    read(bob, b"hello", b"never came")
    await settle(20)
    (message,) = await traced(alice)
    shown = states(message)
    assert [s.state.name for s in shown] == ["HELD", "STORED", "DELIVERED", "READ"]
    (signature,) = shown[-1].signatures
    assert (signature.account, signature.device) == (BOB, 1)
    assert shown[-2].at_ms <= signature.at_ms <= shown[-1].at_ms
    assert bob.disk.notes(read_receipts.TABLE) == []
    assert alice.disk.notes(delivered.TABLE) == []
    read(bob, b"hello")
    await settle(20)
    assert len(settlements(alice)) == 1


@of_two()
async def test_nobody_is_told_unless_the_reader_wishes(alice: Machine, bob: Machine) -> None:
    await send(alice, b"hello", "bob")
    await settle(5)
    read(bob, b"hello")
    await settle(3600)
    assert settlements(alice) == []
    (message,) = await traced(alice)
    assert states(message)[-1].state is DeliveryState.DELIVERED
    assert bob.disk.notes(read_receipts.TABLE) == []


@of_two(read_receipts=True)
async def test_who_is_asked_to_wish_it_no_more_forgets_what_was_waited_for(
    alice: Machine, bob: Machine
) -> None:
    await send(alice, b"hello", "bob")
    await settle(5)
    await bob.stop()
    world = bob.world
    world.config = type(world.config)(**{**vars(world.config), "read_receipts": False})
    await start(bob)
    read(bob, b"hello")
    await settle(20)
    assert settlements(alice) == []
    assert bob.disk.notes(read_receipts.TABLE) == []


@of_two(read_receipts=True)
async def test_a_sender_who_is_away_is_told_when_she_is_back(alice: Machine, bob: Machine) -> None:
    await send(alice, b"hello", "bob")
    await settle(15)
    await alice.stop()
    read(bob, b"hello")
    await settle(1)
    await bob.stop()
    await start(bob)
    await settle(3600)
    await start(alice)
    await settle(2 * 3600)
    (message,) = await traced(alice)
    assert states(message)[-1].state is DeliveryState.READ


@of_two(read_receipts=True)
async def test_after_a_month_of_trying_nobody_is_told_any_more(
    alice: Machine, bob: Machine
) -> None:
    await send(alice, b"hello", "bob")
    await settle(15)
    alice.is_online = False
    read(bob, b"hello")
    await settle(60)
    bob.ports.clock.skew_seconds += MONTH_SECONDS
    await settle(2 * 3600)
    assert bob.disk.notes(read_receipts.TABLE) == []


@of_two(read_receipts=True)
async def test_one_of_several_recipients_reads(alice: Machine, bob: Machine) -> None:
    alice.world.enrol("carol")  # never there
    sent = await send(alice, b"hello", "bob", "carol")
    await settle(15)
    read(bob, b"hello")
    await settle(20)
    (message,) = await traced(alice)
    assert states(message)[-1].state is DeliveryState.READ
    assert DeliveryState.READ in state(alice, sent), "the application can see it, too"


@of_two(read_receipts=True)
async def test_a_receipt_by_somebody_else_changes_nothing(alice: Machine, bob: Machine) -> None:
    carol = alice.world.enrol("carol")
    await start(carol)
    await send(alice, b"hello", "bob")
    await settle(15)
    assert alice.post is not None
    pending = (await _steps(alice))[-1].pending
    forged = receipts.sign(carol.device, pending, ReceiptStatus.READ, 1)
    with pytest.raises(AuthenticityError):
        await alice.post.endpoint.on_request(carol.node, encode(Settle(forged)))
    accepted = receipts.sign(bob.device, pending, ReceiptStatus.ACCEPTED, 1)
    await alice.post.endpoint.on_request(bob.node, encode(Settle(accepted)))
    unknown = receipts.sign(bob.device, bytes(32), ReceiptStatus.READ, 1)
    await alice.post.endpoint.on_request(bob.node, encode(Settle(unknown)))
    await settle(20)
    (message,) = await traced(alice)
    assert states(message)[-1].state is DeliveryState.DELIVERED


async def _steps(machine: Machine) -> list[Step]:
    assert machine.post is not None
    steps: list[Step] = []
    async for _, payload in machine.post.log.replay(AppId.POST, 0):
        record = POST_RECORD.decode(payload)
        if isinstance(record, Progressed):
            steps += record.steps
    return steps


@of_two(read_receipts=True)
async def test_of_too_many_unread_mails_the_oldest_are_not_reported(
    alice: Machine, bob: Machine
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(read_receipts, "UNREAD_MAX", 2)
        for content in (b"one", b"two", b"three"):
            await send(alice, content, "bob")
            await settle(5)
    read(bob, b"one", b"three")
    await settle(20)
    assert len(settlements(alice)) == 1


@of_two(read_receipts=True)
async def test_what_was_delivered_long_ago_is_forgotten(alice: Machine, bob: Machine) -> None:
    await send(alice, b"hello", "bob")
    await settle(20)
    assert len(alice.disk.notes(delivered.TABLE)) == 1
    assert alice.post is not None
    assert alice.post.ledger.delivered.expired() == []
    alice.ports.clock.skew_seconds += 92 * 86_400.0
    assert len(alice.post.ledger.delivered.expired()) == 1
