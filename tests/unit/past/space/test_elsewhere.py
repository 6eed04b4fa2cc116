"""Replicas that lie elsewhere than they belong: diverted, read, looked after, made anew."""

from collections.abc import Callable
from dataclasses import replace

from epost.foundation.codec import encode
from epost.foundation.ids import BlockKind, Handle
from epost.foundation.ports import Role
from epost.foundation.wire import Application
from epost.past.blocks import content_handle
from epost.past.space.words import Check, Diverted, Point
from epost.simulation.vault import DiskConfig
from tests.support.past_ring import FAST, PastRing, in_ring

CONTENT = BlockKind.CONTENT
BLOCK = b"a block" * 1000
HANDLE = content_handle(BLOCK)
NAMES = [f"node-{n:02}" for n in range(10)]
TIGHT = replace(FAST, disk_reserve_bytes=1, repair_delay_seconds=10.0, push_backoff_seconds_max=5.0)
NO_ROOM = DiskConfig(contributed_bytes_max=5 * len(BLOCK))


def without_room(*places: int) -> Callable[[PastRing], None]:
    """Return how to leave some of the closest nodes too little room for the block."""

    def prepare(ring: PastRing) -> None:
        for at in places:
            ring.hosts[ring.closest(HANDLE)[at]].disk.config = NO_ROOM

    return prepare


def copies(ring: PastRing, handle: Handle = HANDLE) -> list[str]:
    """Return the nodes that keep a body for the ring."""
    kept = Role.REPLICA | Role.STAND_IN | Role.DIVERTED
    return [n for n, r in ring.roles(handle).items() if r & kept and not r & Role.POINTER]


async def insert(ring: PastRing) -> str:
    """Insert the block from far away; return who keeps the diverted replica."""
    insertion = await ring.node(ring.closest(HANDLE)[-1]).store.insert(CONTENT, BLOCK, mirror=False)
    assert insertion.durability.ring_durable
    await ring.world.run_for(2.0)
    return next(n for n, roles in ring.roles(HANDLE).items() if roles & Role.DIVERTED)


def test_a_full_node_has_a_neighbour_keep_the_replica_and_two_nodes_point_to_it() -> None:
    async def story(ring: PastRing) -> None:
        holder = await insert(ring)
        closest = ring.closest(HANDLE)
        assert len(copies(ring)) == 3
        assert holder not in closest[:5], "nobody keeps it whom the inserter may ask itself"
        assert holder != closest[-1]
        pointers = {n: r for n, r in ring.roles(HANDLE).items() if r & Role.POINTER}
        assert pointers == {closest[0]: Role.REPLICA | Role.POINTER, closest[3]: Role.POINTER}
        holders = await ring.node(closest[-1]).store.holders(HANDLE)
        assert [ring.name_of(n) for n in holders] == closest[:3]

    in_ring(story, NAMES, config=TIGHT, prepare=without_room(0))


def test_a_reader_is_sent_on_to_the_holder() -> None:
    async def story(ring: PastRing) -> None:
        await insert(ring)
        for name in ring.closest(HANDLE)[1:3]:
            ring.hosts[name].crash()
        reader = ring.node(ring.closest(HANDLE)[-2])
        assert await reader.store.lookup(HANDLE, mirror=False) == BLOCK

    in_ring(story, NAMES, config=TIGHT, prepare=without_room(0))


def test_maintenance_counts_a_diverted_replica_and_leaves_it_alone() -> None:
    async def story(ring: PastRing) -> None:
        holder = await insert(ring)
        await ring.world.run_for(200.0)
        assert copies(ring) == sorted([holder, *ring.closest(HANDLE)[1:3]], key=NAMES.index)
        assert ring.node(ring.closest(HANDLE)[1]).replica.below_k() == 0

    in_ring(story, NAMES, config=TIGHT, prepare=without_room(0))


def test_a_replica_whose_holder_is_gone_is_diverted_anew() -> None:
    async def story(ring: PastRing) -> None:
        holder = await insert(ring)
        ring.fail(holder)
        await ring.world.run_for(200.0)
        assert len(copies(ring)) == 3
        assert holder not in copies(ring)
        assert ring.roles(HANDLE)[ring.closest(HANDLE)[0]] & Role.POINTER

    in_ring(story, NAMES, config=TIGHT, prepare=without_room(0))


def test_a_replica_that_its_holder_lost_is_noticed_and_made_anew() -> None:
    async def story(ring: PastRing) -> None:
        holder = await insert(ring)
        ring.node(holder).replica.shelf.release(
            ring.hosts[holder].vault.entry(HANDLE), Role.DIVERTED
        )
        ring.node(holder).driver.wake()
        await ring.world.run_for(1.0)
        assert len(copies(ring)) == 2
        await ring.world.run_for(200.0)
        assert len(copies(ring)) == 3

    in_ring(story, NAMES, config=TIGHT, prepare=without_room(0))


def test_the_next_node_answers_for_the_replica_when_the_full_one_goes_for_good() -> None:
    async def story(ring: PastRing) -> None:
        holder = await insert(ring)
        first, heir = ring.closest(HANDLE)[0], ring.closest(HANDLE)[3]
        ring.fail(first)
        await ring.world.run_for(200.0)
        assert holder in copies(ring)
        assert len(copies(ring)) == 3
        assert ring.roles(HANDLE)[heir] == Role.REPLICA | Role.POINTER

    in_ring(story, NAMES, config=TIGHT, prepare=without_room(0))


def test_where_no_neighbour_has_room_the_insertion_is_held_locally() -> None:
    async def story(ring: PastRing) -> None:
        inserter = ring.node(ring.closest(HANDLE)[-1])
        insertion = await inserter.store.insert(CONTENT, BLOCK)
        assert not insertion.durability.ring_durable
        assert insertion.found_no_room
        assert ring.roles(HANDLE)
        await inserter.store.insert(CONTENT, BLOCK, only_with_room=True)
        await ring.world.run_for(1.0)
        assert ring.roles(HANDLE) == {}, "given up, to be tried elsewhere"

    in_ring(story, NAMES, config=TIGHT, prepare=without_room(*range(10)))


def test_a_ring_too_small_to_divert_takes_what_fits_at_all() -> None:
    async def story(ring: PastRing) -> None:
        insertion = await ring.node("node-00").store.insert(CONTENT, BLOCK)
        assert insertion.durability.ring_durable

    in_ring(story, NAMES[:3], config=TIGHT, prepare=without_room(0, 1, 2))


def test_a_stranger_may_neither_divert_to_a_node_nor_point_it_anywhere() -> None:
    async def story(ring: PastRing) -> None:
        await insert(ring)
        closest = ring.closest(HANDLE)
        liar, victim = ring.node(closest[-1]), ring.members[closest[4]].handle
        voucher = ring.hosts[closest[1]].vault.entry(HANDLE).ticket
        for word in (
            Point(HANDLE, bytes(20), voucher),
            Diverted(HANDLE, True),
            Check((HANDLE,)),
        ):
            liar.driver.outbox.notify(victim, Application.PAST, encode(word))
        liar.driver.wake()
        await ring.world.run_for(1.0)
        assert closest[4] not in ring.roles(HANDLE)

    in_ring(story, NAMES, config=TIGHT, prepare=without_room(0))
