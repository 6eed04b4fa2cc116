"""What both transports promise: the one over TLS and its simulated twin."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import pytest

from epost.foundation.ids import Address, NodeHandle
from epost.foundation.ports import Transport
from epost.foundation.wire import MESSAGE_SIZE_MAX
from epost.simulation.clock import run as run_virtually
from epost.simulation.network import NetworkConfig, SimulatedNetwork, SimulatedTransport
from epost.simulation.world import Trace
from tests.support import tls
from tests.support.nodes import node_handle
from tests.support.tls import Events


@dataclass
class Member:
    """A started transport, what it reported, and what it shows of itself."""

    transport: Transport
    events: Events
    node: NodeHandle
    certificate: bytes


class Place(Protocol):
    """Where transports of one kind meet."""

    def start(self, number: int, *, again: NodeHandle | None = None) -> Member:
        """Start a node's transport; `again` where it was before."""
        ...


class TlsPlace:
    def __init__(self, office: tls.Office) -> None:
        self._office = office

    def start(self, number: int, *, again: NodeHandle | None = None) -> Member:
        port = again.addresses[0].port if again else 0
        machine = self._office.start(number, port=port)
        return Member(machine.transport, machine.events, machine.node, machine.identity.certificate)


@dataclass
class SimulatedPlace:
    network: SimulatedNetwork
    started: list[SimulatedTransport] = field(default_factory=list)

    def start(self, number: int, *, again: NodeHandle | None = None) -> Member:
        node = node_handle(f"node {number}")
        events, certificate = Events(), b"certificate %d" % number
        transport = SimulatedTransport(self.network, node, certificate)
        transport.start(events)
        self.started.append(transport)
        return Member(transport, events, node, certificate)


@asynccontextmanager
async def tls_place() -> AsyncIterator[Place]:
    async with tls.office() as office:
        yield TlsPlace(office)


@asynccontextmanager
async def simulated_place() -> AsyncIterator[Place]:
    place = SimulatedPlace(SimulatedNetwork(1, NetworkConfig(loss=0.0), Trace()))
    yield place
    for transport in place.started:
        await transport.close()


@dataclass(frozen=True)
class Twin:
    """One kind of transport and the loop it runs on."""

    run: Callable[[Coroutine[Any, Any, None]], None]
    place: Callable[[], AbstractAsyncContextManager[Place]]


TWINS = {"tls": Twin(tls.run, tls_place), "simulated": Twin(run_virtually, simulated_place)}

Story = Callable[[Place], Coroutine[Any, Any, None]]


@pytest.fixture(params=TWINS.values(), ids=TWINS.keys())
def at_place(request: pytest.FixtureRequest) -> Callable[[Story], None]:
    def run_story(story: Story) -> None:
        async def whole() -> None:
            async with request.param.place() as place:
                await story(place)

        request.param.run(whole())

    return run_story


def test_a_message_arrives_whole_and_names_its_sender(at_place: Callable[[Story], None]) -> None:
    async def story(place: Place) -> None:
        a, b = place.start(1), place.start(2)
        a.transport.send(b.node, b"hello")
        await b.events.until(lambda: b.events.messages)
        assert b.events.messages == [(a.node, b"hello")]
        b.transport.send(a.node, b"")
        await a.events.until(lambda: a.events.messages)
        assert a.events.messages == [(b.node, b"")]

    at_place(story)


def test_messages_are_delivered_by_value(at_place: Callable[[Story], None]) -> None:
    async def story(place: Place) -> None:
        a, b = place.start(1), place.start(2)
        message = bytearray(b"before")
        a.transport.send(b.node, bytes(message))
        message[:] = b"after!"
        await b.events.until(lambda: b.events.messages)
        assert type(b.events.messages[0][1]) is bytes
        assert b.events.messages[0][1] == b"before"

    at_place(story)


def test_small_messages_keep_their_order_on_a_link(at_place: Callable[[Story], None]) -> None:
    expected = [b"%d" % number for number in range(300)]

    async def story(place: Place) -> None:
        a, b = place.start(1), place.start(2)
        for message in expected:
            a.transport.send(b.node, message)
        await b.events.until(lambda: len(b.events.messages) == len(expected))
        assert [message for _, message in b.events.messages] == expected

    at_place(story)


def test_the_largest_message_arrives_and_a_larger_one_is_a_bug(
    at_place: Callable[[Story], None],
) -> None:
    async def story(place: Place) -> None:
        a, b = place.start(1), place.start(2)
        a.transport.send(b.node, bytes(MESSAGE_SIZE_MAX))
        await b.events.until(lambda: b.events.messages)
        assert len(b.events.messages[0][1]) == MESSAGE_SIZE_MAX
        with pytest.raises(AssertionError):
            a.transport.send(b.node, bytes(MESSAGE_SIZE_MAX + 1))

    at_place(story)


def test_a_message_to_oneself_is_delivered_but_not_within_the_call(
    at_place: Callable[[Story], None],
) -> None:
    async def story(place: Place) -> None:
        a = place.start(1)
        a.transport.send(a.node, b"note to self")
        assert a.events.messages == []
        await a.events.until(lambda: a.events.messages)
        assert a.events.messages == [(a.node, b"note to self")]

    at_place(story)


def test_a_node_that_is_not_there_is_reported_later(at_place: Callable[[Story], None]) -> None:
    async def story(place: Place) -> None:
        a, b = place.start(1), place.start(2)
        gone = replace_node(b.node)
        a.transport.send(gone, b"anybody?")
        assert a.events.unreachable == []
        await a.events.until(lambda: a.events.unreachable)
        assert a.events.unreachable == [gone.id]

    at_place(story)


def replace_node(node: NodeHandle) -> NodeHandle:
    """Return another node at an address where nobody listens."""
    number = int.from_bytes(node.node_id, "big") ^ 1
    return NodeHandle(node.ring, number.to_bytes(20, "big"), (Address("127.0.0.1", 1),))


def test_linked_nodes_know_each_others_certificates(at_place: Callable[[Story], None]) -> None:
    async def story(place: Place) -> None:
        a, b, stranger = place.start(1), place.start(2), place.start(3)
        a.transport.send(b.node, b"hello")
        await b.events.until(lambda: b.events.messages)
        assert b.transport.certificate(a.node.id) == a.certificate
        assert a.transport.certificate(b.node.id) == b.certificate
        assert a.transport.certificate(a.node.id) == a.certificate
        assert a.transport.certificate(stranger.node.id) is None

    at_place(story)


def test_what_was_sent_before_closing_arrives_and_then_nothing(
    at_place: Callable[[Story], None],
) -> None:
    async def story(place: Place) -> None:
        a, b = place.start(1), place.start(2)
        a.transport.send(b.node, b"first")
        await b.events.until(lambda: b.events.messages)
        a.transport.send(b.node, b"last")
        await a.transport.close()
        a.transport.send(b.node, b"too late")
        await b.events.until(lambda: len(b.events.messages) == 2)
        await asyncio.sleep(0.1)
        assert [message for _, message in b.events.messages] == [b"first", b"last"]
        assert a.events.unreachable == []
        await a.transport.close()

    at_place(story)


def test_a_linked_node_that_stops_is_reported_and_reached_again_when_it_is_back(
    at_place: Callable[[Story], None],
) -> None:
    async def story(place: Place) -> None:
        a, b = place.start(1), place.start(2)
        a.transport.send(b.node, b"hello")
        await b.events.until(lambda: b.events.messages)
        await b.transport.close()
        await a.events.until(lambda: a.events.unreachable)
        assert a.events.unreachable == [b.node.id]
        back = place.start(2, again=b.node)
        while not back.events.messages:
            a.transport.send(b.node, b"again")
            await asyncio.sleep(0.05)
        assert back.events.messages[0] == (a.node, b"again")

    at_place(story)
