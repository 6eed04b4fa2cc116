"""Replica sets stay complete: failures, returns, newcomers, rot, and no more traffic than that."""

import asyncio
from dataclasses import replace

import pytest

from epost.crypto.versioned import KeyBlock
from epost.foundation.ids import BlockKind
from epost.foundation.ports import DeleteBlock, Role
from epost.past.blocks import content_handle
from epost.past.observed import RangeCompared
from epost.past.pending import pending_handle
from tests.support.notices import envelope_for, receipt_by
from tests.support.organisation import key_of
from tests.support.past_ring import FAST, PastRing, in_ring, key_block

CONTENT = BlockKind.CONTENT
BLOCKS = [b"block %d" % n for n in range(60)]
HANDLES = [content_handle(block) for block in BLOCKS]
NAMES = ["ann", "ben", "cat", "dan", "eve", "fay", "gus", "hal"]


async def fill(ring: PastRing, writer: str = "ann") -> None:
    store = ring.node(writer).store
    for insertion in await store.insert_many([(CONTENT, b) for b in BLOCKS], mirror=False):
        assert insertion.durability.ring_durable
    await ring.world.run_for(1.0)


def assert_complete(ring: PastRing, *, without: str = "") -> None:
    for handle in HANDLES:
        expected = [name for name in ring.closest(handle) if name != without][:3]
        roles = ring.roles(handle)
        assert all(roles.get(name, Role.NONE) & Role.REPLICA for name in expected), handle


def test_a_lost_node_s_blocks_are_copied_after_the_repair_delay_and_not_before() -> None:
    async def story(ring: PastRing) -> None:
        await fill(ring)
        before = [ring.roles(handle) for handle in HANDLES]
        ring.fail("cat")
        await ring.world.run_for(FAST.repair_delay_seconds - 5)
        for handle, roles in zip(HANDLES, before, strict=True):
            roles.pop("cat", None)
            assert ring.roles(handle) == roles
        await ring.world.run_for(20.0)
        assert_complete(ring, without="cat")

    in_ring(story, NAMES)


def test_a_returning_node_is_given_what_was_kept_for_it() -> None:
    async def story(ring: PastRing) -> None:
        ring.fail("cat")
        await ring.world.run_for(FAST.gathering_seconds + 0.1)
        await fill(ring)
        stand_ins = [h for h in HANDLES if Role.STAND_IN in ring.roles(h).values()]
        assert stand_ins
        for handle in stand_ins:
            holder = next(n for n, r in ring.roles(handle).items() if r == Role.STAND_IN)
            entry = ring.hosts[holder].vault.entry(handle)
            assert entry.stand_in_for == ring.members["cat"].handle.id
        await ring.world.run_for(5.0)
        ring.return_("cat")
        await ring.world.run_for(30.0)
        assert_complete(ring)
        for handle in HANDLES:
            assert set(ring.roles(handle).values()) == {Role.REPLICA}

    in_ring(story, NAMES)


def test_a_stand_in_becomes_a_replica_when_the_absent_is_given_up() -> None:
    async def story(ring: PastRing) -> None:
        ring.fail("cat")
        await fill(ring)
        await ring.world.run_for(60.0)
        assert_complete(ring, without="cat")
        for handle in HANDLES:
            assert set(ring.roles(handle).values()) == {Role.REPLICA}

    in_ring(story, NAMES)


def test_a_newcomer_gets_its_share_and_the_surplus_is_kept_for_a_time() -> None:
    async def story(ring: PastRing) -> None:
        await fill(ring)
        ring.add("ida")
        ring.hosts["ida"].start()
        await ring.world.run_for(30.0)
        assert_complete(ring)
        assert any(len(ring.roles(handle)) == 4 for handle in HANDLES)
        await ring.world.run_for(400.0)
        assert all(len(ring.roles(handle)) == 3 for handle in HANDLES)

    in_ring(story, NAMES, config=replace(FAST, surplus_kept_seconds=200.0))


def test_ranges_are_compared_in_slices() -> None:
    async def story(ring: PastRing) -> None:
        await fill(ring)
        ring.add("ida")
        ring.hosts["ida"].start()
        ring.fail("ben")
        await ring.world.run_for(60.0)
        assert_complete(ring, without="ben")

    in_ring(story, NAMES, config=replace(FAST, slice_rows=16))


def test_a_damaged_block_is_fetched_again_when_a_peer_wants_it() -> None:
    async def story(ring: PastRing) -> None:
        await fill(ring)
        name = ring.closest(HANDLES[0])[0]
        rotten = ring.hosts[name].disk.rot()
        ring.add("ida")
        ring.hosts["ida"].start()
        await ring.world.run_for(30.0)
        ring.hosts[name].vault.load(rotten)
        await ring.world.run_for(70.0)
        assert_complete(ring)

    in_ring(story, NAMES)


def test_nothing_is_exchanged_about_a_block_just_stored_and_little_in_peace() -> None:
    async def story(ring: PastRing) -> None:
        await fill(ring)
        await ring.world.run_for(65.0)
        rounds: list[RangeCompared] = []
        ring.world.trace.listen(
            lambda seen: (
                rounds.append(seen.event) if isinstance(seen.event, RangeCompared) else None
            )
        )
        await ring.node("ann").store.insert(CONTENT, b"one more")
        await ring.world.run_for(120.0)
        assert rounds
        assert not any(one.differed for one in rounds)
        assert len(rounds) <= 2 * len(NAMES) * (len(NAMES) - 1)

    in_ring(story, NAMES)


def test_changes_of_one_moment_are_looked_at_together_and_without_blocks_few_are_asked() -> None:
    async def story(ring: PastRing) -> None:
        compared: list[str] = []
        ring.world.trace.listen(
            lambda seen: (
                compared.append(seen.node) if isinstance(seen.event, RangeCompared) else None
            )
        )
        for name in ("cat", "dan"):
            ring.fail(name)
        await ring.world.run_for(FAST.gathering_seconds / 2)
        assert not compared
        for name in ("cat", "dan"):
            ring.return_(name)
        await ring.world.run_for(5.0)
        # Whoever shares keys with a node compares with it; nobody offers what it does not have.
        assert compared.count("ann") < 2 * (len(NAMES) - 1)

    in_ring(story, NAMES)


def test_what_a_dying_machine_was_to_give_is_taken_from_others_at_once() -> None:
    """Else each block would wait for its answer, and the next ones asked of it in turn."""

    async def story(ring: PastRing) -> None:
        await fill(ring)
        ring.fail("cat")
        ring.hosts["cat"].lose_disk()
        await ring.world.run_for(1.0)
        ring.return_("cat")
        while not ring.node("cat").replica.below_k():
            await asyncio.sleep(0.001)
        ring.fail("dan")
        await ring.world.run_for(8.0)
        mine = [h for h in HANDLES if "cat" in ring.closest(h)[:3]]
        assert all(ring.roles(h).get("cat", Role.NONE) & Role.REPLICA for h in mine)

    in_ring(story, NAMES, config=replace(FAST, pull_timeout_seconds=20.0))


def test_older_versions_are_replaced_by_the_newest() -> None:
    async def story(ring: PastRing) -> None:
        first = key_block(key_of("alice"), b"one")
        second = key_block(key_of("alice"), b"two", previous=first)
        late = ring.closest(first.handle)[1]
        await ring.node("ann").store.insert(BlockKind.KEY, first.data)
        ring.fail(late)
        await ring.node("ann").store.insert(BlockKind.KEY, second.data)
        ring.return_(late)
        await ring.world.run_for(10.0)
        entry = ring.hosts[late].vault.entry(first.handle)
        assert (entry.version, entry.body_hash) == (2, second.body_hash)

    in_ring(story, NAMES)


def test_two_bodies_of_one_version_converge_to_one_everywhere() -> None:
    async def story(ring: PastRing) -> None:
        blocks = [key_block(key_of("alice"), bytes([n])) for n in range(2)]
        one, other = ring.closest(blocks[0].handle)[:2]
        for name, block in ((one, blocks[0]), (other, blocks[1])):
            for others in NAMES:
                if others != name:
                    ring.world.network.cut(
                        ring.members[name].handle.id, ring.members[others].handle.id
                    )
            await ring.node(name).store.insert(BlockKind.KEY, block.data)
            ring.world.network.heal()
            for others in NAMES:
                ring.world.network.mend(
                    ring.members[name].handle.id, ring.members[others].handle.id
                )
        await ring.world.run_for(130.0)
        newest = max(blocks, key=lambda b: b.order)
        for name in ring.closest(newest.handle)[:3]:
            assert ring.hosts[name].vault.entry(newest.handle).body_hash == newest.body_hash

    in_ring(story, NAMES, pushes=False)


def test_a_receipt_reaches_the_holder_that_slept_and_its_notice_is_not_revived() -> None:
    async def story(ring: PastRing) -> None:
        bob = ring.organisation.user("bob")
        envelope = envelope_for(bob)
        handle = pending_handle(envelope)
        await ring.node("ann").store.deposit(envelope)
        sleeper = ring.closest(handle)[0]
        ring.fail(sleeper)
        await ring.node("ann").store.insert(
            BlockKind.RECEIPT, receipt_by(bob, envelope), mirror=False
        )
        ring.return_(sleeper)
        await ring.world.run_for(130.0)
        assert ring.roles(handle) == {}

    in_ring(story, NAMES)


def test_a_stand_in_lets_go_of_a_notice_that_was_settled_with_the_replicas() -> None:
    async def story(ring: PastRing) -> None:
        bob = ring.organisation.user("bob")
        envelope = envelope_for(bob)
        handle = pending_handle(envelope)
        writer, _, absent, stand_in, *_ = ring.closest(handle)
        ring.fail(absent)
        await ring.node(writer).store.deposit(envelope)
        assert ring.roles(handle)[stand_in] == Role.STAND_IN
        ring.return_(absent)
        receipt = receipt_by(bob, envelope)
        await ring.node(writer).store.insert(BlockKind.RECEIPT, receipt, mirror=False)
        await ring.world.run_for(60.0)
        assert ring.roles(handle) == {}
        assert ring.node(stand_in).delegation.held == {}

    in_ring(story, NAMES)


def test_a_stand_in_that_is_shown_the_receipt_lets_go_of_the_notice_at_once() -> None:
    async def story(ring: PastRing) -> None:
        bob = ring.organisation.user("bob")
        envelope = envelope_for(bob)
        handle = pending_handle(envelope)
        writer, _, absent, stand_in, *_ = ring.closest(handle)
        ring.fail(absent)
        await ring.node(writer).store.deposit(envelope)
        ring.return_(absent)
        receipt = receipt_by(bob, envelope)
        assert ring.roles(handle)[stand_in] == Role.STAND_IN
        await ring.node(stand_in).store.insert(BlockKind.RECEIPT, receipt, mirror=False)
        assert stand_in not in ring.roles(handle)
        assert ring.node(stand_in).delegation.gone == [handle]

    in_ring(story, NAMES)


def test_held_notices_are_found_again_after_a_restart() -> None:
    async def story(ring: PastRing) -> None:
        envelope = envelope_for(ring.organisation.user("bob"))
        handle = pending_handle(envelope)
        await ring.node("ann").store.deposit(envelope)
        holder = ring.closest(handle)[0]
        ring.hosts[holder].crash()
        ring.hosts[holder].start()
        await ring.world.run_for(5.0)
        assert ring.node(holder).delegation.held == {handle: envelope}

    in_ring(story, NAMES)


# Catching up.


async def stored_head(ring: PastRing) -> KeyBlock:
    block = key_block(key_of("alice"), b"one")
    await ring.node("ann").store.insert(BlockKind.KEY, block.data)
    await ring.world.run_for(10.0)
    return block


def test_a_restarted_replica_is_catching_up_until_it_compared_with_two_others() -> None:
    async def story(ring: PastRing) -> None:
        block = await stored_head(ring)
        first, second = ring.closest(block.handle)[:2]
        assert not ring.node(first).replica.is_catching_up(block.handle)
        ring.world.network.partition([ring.members[name].handle.id for name in (first, second)])
        ring.hosts[first].crash()
        ring.hosts[first].start()
        assert ring.node(first).replica.is_catching_up(block.handle)
        await ring.world.run_for(20.0)
        assert ring.node(first).replica.is_catching_up(block.handle), "compared with one only"
        ring.world.network.heal()
        await ring.world.run_for(20.0)
        assert not ring.node(first).replica.is_catching_up(block.handle)

    in_ring(story, NAMES)


def test_in_a_ring_of_two_the_other_one_is_enough_and_alone_nobody() -> None:
    async def pair(ring: PastRing) -> None:
        block = await stored_head(ring)
        assert not ring.node("ben").replica.is_catching_up(block.handle)
        ring.hosts["ben"].crash()
        ring.hosts["ben"].start()
        assert ring.node("ben").replica.is_catching_up(block.handle)
        await ring.world.run_for(10.0)
        assert not ring.node("ben").replica.is_catching_up(block.handle)

    async def alone(ring: PastRing) -> None:
        block = await stored_head(ring)
        reading = await ring.node("ann").store.lookup_latest(block.handle)
        assert reading.confirmed

    in_ring(pair, ["ann", "ben"])
    in_ring(alone, ["ann"])


def test_a_node_that_was_away_is_catching_up_again() -> None:
    async def story(ring: PastRing) -> None:
        block = await stored_head(ring)
        first = ring.closest(block.handle)[0]
        ring.node(first).overlay.epoch += 1
        ring.node(first).overlay.changed(ring.members["ann"].handle, joined=True)
        ring.node(first).replica.on_timer("tick", ring.hosts[first].clock.now())
        assert ring.node(first).replica.is_catching_up(block.handle)

    in_ring(story, NAMES)


def test_nothing_is_confirmed_while_everybody_catches_up() -> None:
    async def story(ring: PastRing) -> None:
        block = await stored_head(ring)
        for name in NAMES:
            ring.hosts[name].crash()
            ring.hosts[name].start()
        reading = await ring.node("ann").store.lookup_latest(block.handle)
        assert (reading.block, reading.confirmed) == (block.data, False)
        await ring.world.run_for(30.0)
        assert (await ring.node("ann").store.lookup_latest(block.handle)).confirmed

    in_ring(story, NAMES)


# Limits.


def test_copying_pauses_when_much_of_the_leaf_set_vanishes() -> None:
    async def story(ring: PastRing) -> None:
        await fill(ring)
        for name in ("cat", "dan", "eve"):
            ring.fail(name)
        before = [ring.roles(handle) for handle in HANDLES]
        await ring.world.run_for(100.0)
        assert [ring.roles(handle) for handle in HANDLES] == before

    config = replace(FAST, mass_absence_ring_min=5)
    in_ring(story, NAMES, config=config, pushes=False)


@pytest.mark.parametrize("budget", [2_000, 8_000_000])
def test_copying_is_rate_limited(budget: int) -> None:
    async def story(ring: PastRing) -> None:
        store = ring.node("ann").store
        blocks = [b"%d" % n + bytes(1000) for n in range(60)]
        await store.insert_many([(CONTENT, b) for b in blocks], mirror=False)
        handles = [content_handle(b) for b in blocks]
        late = ring.closest(handles[0])[0]
        mine = [h for h in handles if late in ring.closest(h)[:3]]
        await ring.world.run_for(1.0)
        await ring.hosts[late].vault.commit([DeleteBlock(h) for h in mine])
        ring.hosts[late].crash()
        ring.hosts[late].start()
        await ring.world.run_for(5.0)
        arrived = sum(late in ring.roles(h) for h in mine)
        assert (arrived == len(mine)) == (budget > 10_000)
        await ring.world.run_for(100.0)
        assert all(late in ring.roles(h) for h in mine)

    in_ring(story, NAMES, config=replace(FAST, repair_bytes_per_second=budget, tick_seconds=0.5))


def test_below_k_counts_what_is_missing() -> None:
    async def story(ring: PastRing) -> None:
        await fill(ring)
        await ring.world.run_for(10.0)
        assert all(ring.node(name).store.below_k() == 0 for name in ring.hosts)
        ring.fail("ben")
        await ring.world.run_for(3.0)
        assert ring.node("ann").store.below_k() == len(HANDLES)

    in_ring(story, ["ann", "ben", "cat"])
