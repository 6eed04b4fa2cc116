"""What can go wrong between simulated nodes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from epost.simulation import network as network_module
from epost.simulation.clock import run
from epost.simulation.network import NetworkConfig, SimulatedNetwork, SimulatedTransport
from epost.simulation.world import Trace
from tests.support.nodes import node_handle
from tests.support.tls import Events


class Place:
    """A network with nodes a, b and c that have said hello to each other."""

    def __init__(self, **config: Any) -> None:
        calm = {"loss": 0.0, "jitter": 0.0, "latency_seconds_min": 0.01, "silence_seconds": 5.0}
        self.trace = Trace()
        self.network = SimulatedNetwork(1, NetworkConfig(**(calm | config)), self.trace)
        self.nodes = {name: node_handle(name) for name in "abc"}
        self.events = {name: Events() for name in "abc"}
        self.transports = {name: self.plug_in(name) for name in "abc"}

    def plug_in(self, name: str) -> SimulatedTransport:
        transport = SimulatedTransport(self.network, self.nodes[name], name.encode())
        transport.start(self.events[name])
        return transport

    def send(self, sender: str, receiver: str, message: bytes = b"hello") -> None:
        self.transports[sender].send(self.nodes[receiver], message)

    def received(self, name: str) -> list[bytes]:
        return [message for _, message in self.events[name].messages]

    def unreachable(self, name: str) -> list[str]:
        names = {node.id: name for name, node in self.nodes.items()}
        return [names[node] for node in self.events[name].unreachable]


def at_place(story: Callable[[Place], Coroutine[Any, Any, None]], **config: Any) -> None:
    async def whole() -> None:
        await story(Place(**config))

    run(whole())


def test_a_message_takes_the_latency_of_its_pair() -> None:
    async def story(place: Place) -> None:
        place.send("a", "b")
        await asyncio.sleep(0.0099)
        assert place.received("b") == []
        await asyncio.sleep(0.04)
        assert place.received("b") == [b"hello"]

    at_place(story)


def test_about_as_many_messages_are_lost_and_doubled_as_the_config_says() -> None:
    async def story(place: Place) -> None:
        for _ in range(10_000):
            place.send("a", "b")
        await asyncio.sleep(1)
        # 10,000 * 0.9 * 1.1 on average
        assert 9_600 < len(place.received("b")) < 10_200

    at_place(story, loss=0.1, duplication=0.1)


def test_messages_overtake_each_other_only_where_the_config_says() -> None:
    sent = [b"%d" % number for number in range(1000)]

    async def in_order(place: Place) -> None:
        for message in sent:
            place.send("a", "b", message)
        await asyncio.sleep(2)
        assert place.received("b") == sent

    async def reordered(place: Place) -> None:
        for message in sent:
            place.send("a", "b", message)
        await asyncio.sleep(2)
        assert sorted(place.received("b")) == sorted(sent)
        assert place.received("b") != sent

    at_place(in_order, jitter=1.0)
    at_place(reordered, reorder=0.1)


def test_a_machine_without_its_node_refuses_quickly() -> None:
    async def story(place: Place) -> None:
        place.transports["b"].unplug()
        place.send("a", "b")
        place.send("a", "b")
        await asyncio.sleep(0.2)
        assert place.unreachable("a") == ["b"], "reported once"

    at_place(story)


def test_a_machine_that_is_off_is_silent_until_the_sender_gives_up() -> None:
    async def story(place: Place) -> None:
        place.network.machine_down(place.nodes["b"].id)
        place.transports["b"].unplug()
        place.send("a", "b")
        await asyncio.sleep(4.9)
        assert place.unreachable("a") == []
        await asyncio.sleep(0.2)
        assert place.unreachable("a") == ["b"]
        place.transports["b"] = place.plug_in("b")
        place.send("a", "b")
        await asyncio.sleep(0.1)
        assert place.received("b") == [b"hello"], "on again with its node"

    at_place(story)


def test_a_partition_lets_nothing_pass_between_its_sides_until_it_heals() -> None:
    async def story(place: Place) -> None:
        place.send("a", "c", b"on its way")
        place.network.partition([place.nodes["a"].id, place.nodes["b"].id])
        place.send("a", "b", b"same side")
        place.send("a", "c", b"other side")
        await asyncio.sleep(6)
        assert place.received("b") == [b"same side"]
        assert place.received("c") == []
        assert place.unreachable("a") == ["c"]
        place.network.heal()
        place.send("a", "c", b"healed")
        await asyncio.sleep(0.1)
        assert place.received("c") == [b"healed"]

    at_place(story)


def test_a_cut_is_one_direction_of_one_link() -> None:
    async def story(place: Place) -> None:
        ends = place.nodes["a"].id, place.nodes["b"].id
        place.network.cut(*ends)
        place.send("a", "b")
        place.send("b", "a")
        place.send("a", "c")
        await asyncio.sleep(0.1)
        assert place.received("b") == []
        assert place.received("a") == place.received("c") == [b"hello"]
        place.network.mend(*ends)
        place.send("a", "b")
        await asyncio.sleep(0.1)
        assert place.received("b") == [b"hello"]

    at_place(story)


def test_a_message_to_a_process_that_has_died_does_not_reach_its_successor() -> None:
    async def story(place: Place) -> None:
        place.send("a", "b", b"for the old one")
        place.transports["b"].unplug()
        place.transports["b"] = place.plug_in("b")
        await asyncio.sleep(0.1)
        assert place.received("b") == []

    at_place(story)


def test_a_late_goodbye_of_a_replaced_node_does_not_unplug_its_successor() -> None:
    async def story(place: Place) -> None:
        old = place.transports["b"]
        place.transports["b"] = place.plug_in("b")
        await old.close()
        place.send("a", "b")
        await asyncio.sleep(0.1)
        assert place.received("b") == [b"hello"]

    at_place(story)


def test_nobody_is_told_of_a_crash_behind_a_partition() -> None:
    async def story(place: Place) -> None:
        place.send("a", "b")
        await asyncio.sleep(0.1)
        place.network.partition([place.nodes["a"].id])
        place.transports["b"].unplug()
        await asyncio.sleep(20)
        assert place.unreachable("a") == []

    at_place(story)


def test_a_node_that_is_gone_is_not_told_whom_it_could_not_reach() -> None:
    async def story(place: Place) -> None:
        place.transports["b"].unplug()
        place.send("a", "b")
        place.transports["a"].unplug()
        place.send("a", "a")
        await asyncio.sleep(1)
        assert place.unreachable("a") == []
        assert place.received("a") == []

    at_place(story)


def test_what_exceeds_the_queue_of_a_link_is_dropped_and_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(network_module, "QUEUE_BYTES_MAX", 100)

    async def story(place: Place) -> None:
        for _ in range(3):
            place.send("a", "b", bytes(50))
        await asyncio.sleep(0.1)
        assert len(place.received("b")) == 2
        assert place.unreachable("a") == ["b"]
        place.send("a", "b", bytes(50))
        await asyncio.sleep(0.1)
        assert len(place.received("b")) == 3

    at_place(story)
