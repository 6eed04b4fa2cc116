"""Who is accused of having lost a version, and who is not."""

from __future__ import annotations

import asyncio

from epost.foundation.ids import BlockKind
from epost.foundation.ports import Role
from epost.past.observed import ReplicaWentBack
from tests.support.organisation import key_of
from tests.support.past_ring import PastRing, in_ring, key_block


def _accusations(ring: PastRing) -> list[ReplicaWentBack]:
    accused: list[ReplicaWentBack] = []
    ring.world.trace.listen(
        lambda seen: accused.append(seen.event) if isinstance(seen.event, ReplicaWentBack) else None
    )
    return accused


def test_a_replica_that_stated_a_version_before_it_stored_the_next_is_not_accused() -> None:
    """Found by a seed: one silent replica keeps a reading open while its writer goes on."""

    async def story(ring: PastRing) -> None:
        accused = _accusations(ring)
        first = key_block(key_of("alice"))
        second = key_block(key_of("alice"), previous=first)
        writer, _, silent, _, _ = ring.closest(first.handle)
        store = ring.node(writer).store
        await store.insert(BlockKind.KEY, first.data)
        ring.world.network.cut(ring.members[silent].handle.id, ring.members[writer].handle.id)
        reading = asyncio.create_task(store.lookup_latest(first.handle))
        await ring.world.run_for(0.2)
        await store.insert(BlockKind.KEY, second.data)
        assert not reading.done()
        await reading
        assert accused == []

    in_ring(story)


def test_a_stand_in_that_has_handed_over_is_not_accused_of_having_lost_the_block() -> None:
    async def story(ring: PastRing) -> None:
        accused = _accusations(ring)
        block = key_block(key_of("alice"))
        writer, _, absent, stand_in, _ = ring.closest(block.handle)
        ring.fail(absent)
        await ring.node(writer).store.insert(BlockKind.KEY, block.data)
        assert ring.roles(block.handle)[stand_in] == Role.STAND_IN
        ring.return_(absent)
        await ring.world.run_for(120.0)
        assert stand_in not in ring.roles(block.handle)
        assert ring.roles(block.handle)[absent] == Role.REPLICA
        reading = await ring.node(writer).store.lookup_latest(block.handle)
        assert (reading.block, reading.confirmed) == (block.data, True)
        assert accused == []

    in_ring(story)
