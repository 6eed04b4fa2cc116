"""The own disk is read again, slowly: what rotted is found, reported and fetched again."""

from dataclasses import replace

from epost.foundation.ids import BlockKind, Handle
from epost.node.observed import BlockDamaged
from epost.past.blocks import content_handle
from epost.past.observed import ScrubDone
from epost.simulation.world import Observed
from tests.support.past_ring import FAST, PastRing, in_ring

NAMES = ["ann", "ben", "cat", "dan", "eve"]
QUICK = replace(FAST, scrub_seconds=30.0)
BLOCKS = [b"block %d" % n for n in range(40)]


async def fill(ring: PastRing) -> None:
    store = ring.node("ann").store
    await store.insert_many([(BlockKind.CONTENT, block) for block in BLOCKS], mirror=False)


def listen(ring: PastRing, kind: type) -> list[Observed]:
    seen: list[Observed] = []
    ring.world.trace.listen(lambda one: seen.append(one) if isinstance(one.event, kind) else None)
    return seen


def rot_one(ring: PastRing, name: str) -> Handle:
    handle = ring.hosts[name].disk.rot()
    assert handle is not None
    return handle


def test_a_flipped_bit_that_nobody_reads_is_found_and_the_block_fetched_again() -> None:
    async def story(ring: PastRing) -> None:
        await fill(ring)
        await ring.world.run_for(1.0)
        damaged = listen(ring, BlockDamaged)
        rotten = rot_one(ring, "ben")
        await ring.world.run_for(90.0)
        assert [(one.node, one.event.handle) for one in damaged] == [("ben", rotten)]
        report = ring.node("ben").replica.scrubbing.report()
        assert (report.rotten, report.missing) == (1, 0)
        assert ring.hosts["ben"].disk.durable.blocks[rotten].is_sound()

    in_ring(story, NAMES, config=QUICK)


def test_a_rotten_block_whose_other_replicas_are_away_is_missing_until_they_return() -> None:
    async def story(ring: PastRing) -> None:
        await fill(ring)
        rotten = rot_one(ring, "ben")
        others = [name for name in ring.roles(rotten) if name != "ben"]
        for name in others:
            ring.hosts[name].crash()
        await ring.world.run_for(60.0)
        assert ring.node("ben").replica.scrubbing.report().missing == 1
        for name in others:
            ring.hosts[name].start()
        await ring.world.run_for(120.0)
        assert ring.node("ben").replica.scrubbing.report().missing == 0

    in_ring(story, NAMES, config=QUICK)


def test_a_round_reads_every_block_once_and_takes_its_time() -> None:
    async def story(ring: PastRing) -> None:
        await fill(ring)
        done = listen(ring, ScrubDone)
        await ring.world.run_for(150.0)
        rounds = [one.event for one in done if one.node == "cat"][1:]
        held = len(ring.hosts["cat"].disk.durable.blocks)
        assert rounds
        assert all(one.checked == held and one.rotten == 0 for one in rounds)
        assert all(25.0 <= one.seconds <= 60.0 for one in rounds)

    in_ring(story, NAMES, config=QUICK)


def test_a_round_goes_on_after_a_restart_where_it_was() -> None:
    async def story(ring: PastRing) -> None:
        await fill(ring)
        await ring.world.run_for(600.0)
        before = ring.node("dan").replica.scrubbing.report()
        ring.hosts["dan"].crash()
        ring.hosts["dan"].start()
        after = ring.node("dan").replica.scrubbing.report()
        assert 0 < after.checked <= before.checked
        assert after.began_ms == before.began_ms

    in_ring(story, NAMES, config=replace(FAST, scrub_seconds=1000.0))


def test_large_bodies_are_read_no_faster_than_the_cap() -> None:
    async def story(ring: PastRing) -> None:
        blocks = [bytes([n]) + bytes(100_000) for n in range(10)]
        await ring.node("ann").store.insert_many(
            [(BlockKind.CONTENT, block) for block in blocks], mirror=False
        )
        name = ring.closest(content_handle(blocks[0]))[0]
        done = listen(ring, ScrubDone)
        held = sum(e.entry.size for e in ring.hosts[name].disk.durable.blocks.values())
        await ring.world.run_for(60.0 + 2 * held / 50_000)
        rounds = [one.event for one in done if one.node == name][1:]
        assert all(one.seconds >= 0.8 * held / 50_000 for one in rounds)

    in_ring(story, NAMES, config=replace(FAST, scrub_seconds=1.0, scrub_bytes_per_second=50_000))
