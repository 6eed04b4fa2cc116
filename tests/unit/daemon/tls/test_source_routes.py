"""Nodes that cannot link reach each other through a third one, which may fail, lie or be full."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from epost.daemon.tls import NodeIdentity, TransportConfig
from epost.daemon.tls.frames import Frame
from epost.daemon.tls.observed import (
    DialFailed,
    LinkDown,
    LinkRefused,
    LinkUp,
    RelayBegan,
    RelayEnded,
    RelayRefused,
    SourceRouteUp,
)
from epost.daemon.tls.relay import Relay
from epost.daemon.tls.relay_frames import Step, TunnelStep, Way
from epost.foundation.ids import Address, NodeHandle, NodeId
from epost.foundation.wire import MESSAGE_SIZE_MAX
from tests.support.tls import QUICK, Machine, Office, free_port, hello_of, office, raw_peer, run

CONFIG = replace(
    QUICK, relay_after_seconds=0.05, relay_seconds=0.4, relayed_bytes_per_second=64 * 1024 * 1024
)


def lost(machine: Machine) -> NodeHandle:
    """Return a node's handle with an address where it cannot be found."""
    node = machine.node
    return NodeHandle(node.ring, node.node_id, (Address("127.0.0.1", free_port()),))


def hidden(identity: NodeIdentity) -> NodeIdentity:
    """Have a node tell an address where nobody can find it."""
    me = identity.node
    nowhere = Address("127.0.0.1", free_port())
    return replace(identity, node=NodeHandle(me.ring, me.node_id, (nowhere,)))


async def link(one: Machine, other: Machine) -> None:
    one.transport.send(other.node, b"link")
    await other.events.until(lambda: (one.node, b"link") in other.events.messages)
    await one.events.until(lambda: other.node in one.transport.linked)
    other.events.messages.clear()


@asynccontextmanager
async def cut_pair(
    relays: int = 1, config: TransportConfig = CONFIG
) -> AsyncIterator[tuple[Office, Machine, Machine, list[Machine]]]:
    """Yield Anna, Bert, and nodes that are linked with both; the first is nearest to Bert."""
    async with office(config=config) as place:
        anna, bert = place.start(1), place.start(10)
        others = [place.start(11 + number) for number in range(relays)]
        for relay in others:
            await link(anna, relay)
            await link(bert, relay)
        yield place, anna, bert, others


def test_a_message_goes_through_a_neighbour_and_names_its_true_sender() -> None:
    async def story() -> None:
        async with cut_pair() as (_, anna, bert, (carl,)):
            anna.transport.send(lost(bert), b"hello")
            await bert.events.until(lambda: bert.events.messages)
            assert bert.events.messages == [(anna.node, b"hello")]
            assert bert.transport.certificate(anna.node.id) == anna.identity.certificate
            bert.transport.send(anna.node, b"answer")
            await anna.events.until(lambda: anna.events.messages)
            assert anna.events.messages == [(bert.node, b"answer")]
            assert anna.transport.relay_to(bert.node.id) == carl.node.id
            assert bert.transport.relay_to(anna.node.id) == carl.node.id
            assert anna.transport.relay_to(carl.node.id) is None
            assert anna.events.seen(SourceRouteUp) == [SourceRouteUp(bert.node, carl.node.id)]
            assert len(carl.events.seen(RelayBegan)) == 1
            assert not carl.events.messages
            assert not anna.events.unreachable

    run(story())


def test_the_largest_messages_pass_both_ways_beside_small_ones() -> None:
    large = bytes(range(256)) * (MESSAGE_SIZE_MAX // 256)

    async def story() -> None:
        async with cut_pair() as (_, anna, bert, _):
            anna.transport.send(lost(bert), b"first")
            await bert.events.until(lambda: bert.events.messages)
            anna.transport.send(bert.node, large)
            anna.transport.send(bert.node, b"small")
            bert.transport.send(anna.node, large)
            await bert.events.until(lambda: len(bert.events.messages) == 3)
            await anna.events.until(lambda: anna.events.messages)
            assert [m for _, m in bert.events.messages] == [b"first", b"small", large]
            assert anna.events.messages == [(bert.node, large)]

    run(story())


def test_a_direct_link_takes_over_as_soon_as_there_is_one() -> None:
    async def story() -> None:
        eager = replace(CONFIG, direct_retry_seconds=0.05)
        async with cut_pair(config=eager) as (_, anna, bert, (carl,)):
            anna.transport.send(lost(bert), b"around")
            await bert.events.until(lambda: bert.events.messages)
            await anna.events.until(lambda: anna.transport.relay_to(bert.node.id) is None)
            await carl.events.until(lambda: carl.events.seen(RelayEnded))
            anna.transport.send(lost(bert), b"direct")
            await bert.events.until(lambda: len(bert.events.messages) == 2)
            assert not anna.events.unreachable
            assert not bert.events.unreachable

    run(story())


def test_the_detour_stays_while_the_direct_way_is_still_barred() -> None:
    async def story() -> None:
        eager = replace(CONFIG, direct_retry_seconds=0.02)
        async with office(config=eager) as place:
            carl = place.start(11)
            # Both tell everybody addresses where nobody can find them.
            bert = place.start(10, change=hidden)
            emil = place.start(3, change=hidden)
            for one in (bert, emil):
                await link(one, carl)
            emil.transport.send(bert.node, b"one")
            await bert.events.until(lambda: bert.events.messages)
            session = emil.transport._peers[bert.node.id].session
            assert session is not None
            await emil.events.until(lambda: session.direct_tried_at > session.up_at)
            await emil.events.until(lambda: emil.transport._peers[bert.node.id].dial is None)
            emil.transport.send(bert.node, b"two")
            await bert.events.until(lambda: len(bert.events.messages) == 2)
            assert emil.transport.relay_to(bert.node.id) == carl.node.id
            assert not emil.events.unreachable

    run(story())


def test_a_relay_that_dies_is_replaced_by_another() -> None:
    async def story() -> None:
        async with cut_pair(relays=2) as (_, anna, bert, (carl, dora)):
            anna.transport.send(lost(bert), b"one")
            await bert.events.until(lambda: bert.events.messages)
            await carl.transport.close()
            await anna.events.until(lambda: anna.events.unreachable)
            anna.transport.send(lost(bert), b"two")
            await bert.events.until(lambda: (anna.node, b"two") in bert.events.messages)
            assert anna.transport.relay_to(bert.node.id) == dora.node.id

    run(story())


class Dropper(Relay):
    """Takes everything and passes nothing on."""

    def on_step(self, sender: NodeId, step: TunnelStep) -> None:
        pass


class Garbler(Relay):
    """Changes a bit of what passes, after so many steps."""

    honest_steps = 0

    def on_step(self, sender: NodeId, step: TunnelStep) -> None:
        self.honest_steps -= 1
        if step.step is Step.DATA and self.honest_steps < 0:
            step = replace(step, data=step.data[:-1] + bytes([step.data[-1] ^ 1]))
        super().on_step(sender, step)


def make_lie(machine: Machine, liar: type[Relay]) -> Relay:
    transport = machine.transport
    lying = liar(CONFIG, machine.events, transport._carry)
    transport._detours.relay = lying
    return lying


@pytest.mark.parametrize("liar", [Dropper, Garbler])
def test_a_relay_that_lies_from_the_beginning_costs_a_moment(liar: type[Relay]) -> None:
    async def story() -> None:
        async with cut_pair(relays=2) as (_, anna, bert, (carl, dora)):
            make_lie(carl, liar)
            anna.transport.send(lost(bert), b"hello")
            await bert.events.until(lambda: bert.events.messages)
            assert bert.events.messages == [(anna.node, b"hello")]
            assert anna.transport.relay_to(bert.node.id) == dora.node.id
            assert not anna.events.unreachable

    run(story())


def test_what_a_relay_garbles_later_ends_the_link_and_the_next_goes_another_way() -> None:
    async def story() -> None:
        async with cut_pair(relays=2) as (_, anna, bert, (carl, dora)):
            lying = make_lie(carl, Garbler)
            assert isinstance(lying, Garbler)
            lying.honest_steps = 1_000_000
            anna.transport.send(lost(bert), b"one")
            await bert.events.until(lambda: bert.events.messages)
            lying.honest_steps = 0
            anna.transport.send(lost(bert), b"two")
            await anna.events.until(lambda: anna.events.seen(LinkDown))
            anna.transport.send(lost(bert), b"three")
            await bert.events.until(lambda: (anna.node, b"three") in bert.events.messages)
            assert (anna.node, b"two") not in bert.events.messages
            assert anna.transport.relay_to(bert.node.id) == dora.node.id

    run(story())


def test_a_relay_that_pretends_to_bring_somebody_is_found_out() -> None:
    async def story() -> None:
        async with cut_pair() as (_, anna, bert, (carl,)):
            routes = carl.transport._detours.routes
            # Carl opens a tunnel to Bert as if Anna had asked him to, but has only his own key.
            forged = routes._make(
                Way(carl.node.id, bert.node.id, 7), routes._dialling, opened_by_us=True
            )

            def carry(_relay: NodeId, step: TunnelStep) -> None:
                onward = replace(step, far=anna.node.id)
                carl.transport._carry(bert.node.id, Frame.RELAYED, bytes(onward))

            forged._carry = carry
            carl.transport._detours.relay.on_step = (  # type: ignore[method-assign]
                lambda _sender, step: routes.on_step(carl.node.id, replace(step, far=bert.node.id))
            )
            forged.begin()
            await forged.secured
            routes._begin(forged, bert.node.id)
            await bert.events.until(lambda: bert.events.seen(LinkRefused))
            assert "wrong" in repr(bert.events.seen(LinkRefused)[0].error).lower()
            assert anna.node not in bert.transport.linked

    run(story())


def test_a_full_relay_refuses_and_another_is_taken() -> None:
    async def story() -> None:
        patient = replace(CONFIG, relay_seconds=10.0)  # for a relay that leads there, if slowly
        async with office(config=patient) as place:
            anna, bert = place.start(1), place.start(10)
            carl = place.start(11, config=replace(patient, relayed_pairs_max=0))
            dora = place.start(12)
            for relay in (carl, dora):
                await link(anna, relay)
                await link(bert, relay)
            anna.transport.send(lost(bert), b"hello")
            await bert.events.until(lambda: bert.events.messages)
            assert carl.events.seen(RelayRefused)  # more than once if the machine is slow
            assert anna.transport.relay_to(bert.node.id) == dora.node.id

    run(story())


@pytest.mark.parametrize("limit", ["relayed_links_max", "relayed_links_per_relay_max"])
def test_a_node_that_takes_no_more_tunnels_is_reported_unreachable(limit: str) -> None:
    async def story() -> None:
        async with office(config=CONFIG) as place:
            anna, carl = place.start(1), place.start(11)
            bert = place.start(10, config=replace(CONFIG, **{limit: 0}))
            await link(anna, carl)
            await link(bert, carl)
            anna.transport.send(lost(bert), b"hello")
            await anna.events.until(lambda: anna.events.unreachable)
            assert "too many links" in anna.events.seen(DialFailed)[0].text

    run(story())


def test_nothing_takes_two_relays() -> None:
    async def story() -> None:
        async with office(config=CONFIG) as place:
            anna, carl, dora, bert = (place.start(number) for number in (1, 11, 12, 10))
            await link(anna, carl)
            await link(carl, dora)
            await link(dora, bert)
            anna.transport.send(lost(bert), b"hello")
            await anna.events.until(lambda: anna.events.unreachable)
            assert not bert.events.messages
            carl.transport.send(lost(bert), b"one relay")
            await bert.events.until(lambda: bert.events.messages)
            assert not anna.transport._detours.routes
            # Carl's link with Bert leads through Dora, so Anna cannot use it.
            anna.transport.send(lost(bert), b"two relays")
            await anna.events.until(lambda: len(anna.events.unreachable) == 2)
            assert [m for _, m in bert.events.messages] == [b"one relay"]

    run(story())


def test_a_node_of_the_first_version_is_not_asked_to_relay() -> None:
    async def story() -> None:
        async with office(config=CONFIG) as place:
            anna, bert = place.start(1), place.start(10)
            old = place.ring.identity(11)
            async with raw_peer(anna.address, old) as peer:
                peer.write(hello_of(old))
                await anna.events.until(lambda: anna.events.seen(LinkUp))
                anna.transport.send(lost(bert), b"hello")
                await anna.events.until(lambda: anna.events.unreachable)
                anna.transport.send(old.node, b"last")
                assert [(await peer.frame())[0] for _ in range(2)] == [Frame.HELLO, Frame.WHOLE]

    run(story())


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        bytes(28),
        b"\x07" + bytes(28),
        b"\x03" + bytes(28) + b"\x00",
        b"\x02" + bytes(28) + bytes(16 * 1024 + 1),
    ],
)
def test_malformed_steps_end_the_link(payload: bytes) -> None:
    async def story() -> None:
        async with office(config=CONFIG) as place:
            anna, bert = place.start(1), place.start(10)
            await link(anna, bert)
            anna.transport._carry(bert.node.id, Frame.RELAY, payload)
            await anna.events.until(lambda: anna.events.seen(LinkDown))
            assert "BROKE_PROTOCOL".lower() in anna.events.seen(LinkDown)[0].text

    run(story())
