"""Where a message is, with who signed for it."""

from __future__ import annotations

import pytest

from epost.past.tickets import NodeCertificates
from epost.post.notification.records import DeliveryState
from epost.post.notification.tracing import Reached, TracedMessage
from epost.simulation.clock import run
from tests.support.post_world import FOR_DAYS, Machine, World, settle
from tests.unit.post.notification.test_notifications import send, start

BOB = "bob@example.org"


async def traced(machine: Machine) -> list[TracedMessage]:
    assert machine.post is not None
    tracing = machine.post.tracing(
        NodeCertificates(lambda: machine.world.organisation.trust), machine.store
    )
    return list(await tracing.sent(lambda _: True))


def states(message: TracedMessage, name: str = BOB) -> list[Reached]:
    (recipient,) = (r for r in message.recipients if r.name == name)
    return list(recipient.states)


def test_a_delivered_message_shows_the_receipt_of_the_device_that_took_it() -> None:
    async def story() -> None:
        world = World()
        alice, bob = world.enrol("alice"), world.enrol("bob")
        await start(alice)
        await start(bob)
        await send(alice, b"hello", "bob")
        await settle(5)
        (message,) = await traced(alice)
        held, stored, delivered = states(message)
        assert [held.state, stored.state] == [DeliveryState.HELD, DeliveryState.STORED]
        assert delivered.state is DeliveryState.DELIVERED
        (signature,) = delivered.signatures
        assert (signature.account, signature.device) == (BOB, 1)
        assert message.sent_at_ms <= signature.at_ms <= delivered.at_ms
        assert await traced(bob) == []
        await world.stop()

    run(story())


@pytest.mark.no_cover  # tracing takes twice the time, and other tests run the same lines
def test_a_late_message_shows_where_it_waits_and_that_its_sender_was_told() -> None:
    async def story() -> None:
        world = World(**FOR_DAYS)
        alice, carol = world.enrol("alice"), world.enrol("carol")
        world.enrol("bob")
        await start(alice)
        await start(carol)
        world.delegates = [carol] * 3
        await send(alice, b"hello", "bob")
        await settle(4 * 24 * 3600.0)
        (message,) = await traced(alice)
        assert [s.state.name for s in states(message)] == ["HELD", "STORED", "DELEGATED", "HELD"]
        assert states(message)[-1].remark == "its sender was told that it is late"
        await world.stop()

    run(story())


def test_what_another_machine_of_the_account_has_sent_is_found_as_well() -> None:
    async def story() -> None:
        world = World()
        alice, bob = world.enrol("alice"), world.enrol("bob")
        await start(alice)
        await start(bob)
        second = await world.recover(alice, revoke=False)
        await start(second)
        await send(second, b"from the second", "bob")
        await settle(5)
        (message,) = await traced(alice)
        assert message.device == 2
        assert states(message)[-1].state is DeliveryState.DELIVERED
        await world.stop()

    run(story())


def test_a_receipt_that_does_not_prove_itself_is_not_shown_as_one() -> None:
    async def story() -> None:
        world = World()
        alice, bob = world.enrol("alice"), world.enrol("bob")
        await start(alice)
        await start(bob)
        await send(alice, b"hello", "bob")
        await settle(5)
        assert alice.post is not None
        tracing = alice.post.tracing(
            NodeCertificates(lambda: world.organisation.trust), alice.store
        )
        foreign = World().organisation
        tracing._directory = type(foreign)("example.net").trust
        (message,) = await tracing.sent(lambda _: True)
        delivered = states(message)[-1]
        assert delivered.signatures == ()
        assert "cannot be verified" in delivered.remark
        await world.stop()

    run(story())
