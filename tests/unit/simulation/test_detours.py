"""Pairs of simulated nodes that cannot reach each other, and the neighbours that help them."""

from __future__ import annotations

import asyncio

import pytest

from epost.pastry.observed import NodeFailed
from epost.simulation.clock import run
from epost.simulation.defects import SOUND
from epost.simulation.faults import CutPair
from epost.simulation.network import NetworkConfig
from epost.simulation.office import Office, OfficeConfig
from tests.unit.simulation.test_network import Place, at_place


async def meet(place: Place) -> None:
    """Let everybody have links with everybody, then cut a off from b."""
    for one in "abc":
        for other in "abc":
            if one != other:
                place.send(one, other, b"link")
    await asyncio.sleep(0.2)
    for events in place.events.values():
        events.messages.clear()
    place.network.cut(place.nodes["a"].id, place.nodes["b"].id)


def test_a_neighbour_of_both_carries_messages_after_a_moment() -> None:
    async def story(place: Place) -> None:
        await meet(place)
        place.send("a", "b", b"one")
        place.send("a", "b", b"two")
        await asyncio.sleep(1.0)
        assert place.received("b") == []
        await asyncio.sleep(0.5)
        assert place.events["b"].messages == [
            (place.nodes["a"], b"one"),
            (place.nodes["a"], b"two"),
        ]
        place.send("a", "b", b"three")
        await asyncio.sleep(0.2)
        assert place.received("b")[-1] == b"three"
        assert not place.unreachable("a")
        assert not place.received("c")

    at_place(story)


def test_without_a_neighbour_of_both_the_sender_gives_up() -> None:
    async def story(place: Place) -> None:
        await meet(place)
        place.network.cut(place.nodes["b"].id, place.nodes["c"].id)
        place.send("a", "b")
        await asyncio.sleep(6)
        assert place.received("b") == []
        assert place.unreachable("a") == ["b"]

    at_place(story)


def test_what_is_on_the_way_when_the_relay_dies_is_lost() -> None:
    async def story(place: Place) -> None:
        await meet(place)
        place.send("a", "b", b"lost")
        await asyncio.sleep(0.5)
        place.transports["c"].unplug()
        await asyncio.sleep(6)
        place.send("a", "b", b"nobody helps")
        await asyncio.sleep(6)
        assert place.received("b") == []

    at_place(story)


def test_a_relay_that_drops_everything_costs_time_or_all_of_it() -> None:
    async def story(place: Place) -> None:
        await meet(place)
        place.network.detours.drop_all(place.nodes["c"].id)
        place.send("a", "b")
        await asyncio.sleep(6)
        assert place.received("b") == []
        assert place.unreachable("a") == ["b"]

    at_place(story)


@pytest.mark.no_cover  # tracing takes twice the time, and other tests run the same lines
def test_neighbours_that_are_cut_off_from_each_other_keep_each_other_in_their_leaf_sets() -> None:
    async def story() -> None:
        calm = OfficeConfig(machines=8, users=0, network=NetworkConfig(loss=0.0))
        office = Office(3, calm, SOUND)
        await office.open()
        await office.world.run_for(60)
        one = office.machines[0]
        assert one.node is not None
        other_id = one.node.overlay.neighbours()[0].id
        other = next(m for m in office.machines if m.node_id == other_id)
        cut = asyncio.ensure_future(
            CutPair((one.host.name, other.host.name), 300.0).inflict(office.world)
        )
        events: list[object] = []
        office.world.trace.listen(lambda observed: events.append(observed.event))
        await office.world.run_for(290)
        assert not [event for event in events if isinstance(event, NodeFailed)]
        assert other_id in {node.id for node in one.node.overlay.neighbours()}
        await cut
        await office.close()

    run(story())
