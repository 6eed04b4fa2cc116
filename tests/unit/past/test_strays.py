"""What was inserted in a small part of the ring comes home when the ring is one again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from epost.foundation.ids import BlockKind, Handle
from epost.foundation.ports import Role, SetRoles
from epost.past.blocks import content_handle
from tests.support.past_ring import FAST, PastRing, in_ring

NAMES = [f"node{n}" for n in range(24)]
REACH = 4
BLOCKS = [b"stray %d" % n for n in range(40)]
HANDLES = [content_handle(block) for block in BLOCKS]


async def insert_astray(ring: PastRing) -> Sequence[str]:
    """Insert at three machines that see only each other; return who they are."""
    part = NAMES[:3]
    handles = [ring.members[name].handle for name in part]
    store = ring.node(part[0]).store
    ring.node(part[0]).overlay.astray = handles
    for insertion in await store.insert_many(
        [(BlockKind.CONTENT, b) for b in BLOCKS], mirror=False
    ):
        assert insertion.durability.ring_durable
    assert all(list(ring.roles(handle)) == part for handle in HANDLES)
    ring.node(part[0]).overlay.astray = ()
    return part


def is_home(ring: PastRing, handle: Handle) -> bool:
    roles = ring.roles(handle)
    return all(roles.get(name, Role.NONE) & Role.REPLICA for name in ring.closest(handle)[:3])


@pytest.mark.no_cover  # tracing takes twice the time, and other tests run the same lines
def test_blocks_inserted_in_a_small_part_of_the_ring_are_brought_to_their_places() -> None:
    async def story(ring: PastRing) -> None:
        part = await insert_astray(ring)
        assert max(ring.node(name).replica.strays() for name in part) > len(HANDLES) / 2
        await ring.world.run_for(40.0)
        assert all(is_home(ring, handle) for handle in HANDLES)
        await ring.world.run_for(300.0)
        assert not any(ring.node(name).replica.strays() for name in NAMES)
        for handle in HANDLES:
            assert sorted(ring.roles(handle)) == sorted(ring.closest(handle)[:3])

    config = replace(FAST, surplus_kept_seconds=60.0, strays_seconds=100.0)
    in_ring(story, NAMES, config=config, reach=REACH)


def test_a_replica_far_from_its_place_is_kept_as_long_as_other_surplus() -> None:
    async def story(ring: PastRing) -> None:
        await insert_astray(ring)
        for handle in HANDLES:  # as in a ring of three, where everybody keeps everything
            for name in NAMES[:3]:
                host = ring.hosts[name]
                roles = SetRoles(handle, add=Role.REPLICA, remove=Role.STAND_IN)
                await host.vault.commit([roles])
        await ring.world.run_for(100.0)
        for handle in HANDLES:
            assert is_home(ring, handle)
            assert set(NAMES[:3]) <= set(ring.roles(handle))

    in_ring(story, NAMES, config=FAST, reach=REACH)


@pytest.mark.no_cover  # tracing takes twice the time, and other tests run the same lines
def test_who_cannot_find_the_replica_roots_tries_again_ever_more_rarely() -> None:
    async def story(ring: PastRing) -> None:
        overlays = [ring.node(name).overlay for name in await insert_astray(ring)]
        for overlay in overlays:
            overlay.is_cut_off = True
            overlay.sought.clear()
        await ring.world.run_for(300.0)
        assert not all(is_home(ring, handle) for handle in HANDLES)
        assert len(HANDLES) / 2 < len(overlays[0].sought) < 10 * len(HANDLES)
        for overlay in overlays:
            overlay.is_cut_off = False
        await ring.world.run_for(FAST.maintenance_interval_seconds + 10.0)
        assert all(is_home(ring, handle) for handle in HANDLES)

    in_ring(story, NAMES, reach=REACH)
