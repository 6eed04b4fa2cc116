"""Leases that end: the trash, coming back from it, space that is freed, and what forbids it."""

from dataclasses import replace

import pytest

from epost.foundation.ids import BlockKind
from epost.foundation.ports import Role
from epost.past.blocks import content_handle
from epost.past.leases.sweep import FREED_NOTES
from epost.past.shelf import TRASH_NOTES
from epost.rings.policy import Lifetimes, Reason, Revocation
from tests.support.organisation import START_MS, seed_of
from tests.support.past_ring import FAST, PastRing, in_ring

CONTENT = BlockKind.CONTENT
BLOCK = b"nobody wants this any more" * 10
HANDLE = content_handle(BLOCK)
NAMES = ["ann", "ben", "cat"]
DAY = 86_400.0
A_DAY = Lifetimes(account_days=400, node_soft_days=90, node_days=400, lease_days=1)
FREEING = replace(
    FAST,
    frees_expired=True,
    trash_seconds=0.5 * DAY,
    freed_part_per_day=1.0,
    tick_seconds=600.0,
    maintenance_interval_seconds=1e6,
    reply_seconds=3000.0,
)


async def inserted(ring: PastRing) -> None:
    await ring.node("ann").store.insert(CONTENT, BLOCK, mirror=False)
    await ring.world.run_for(10.0)
    assert len(ring.roles(HANDLE)) == 3


def all_roles(ring: PastRing) -> set[Role]:
    return set(ring.roles(HANDLE).values())


def test_what_nobody_renews_goes_to_the_trash_and_then_for_good() -> None:
    async def story(ring: PastRing) -> None:
        await inserted(ring)
        await ring.world.run_for(1.9 * DAY)
        assert all_roles(ring) == {Role.REPLICA}
        await ring.world.run_for(0.3 * DAY)
        assert all_roles(ring) == {Role.TRASH}
        vault = ring.hosts["ann"].vault
        assert vault.counts().trashed_bytes == len(BLOCK)
        assert await ring.node("ben").store.lookup(HANDLE, mirror=False) == BLOCK
        await ring.world.run_for(0.6 * DAY)
        assert ring.roles(HANDLE) == {}
        assert vault.notes(TRASH_NOTES) == []
        assert len(vault.notes(FREED_NOTES)) == 1

    in_ring(story, NAMES, config=FREEING, pushes=False, lifetimes=A_DAY)


@pytest.mark.no_cover  # tracing takes twice the time, and other tests run the same lines
def test_inserting_a_block_again_renews_its_lease_or_takes_it_out_of_the_trash() -> None:
    async def story(ring: PastRing) -> None:
        await inserted(ring)
        await ring.world.run_for(1.5 * DAY)
        await ring.node("ben").store.insert(CONTENT, BLOCK, mirror=False)
        await ring.world.run_for(1.0 * DAY)
        assert all_roles(ring) == {Role.REPLICA}
        await ring.world.run_for(1.3 * DAY)
        assert all_roles(ring) == {Role.TRASH}
        await ring.node("cat").store.insert(CONTENT, BLOCK, mirror=False)
        await ring.world.run_for(10.0)
        assert all_roles(ring) == {Role.REPLICA}
        assert ring.hosts["ann"].vault.notes(TRASH_NOTES) == []
        used = ring.node("ann").replica.attribution()
        assert (used.members, used.used.blocks) == (1, 1), "charged to the last who inserted it"

    in_ring(story, NAMES, config=FREEING, pushes=False, lifetimes=A_DAY)


def test_by_default_no_lease_ever_ends() -> None:
    async def story(ring: PastRing) -> None:
        await inserted(ring)
        await ring.world.run_for(2.7 * DAY)
        assert all_roles(ring) == {Role.REPLICA}

    never = replace(FREEING, frees_expired=False)
    in_ring(story, NAMES, config=never, pushes=False, lifetimes=A_DAY)


@pytest.mark.long
def test_nothing_is_freed_while_the_clocks_differ() -> None:
    async def story(ring: PastRing) -> None:
        ring.clocks_are_sound = False
        await inserted(ring)
        await ring.world.run_for(2.7 * DAY)
        assert all_roles(ring) == {Role.REPLICA}

    in_ring(story, NAMES, config=FREEING, pushes=False, lifetimes=A_DAY)


@pytest.mark.long
def test_a_store_is_emptied_by_a_small_part_a_day_only() -> None:
    async def story(ring: PastRing) -> None:
        blocks = [b"%d" % n + bytes(999) for n in range(20)]
        for block in blocks:
            await ring.node("ann").store.insert(CONTENT, block, mirror=False)
        await ring.world.run_for(2.7 * DAY)
        left = ring.hosts["ann"].vault.counts().trashed
        assert 12 <= left < 20
        await ring.world.run_for(1.0 * DAY)
        assert 0 < left - ring.hosts["ann"].vault.counts().trashed <= 4

    slowly = replace(FREEING, freed_part_per_day=0.2)
    in_ring(story, NAMES, config=slowly, pushes=False, lifetimes=A_DAY)


@pytest.mark.long
def test_an_own_mirror_outlives_the_lease() -> None:
    async def story(ring: PastRing) -> None:
        await ring.node("ann").store.insert(CONTENT, BLOCK)
        await ring.world.run_for(2.7 * DAY)
        assert ring.roles(HANDLE) == {"ann": Role.MIRROR}
        assert await ring.node("ann").store.lookup(HANDLE) == BLOCK

    in_ring(story, NAMES, config=FREEING, pushes=False, lifetimes=A_DAY)


def test_nothing_ends_of_a_member_whom_the_authority_holds() -> None:
    async def story(ring: PastRing) -> None:
        await inserted(ring)
        held = Revocation(seed_of("tag/ann")[:16], Reason.HELD, START_MS)
        word = ring.issuer_block
        for revoked, days, roles in (((held,), 2.2, Role.REPLICA), ((), 0.3, Role.TRASH)):
            policy = ring.node("ann").issuers.policy
            word = ring.organisation.issuer_block(policy, revoked=revoked, previous=word)
            for name in NAMES:
                ring.node(name).issuers.publish(word.data)
            assert ring.node("ben").issuers.is_revoked(held.certificate) is False
            await ring.world.run_for(days * DAY)
            assert all_roles(ring) == {roles}

    in_ring(story, NAMES, config=FREEING, pushes=False, lifetimes=A_DAY)
