"""Leases prolonged in bulk: a few messages for many blocks, and out of the trash."""

from __future__ import annotations

import pytest

from epost.foundation.durations import DAY_MS
from epost.foundation.ids import BlockKind, Handle
from epost.foundation.ports import Role
from epost.foundation.wire import Application
from epost.past.blocks import content_handle
from epost.past.leases.terms import LEASE_NOTES, leased_until
from epost.past.messages import HANDLES_MAX, Renewal, read_routed
from epost.past.tickets import LEASE_MS_MAX
from tests.support.past_ring import PastRing, in_ring
from tests.unit.past.leases.test_sweep import A_DAY, BLOCK, DAY, FREEING, HANDLE, NAMES, all_roles

CONTENT = BlockKind.CONTENT
EIGHT = ("ann", "ben", "cat", "dan", "eve", "fay", "gil", "hal")


def leases(ring: PastRing, handle: Handle) -> dict[str, int]:
    """Return until when each replica keeps a block, in days from now."""
    vaults = {name: host.vault for name, host in ring.hosts.items()}
    entries = {name: vault.entry(handle) for name, vault in vaults.items()}
    now = ring.node("ann").around.clock.wall_ms()
    return {
        name: round((leased_until(vaults[name], entry) - now) / DAY_MS)
        for name, entry in entries.items()
        if entry is not None and entry.roles & Role.REPLICA
    }


def test_one_renewal_reaches_every_replica_of_every_block() -> None:
    async def story(ring: PastRing) -> None:
        blocks = [b"%d" % n for n in range(40)]
        store = ring.node("ann").store
        await store.insert_many([(CONTENT, block) for block in blocks])
        for host in ring.hosts.values():
            host.clock.skew_seconds += 100 * DAY
        routed = count_routed(ring)
        assert await store.renew_mirrored() == 40
        await ring.world.run_for(5.0)
        for block in blocks:
            until = leases(ring, content_handle(block))
            assert sorted(until) == sorted(ring.closest(content_handle(block))[:3])
            assert set(until.values()) == {400}, (until, ring.closest(content_handle(block)))
        assert len(routed) <= len(EIGHT)

    in_ring(story, EIGHT, pushes=False)


def count_routed(ring: PastRing) -> list[Renewal]:
    """Return a list that gets every renewal that is routed."""
    routed: list[Renewal] = []
    for name in ring.hosts:
        overlay = ring.node(name).overlay
        send = overlay.route

        def counted(key, application, body, send=send):  # type: ignore[no-untyped-def]
            assert application is Application.PAST
            if isinstance(renewal := read_routed(body), Renewal):
                routed.append(renewal)
            send(key, application, body)

        overlay.route = counted  # type: ignore[method-assign]
    return routed


@pytest.mark.no_cover  # tracing takes twice the time, and other tests run the same lines
def test_a_renewed_block_stays_and_one_in_the_trash_comes_back() -> None:
    async def story(ring: PastRing) -> None:
        ann, ben = ring.node("ann"), ring.node("ben")
        await ann.store.insert(CONTENT, BLOCK, mirror=False)
        await ben.store.lookup(HANDLE)
        await ring.world.run_for(1.5 * DAY)
        await ben.store.renew_mirrored()
        await ring.world.run_for(1.0 * DAY)
        await ring.world.run_for(1.2 * DAY)
        assert {roles & ~Role.MIRROR for roles in all_roles(ring)} == {Role.TRASH}
        used = ann.replica.attribution().used
        assert used.octets == 0
        await ben.store.renew_mirrored()
        await ring.world.run_for(5.0)
        assert {roles & ~Role.MIRROR for roles in all_roles(ring)} == {Role.REPLICA}
        assert ann.replica.attribution().used.octets == len(BLOCK)

    in_ring(story, NAMES, config=FREEING, pushes=False, lifetimes=A_DAY)


def test_nobody_gets_more_than_the_longest_lease_nor_less_than_he_has() -> None:
    async def story(ring: PastRing) -> None:
        ann = ring.node("ann")
        await ann.store.insert(CONTENT, BLOCK)
        now = ann.around.clock.wall_ms()
        ann.replica._renewals.prolong([HANDLE], now + 9000 * DAY_MS, 0.0)
        ann.driver.wake()
        await ring.world.run_for(1.0)
        entry = ring.hosts["ann"].vault.entry(HANDLE)
        assert entry is not None
        until = leased_until(ring.hosts["ann"].vault, entry)
        assert until <= ann.around.clock.wall_ms() + LEASE_MS_MAX
        ann.replica._renewals.prolong([HANDLE], now + DAY_MS, 0.0)
        ann.driver.wake()
        await ring.world.run_for(1.0)
        assert leased_until(ring.hosts["ann"].vault, entry) == until
        assert len(ring.hosts["ann"].vault.notes(LEASE_NOTES)) == 1

    in_ring(story, NAMES, pushes=False)


def test_a_renewal_of_blocks_that_are_nowhere_ends() -> None:
    async def story(ring: PastRing) -> None:
        handles = tuple(content_handle(b"nowhere %d" % n) for n in range(HANDLES_MAX))
        routed = count_routed(ring)
        in_order = tuple(sorted(handles, key=lambda handle: handle.digest))
        ring.node("ann").replica._renewals.on_routed(Renewal(in_order, 1), 0.0)
        ring.node("ann").driver.wake()
        await ring.world.run_for(5.0)
        assert len(routed) <= len(EIGHT)

    in_ring(story, EIGHT, pushes=False)


def test_a_copy_that_repair_makes_is_kept_as_long_as_the_others() -> None:
    async def story(ring: PastRing) -> None:
        *replicas, fourth = ring.closest(HANDLE)[:4]
        await ring.node(fourth).store.insert(CONTENT, BLOCK)
        for host in ring.hosts.values():
            host.clock.skew_seconds += 100 * DAY
        await ring.node(fourth).store.renew_mirrored()
        await ring.world.run_for(5.0)
        ring.fail(replicas[0])
        await ring.world.run_for(60.0)
        ring.hosts[replicas[0]].start()
        until = leases(ring, HANDLE)
        assert until[fourth] == 400

    in_ring(story, EIGHT)


def test_what_is_not_mirrored_any_more_is_kept_for_the_ring_only_and_not_renewed() -> None:
    async def story(ring: PastRing) -> None:
        store = ring.node("ann").store
        kept, left = [content_handle(block) for block in (b"kept", b"left")]
        await store.insert_many([(CONTENT, b"kept"), (CONTENT, b"left")])
        held = {name: ring.hosts[name].vault.entry(left) for name in ring.closest(left)[:3]}
        assert store.is_mirrored(left)
        await store.unmirror([left, content_handle(b"never heard of")])
        assert not store.is_mirrored(left)
        assert store.is_mirrored(kept)
        assert await store.renew_mirrored() == 1
        for name, before in held.items():
            entry = ring.hosts[name].vault.entry(left)
            assert entry is not None
            assert before is not None
            assert entry.roles == before.roles & ~Role.MIRROR

    in_ring(story, EIGHT, pushes=False)


def test_what_is_still_to_be_pushed_stays_mirrored() -> None:
    async def story(ring: PastRing) -> None:
        store = ring.node("ann").store
        for name in EIGHT[1:]:
            ring.fail(name)
        inserted = await store.insert(CONTENT, b"on a train")
        await store.unmirror([inserted.handle])
        assert store.is_mirrored(inserted.handle)

    in_ring(story, EIGHT, pushes=False)
