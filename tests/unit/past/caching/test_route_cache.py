"""Copies in spare space on the ways of look-ups, over a small ring whose ways the test lays."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest

from epost.foundation.errors import NoSuchBlock
from epost.foundation.ids import BlockKind, Handle, Id, NodeHandle
from epost.foundation.ports import Role
from epost.past.blocks import content_handle
from epost.past.config import MEBIBYTE, PastConfig
from epost.past.messages import REPLICA_SET_QUERY
from epost.past.observed import BlockCached, CacheHit, CacheMissed
from epost.simulation.vault import DiskConfig
from tests.support.past_ring import FAST, PastRing, in_ring

CONTENT = BlockKind.CONTENT
BLOCK = b"a popular block" * 10
HANDLE = content_handle(BLOCK)
NAMES = ("ann", "ben", "cat", "dan", "eve", "fay", "gil", "hal")


class Way:
    """A reader, whose look-ups go over one node that is neither a replica nor a stand-in."""

    def __init__(self, ring: PastRing) -> None:
        self.ring = ring
        self.replicas = ring.closest(HANDLE)[:3]
        self.between, self.reader = ring.closest(HANDLE)[-2:]
        self.events: list[object] = []
        ring.world.trace.listen(lambda seen: self.events.append(seen.event))
        for name in (self.between, self.reader):
            ring.node(name).overlay.is_narrow = True
        ring.node(self.reader).overlay.way = (ring.node(self.between).overlay,)

    async def look_up(self, times: int = 1, *, handle: Handle = HANDLE) -> None:
        """Look a block up and keep nothing of it."""
        node = self.ring.node(self.reader)
        for _ in range(times):
            await node.store.lookup(handle, mirror=False)
            node.replica.cache.make_room(1 << 60)
            node.driver.wake()
            await self.ring.world.run_for(1.0)

    def role(self, handle: Handle = HANDLE) -> Role | None:
        """Return as what the node on the way has a block."""
        return self.ring.roles(handle).get(self.between)

    def count(self, kind: type) -> int:
        """Return how many events of a kind there were."""
        return sum(isinstance(event, kind) for event in self.events)


def on_a_way(story: Callable[[Way], Coroutine[Any, Any, None]], **options: Any) -> None:
    """Run a story with a block that lies on its replicas only, and a way to them."""

    async def whole(ring: PastRing) -> None:
        way = Way(ring)
        await ring.node(way.replicas[0]).store.insert(CONTENT, BLOCK, mirror=False)
        ring.node(way.between).driver.run_story(ring.node(way.between).store.fill_cache_for_ever())
        await ring.world.run_for(2.0)
        await story(way)

    in_ring(whole, NAMES, **options)


def test_what_is_looked_up_twice_over_a_node_stays_there_and_answers_the_third_time() -> None:
    async def story(way: Way) -> None:
        await way.look_up()
        assert (way.role(), way.count(CacheMissed)) == (None, 1)
        await way.look_up()
        assert (way.role(), way.count(CacheMissed)) == (Role.CACHED, 2)
        for name in way.replicas:
            way.ring.hosts[name].crash(with_machine=True)
        await way.look_up()
        assert (way.count(CacheHit), way.count(CacheMissed)) == (1, 2)

    on_a_way(story)


@pytest.mark.no_cover  # tracing takes twice the time, and other tests run the same lines
def test_interest_of_long_ago_does_not_count() -> None:
    forgetful = replace(FAST, cache_interest_seconds=60.0)

    async def story(way: Way) -> None:
        await way.look_up()
        await way.ring.world.run_for(forgetful.cache_interest_seconds)
        await way.look_up()
        assert way.role() is None

    on_a_way(story, config=forgetful)


def test_a_cached_copy_is_no_replica_to_anybody() -> None:
    async def story(way: Way) -> None:
        await way.look_up(2)
        vault = way.ring.hosts[way.between].vault
        counts = vault.counts()
        assert (counts.cached, counts.cached_bytes) == (1, len(BLOCK))
        assert (counts.replicas, counts.stand_ins) == (0, 0)
        fingerprint = vault.fingerprint(Id(bytes(20)), Id(bytes(20)))
        assert fingerprint is not None
        assert fingerprint.count == 0
        holders = await way.ring.node(way.replicas[0]).store.holders(HANDLE)
        assert [way.ring.name_of(node) for node in holders] == way.replicas

    on_a_way(story)


def test_a_machine_that_must_be_thrifty_caches_nothing_and_gives_nothing() -> None:
    async def story(way: Way) -> None:
        way.ring.may_copy = False
        await way.look_up(3)
        assert way.role() is None
        way.ring.may_copy = True
        await way.look_up(2)
        assert way.role() == Role.CACHED
        way.ring.may_copy = False
        before = way.count(CacheHit)
        await way.look_up()
        assert way.count(CacheHit) == before

    on_a_way(story)


def test_nothing_is_cached_where_the_operator_gives_no_room_for_it() -> None:
    async def story(way: Way) -> None:
        await way.look_up(3)
        assert way.role() is None

    on_a_way(story, config=_with(cache_part=0.0))


def test_what_is_cached_gives_way_to_a_block_that_is_kept_for_the_ring() -> None:
    async def story(way: Way) -> None:
        await way.look_up(2)
        assert way.role() == Role.CACHED
        large = _block_closest_to(way, 900_000)
        node = way.ring.node(way.between)
        before = way.ring.hosts[way.between].vault.free_bytes()
        await node.store.insert(CONTENT, large, mirror=False)
        await way.ring.world.run_for(2.0)
        assert way.role() is None
        assert way.ring.roles(content_handle(large))[way.between] & Role.REPLICA
        assert before - way.ring.hosts[way.between].vault.free_bytes() == len(large)

    small = DiskConfig(contributed_bytes_max=1_000_600)
    config = _with(disk_reserve_bytes=100_500, allowance_free_bytes=MEBIBYTE)
    on_a_way(story, config=config, disk=small)


def test_a_copy_that_rotted_is_forgotten_and_the_block_read_elsewhere() -> None:
    async def story(way: Way) -> None:
        await way.look_up(2)
        assert way.ring.hosts[way.between].disk.rot() == HANDLE
        await way.look_up()
        assert way.role() is None
        assert not way.ring.hosts[way.between].vault.is_damaged(HANDLE)

    on_a_way(story)


def test_a_restarted_node_goes_on_with_what_it_had_cached() -> None:
    async def story(way: Way) -> None:
        await way.look_up(2)
        host = way.ring.hosts[way.between]
        host.crash()
        host.start()
        await way.ring.world.run_for(3.0)
        way.ring.node(way.between).overlay.is_narrow = True
        way.ring.node(way.reader).overlay.way = (way.ring.node(way.between).overlay,)
        await way.look_up()
        assert way.count(CacheHit) == 1

    on_a_way(story)


def test_who_pretends_to_have_a_block_only_costs_time() -> None:
    async def story(way: Way) -> None:
        way.ring.node(way.between).replica.cache.finds = lambda _: True  # type: ignore[method-assign]
        await way.look_up(2)
        missing = content_handle(b"never stored")
        with pytest.raises(NoSuchBlock):
            await way.ring.node(way.reader).store.lookup(missing)

    on_a_way(story)


def test_a_root_of_the_first_version_is_asked_in_its_own_words() -> None:
    async def story(way: Way) -> None:
        for name in way.ring.hosts:
            _make_old(way.ring, name)
        await way.look_up()

    on_a_way(story)


def test_the_inserter_keeps_what_it_does_not_mirror_in_spare_space() -> None:
    async def story(way: Way) -> None:
        mine = _block_farthest_from(way)
        await way.ring.node(way.reader).store.insert(CONTENT, mine, mirror=False)
        await way.ring.world.run_for(1.0)
        assert way.ring.roles(content_handle(mine))[way.reader] == Role.CACHED
        assert way.count(BlockCached) == 1
        assert await way.ring.node(way.reader).store.lookup(content_handle(mine)) == mine
        await way.ring.world.run_for(1.0)
        assert way.ring.roles(content_handle(mine))[way.reader] == Role.MIRROR

    on_a_way(story)


def _with(**changes: Any) -> PastConfig:
    return replace(FAST, **changes)


def _block_closest_to(way: Way, size: int) -> bytes:
    """Return a block that the node on the way must keep."""
    blocks = (n.to_bytes(4, "big") * (size // 4) for n in range(1000))
    return next(b for b in blocks if way.between in way.ring.closest(content_handle(b))[:1])


def _block_farthest_from(way: Way) -> bytes:
    blocks = (b"%d" % n for n in range(1000))
    return next(b for b in blocks if way.reader in way.ring.closest(content_handle(b))[-1:])


def _make_old(ring: PastRing, name: str) -> None:
    """Have a node know only the query of the first version."""
    replica = ring.node(name).replica
    deliver = replica.deliver

    def old(key: Id, origin: NodeHandle, body: bytes, now: float) -> None:
        try:
            REPLICA_SET_QUERY.decode(body)
        except Exception:
            return
        deliver(key, origin, body, now)

    replica.deliver = old  # type: ignore[method-assign]
    replica.forward = lambda *_: True  # type: ignore[method-assign]
