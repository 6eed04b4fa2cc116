"""Scribe's own machines on an oracle-built ring."""

from collections.abc import Sequence
from random import Random

import pytest

from epost.foundation.ids import BlockKind, Handle, Id, NodeHandle, NodeId
from epost.foundation.wire import Application
from epost.scribe.config import ScribeConfig
from epost.simulation.group_world import GroupWorld
from epost.simulation.overlay.oracle_ring import OracleRing, nearest_in
from epost.simulation.overlay.topology import Sphere

GROUP = Id(b"g" * 20)


def world_of(size: int, *, limit: int = 64, seed: int = 1) -> GroupWorld:
    random = Random(seed)
    topology = Sphere(size, random)
    ring = OracleRing(size, random, choice=nearest_in(topology))
    return GroupWorld(ring, topology, ScribeConfig(children_limit=limit), Random(seed))


def joined(world: GroupWorld, members: list[int]) -> None:
    for node in members:
        world.join(node, GROUP)
    world.run(10.0)


def test_every_member_hears_news_after_the_time_that_the_way_takes() -> None:
    world, members = world_of(300), list(range(0, 300, 7))
    joined(world, members)
    start = world.now
    world.multicast(5, GROUP, b"news")
    world.run(5.0)
    assert sorted(world.heard[b"news"]) == members
    assert all(0 < at - start < 2.0 for at in world.heard[b"news"].values())


def test_the_same_seed_grows_the_same_trees() -> None:
    def children(world: GroupWorld) -> list[dict[Id, int]]:
        joined(world, list(range(0, 300, 7)))
        return [node.scribe.children_by_group for node in world.nodes]

    assert children(world_of(300)) == children(world_of(300))


def test_members_are_kept_by_refreshes_and_limits_hold() -> None:
    world, members = world_of(200, limit=8), list(range(200))
    joined(world, members)
    world.run(120.0)
    world.multicast(0, GROUP, b"still here")
    world.run(5.0)
    assert sorted(world.heard[b"still here"]) == members
    assert max(sum(n.scribe.children_by_group.values()) for n in world.nodes) <= 8


def test_what_is_not_there_is_not_asked_for() -> None:
    world = world_of(3)
    joined(world, [0])
    overlay = world._overlays[0]
    assert overlay.is_ready
    assert overlay.covers(GROUP, 1)
    found: list[Sequence[NodeHandle]] = []
    overlay.route_securely(GROUP, 2, found.append)
    assert found == [overlay.replica_set(GROUP, 2)]
    assert (overlay.epoch, overlay.neighbours(), overlay.members(0.0)) == (1, (), ())
    with pytest.raises(AssertionError):
        overlay.arc(NodeId(GROUP), 1, 0.0)
    node = world.nodes[0]
    node.outbox.load(Application.SCRIBE, Handle(BlockKind.CONTENT, b"h" * 32), None)
    with pytest.raises(AssertionError):
        world._perform(node)
