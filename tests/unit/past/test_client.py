"""Stories of the block store over small rings: insert, look up, hedge, hold, push."""

import asyncio
from dataclasses import replace

import pytest

from epost.crypto.versioned import key_block_handle, open_key_block
from epost.foundation.errors import (
    DiskFull,
    MalformedPacket,
    NoSuchBlock,
    QuotaExceeded,
    StaleVersion,
    UnavailableError,
)
from epost.foundation.ids import BlockKind, Handle
from epost.foundation.ports import DeleteBlock, PutNote, Role
from epost.node.disk import RESERVE_BYTES
from epost.past.blocks import content_handle
from epost.past.client import Answered, Conflict
from epost.past.config import PastConfig
from epost.past.durability import Durability
from epost.past.log_format import RECORDS_PER_CLUSTER_MAX, split_records
from epost.past.observed import BlockInserted
from epost.past.pending import pending_handle, receipt_handle
from epost.simulation.vault import DiskConfig
from tests.support.logs import Log
from tests.support.notices import envelope_for, receipt_by
from tests.support.organisation import Organisation, key_of
from tests.support.past_ring import CALM, FAST, PastRing, in_ring, key_block

CONTENT, KEY = BlockKind.CONTENT, BlockKind.KEY
BLOCK = b"a block of bytes"
HANDLE = content_handle(BLOCK)


def test_an_insertion_is_ring_durable_on_the_k_closest() -> None:
    async def story(ring: PastRing) -> None:
        insertion = await ring.node("ann").store.insert(CONTENT, BLOCK)
        assert insertion.handle == HANDLE
        assert insertion.durability == Durability(3, 3, ring_durable=True)
        holders = [ring.name_of(n) for n in await ring.node("eve").store.holders(HANDLE)]
        assert holders == ring.closest(HANDLE)[:3]
        for name in ring.hosts:
            assert await ring.node(name).store.lookup(HANDLE) == BLOCK

    in_ring(story)


def test_the_inserter_keeps_a_mirror_that_is_not_a_replica() -> None:
    async def story(ring: PastRing) -> None:
        outsider = ring.closest(HANDLE)[-1]
        await ring.node(outsider).store.insert(CONTENT, BLOCK)
        await ring.world.run_for(1.0)
        roles = ring.roles(HANDLE)
        assert roles.pop(outsider) == Role.MIRROR
        assert set(roles.values()) == {Role.REPLICA}

    in_ring(story)


def test_what_is_held_waits_on_the_own_disk_until_it_is_inserted() -> None:
    block = key_block(key_of("somebody"))

    async def story(ring: PastRing) -> None:
        ann = ring.node("ann")
        ann.store.hold(KEY, block.data)
        await ann.driver.durable([PutNote("table", b"key", b"of the writer")])
        assert ann.around.vault.entry(block.handle).roles & Role.UNPUSHED
        assert set(ring.roles(block.handle)) == {"ann"}
        insertion = await ann.store.insert(KEY, block.data)
        assert insertion.durability.ring_durable
        await ring.world.run_for(1.0)
        assert sorted({"ann", *ring.roles(block.handle)}) == sorted(
            {"ann", *ring.closest(block.handle)[:3]}
        )
        assert not ann.around.vault.entry(block.handle).roles & Role.UNPUSHED

    in_ring(story)


def test_who_keeps_a_block_finds_the_node_that_left_it_here_while_it_is_there() -> None:
    async def story(ring: PastRing) -> None:
        writer, *_ = reversed(ring.closest(HANDLE))
        keeper = ring.node(ring.closest(HANDLE)[0]).store
        assert await keeper.depositor(HANDLE) is None
        await ring.node(writer).store.insert(CONTENT, BLOCK)
        assert await keeper.depositor(HANDLE) == ring.members[writer].handle
        ring.fail(writer)
        assert await keeper.depositor(HANDLE) is None

    in_ring(story)


def test_what_is_held_is_still_told_of_a_rival_when_it_is_inserted() -> None:
    first, second = (key_block(key_of("somebody"), content) for content in (b"1", b"2"))

    async def story(ring: PastRing) -> None:
        replica, *_, outsider = ring.closest(first.handle)
        ring.node(outsider).store.hold(KEY, first.data)
        await ring.node(replica).store.insert(KEY, second.data)
        with pytest.raises(Conflict):
            await ring.node(outsider).store.insert(KEY, first.data)

    in_ring(story)


def test_without_a_mirror_nothing_stays_where_it_need_not() -> None:
    async def story(ring: PastRing) -> None:
        await ring.node(ring.closest(HANDLE)[-1]).store.insert(CONTENT, BLOCK, mirror=False)
        await ring.world.run_for(1.0)
        assert sorted(ring.roles(HANDLE)) == sorted(ring.closest(HANDLE)[:3])

    in_ring(story)


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_small_rings_are_ordinary(size: int) -> None:
    async def story(ring: PastRing) -> None:
        insertion = await ring.node("ann").store.insert(CONTENT, BLOCK)
        wanted = min(3, size)
        assert insertion.durability.ring_durable
        assert insertion.durability.wanted == insertion.durability.acked == wanted
        assert len(await ring.node("ann").store.holders(HANDLE)) == wanted

    in_ring(story, ["ann", "ben", "cat", "dan"][:size])


def test_many_blocks_go_under_one_ticket() -> None:
    async def story(ring: PastRing) -> None:
        blocks = [(CONTENT, b"block %d" % n) for n in range(40)]
        insertions = await ring.node("ann").store.insert_many(blocks)
        assert [i.handle for i in insertions] == [content_handle(b) for _, b in blocks]
        assert all(i.durability.ring_durable for i in insertions)
        tickets = {ring.hosts["ben"].vault.entry(i.handle).ticket for i in insertions
                   if ring.hosts["ben"].vault.entry(i.handle)}  # fmt: skip
        assert len(tickets) == 1

    in_ring(story)


def test_a_silent_replica_is_hedged_by_a_stand_in() -> None:
    async def story(ring: PastRing) -> None:
        first, *_, fourth, writer = ring.closest(HANDLE)
        ring.hosts[first].crash(with_machine=True)  # nobody has noticed yet
        start = ring.hosts[writer].clock.now()
        insertion = await ring.node(writer).store.insert(CONTENT, BLOCK)
        assert insertion.durability.ring_durable
        assert ring.hosts[writer].clock.now() - start < 0.5
        assert ring.roles(HANDLE)[fourth] == Role.STAND_IN

    in_ring(story)


def test_with_too_few_machines_a_block_is_held_locally_and_pushed_later() -> None:
    async def story(ring: PastRing) -> None:
        ring.fail("ben")
        ring.fail("cat")
        insertion = await ring.node("ann").store.insert(CONTENT, BLOCK)
        assert insertion.durability == Durability(1, 3, ring_durable=False)
        assert ring.roles(HANDLE)["ann"] & Role.UNPUSHED
        assert ring.node("ann").store.below_k() > 0
        await ring.world.run_for(10.0)
        ring.return_("ben")
        ring.return_("cat")
        await ring.world.run_for(10.0)
        assert ring.roles(HANDLE) == {
            "ann": Role.REPLICA | Role.MIRROR, "ben": Role.REPLICA, "cat": Role.REPLICA
        }  # fmt: skip

    in_ring(story, ["ann", "ben", "cat"])


def test_what_is_on_its_way_is_not_called_below_k_and_what_is_held_locally_is() -> None:
    async def story(ring: PastRing) -> None:
        ring.hosts["cat"].crash(with_machine=True)  # nobody has noticed yet
        insertion = asyncio.ensure_future(ring.node("ann").store.insert(CONTENT, BLOCK))
        await asyncio.sleep(1.0)
        assert ring.roles(HANDLE)["ann"] & Role.UNPUSHED
        assert ring.node("ann").store.below_k() == 0
        assert not (await insertion).durability.ring_durable
        assert ring.node("ann").store.below_k() == 1

    in_ring(story, ["ann", "ben", "cat"], pushes=False)


def test_a_block_is_fetched_from_the_replica_that_is_nearest_in_time() -> None:
    async def story(ring: PastRing) -> None:
        *replicas, fourth, reader = ring.closest(HANDLE)
        await ring.node(fourth).store.insert(CONTENT, BLOCK, mirror=False)
        *farther, nearest = replicas
        ring.node(reader).overlay.round_trips = {ring.members[nearest].handle.id: 0.001}
        for name in farther:
            ring.hosts[name].crash(with_machine=True)  # to ask them first would take a hedge
        start = ring.hosts[reader].clock.now()
        assert await ring.node(reader).store.lookup(HANDLE) == BLOCK
        assert ring.hosts[reader].clock.now() - start < ring.config.hedge_seconds

    in_ring(story)


def test_a_block_that_nobody_has_does_not_exist() -> None:
    async def story(ring: PastRing) -> None:
        with pytest.raises(NoSuchBlock):
            await ring.node("ann").store.lookup(HANDLE)
        for name in ring.closest(HANDLE)[:2]:
            if name != "ann":
                ring.hosts[name].crash(with_machine=True)
        with pytest.raises(UnavailableError):
            await ring.node("ann").store.lookup(HANDLE)

    in_ring(story)


def test_what_was_read_once_is_read_again_without_the_network() -> None:
    async def story(ring: PastRing) -> None:
        reader = ring.closest(HANDLE)[-1]
        await ring.node(ring.closest(HANDLE)[0]).store.insert(CONTENT, BLOCK)
        assert await ring.node(reader).store.lookup(HANDLE) == BLOCK
        await ring.world.run_for(1.0)
        for name in ring.closest(HANDLE)[:-1]:
            ring.fail(name)
        assert await ring.node(reader).store.lookup(HANDLE) == BLOCK

    in_ring(story)


def test_a_rotten_block_is_read_from_another_replica_and_repaired() -> None:
    async def story(ring: PastRing) -> None:
        name = ring.closest(HANDLE)[0]
        await ring.node(name).store.insert(CONTENT, BLOCK, mirror=False)
        assert ring.hosts[name].disk.rot() == HANDLE
        assert await ring.node(name).store.lookup(HANDLE, mirror=False) == BLOCK
        await ring.world.run_for(5.0)
        assert ring.roles(HANDLE)[name] == Role.REPLICA

    in_ring(story)


def test_replicas_far_away_are_found_through_the_root() -> None:
    async def story(ring: PastRing) -> None:
        for name in ring.hosts:
            ring.node(name).overlay.is_narrow = True
        insertion = await ring.node("ann").store.insert(CONTENT, BLOCK)
        assert insertion.durability.ring_durable
        assert await ring.node("ben").store.lookup(HANDLE) == BLOCK

    in_ring(story)


# Mutable blocks.


def test_the_newest_version_of_all_replicas_is_read_and_confirmed() -> None:
    async def story(ring: PastRing) -> None:
        first = key_block(key_of("alice"), b"one")
        second = key_block(key_of("alice"), b"two", previous=first)
        store = ring.node("ann").store
        await store.insert(KEY, first.data)
        assert (await store.insert(KEY, second.data)).durability.ring_durable
        reading = await ring.node("eve").store.lookup_latest(first.handle)
        assert (reading.block, reading.answered) == (second.data, Answered.ALL)
        assert reading.confirmed
        nothing = await store.lookup_latest(key_block_handle(key_of("nobody").public))
        assert (nothing.block, nothing.confirmed) == (None, True)

    in_ring(story)


def test_an_unanswered_reading_is_not_confirmed_until_the_absence_is_noticed() -> None:
    async def story(ring: PastRing) -> None:
        block = key_block(key_of("alice"), b"one")
        writer, reader = ring.closest(block.handle)[0], ring.closest(block.handle)[1]
        await ring.node(writer).store.insert(KEY, block.data)
        ring.hosts[writer].crash(with_machine=True)
        reading = await ring.node(reader).store.lookup_latest(block.handle)
        assert (reading.answered, reading.confirmed) == (Answered.SOME, False)
        ring.fail(writer)
        reading = await ring.node(reader).store.lookup_latest(block.handle)
        assert (reading.answered, reading.confirmed) == (Answered.ALL, True)
        assert reading.block == block.data

    in_ring(story)


def test_a_lost_message_keeps_no_reading_from_being_confirmed() -> None:
    async def story(ring: PastRing) -> None:
        block = key_block(key_of("alice"), b"one")
        assert (await ring.node("ann").store.insert(KEY, block.data)).durability.ring_durable
        readings = [await ring.node("eve").store.lookup_latest(block.handle) for _ in range(50)]
        assert all(reading.block == block.data for reading in readings)
        # Each is eight messages: one in seven would lose one of them.
        assert sum(not reading.confirmed for reading in readings) <= 2

    in_ring(story, network=replace(CALM, loss=0.02))


def test_a_replica_that_gives_rotten_blocks_keeps_nobody_from_being_sure() -> None:
    async def story(ring: PastRing) -> None:
        block = key_block(key_of("alice"), b"one")
        liar, reader = ring.closest(block.handle)[1], ring.closest(block.handle)[-1]
        await ring.node("ann").store.insert(KEY, block.data)
        replica = ring.node(liar).replica
        give = replica.on_loaded
        replica.on_loaded = lambda purpose, body, now: give(purpose, body[::-1], now)
        reading = await ring.node(reader).store.lookup_latest(block.handle)
        assert (reading.block, reading.confirmed) == (block.data, True)

    in_ring(story)


def test_two_writers_of_one_version_learn_of_each_other() -> None:
    async def story(ring: PastRing) -> None:
        first = key_block(key_of("alice"), b"one")
        await ring.node("ann").store.insert(KEY, first.data)
        ours = key_block(key_of("alice"), b"ours", previous=first)
        theirs = key_block(key_of("alice"), b"theirs", previous=first)
        await ring.node("ann").store.insert(KEY, theirs.data)
        with pytest.raises(Conflict) as conflict:
            await ring.node("ben").store.insert(KEY, ours.data)
        assert open_key_block(conflict.value.block).body.version == 2
        merged = key_block(key_of("alice"), b"both", previous=open_key_block(conflict.value.block))
        while True:
            try:
                await ring.node("ben").store.insert(KEY, merged.data)
                break
            except Conflict as again:
                merged = key_block(key_of("alice"), b"both", previous=open_key_block(again.block))
        await ring.world.run_for(1.0)
        reading = await ring.node("cat").store.lookup_latest(first.handle)
        assert reading.block == merged.data

    in_ring(story)


def test_an_older_version_is_refused_with_the_newer_one() -> None:
    async def story(ring: PastRing) -> None:
        first = key_block(key_of("alice"), b"one")
        second = key_block(key_of("alice"), b"two", previous=first)
        await ring.node("ann").store.insert(KEY, first.data)
        await ring.node("ann").store.insert(KEY, second.data)
        with pytest.raises(Conflict) as conflict:
            await ring.node("ben").store.insert(KEY, first.data)
        assert conflict.value.block == second.data

    in_ring(story)


def test_nothing_older_than_what_was_seen_is_ever_returned() -> None:
    async def story(ring: PastRing) -> None:
        first = key_block(key_of("alice"), b"one")
        second = key_block(key_of("alice"), b"two", previous=first)
        reader = ring.closest(first.handle)[-1]
        writer = ring.closest(first.handle)[0]
        await ring.node(writer).store.insert(KEY, first.data)
        await ring.node(writer).store.insert(KEY, second.data)
        assert (await ring.node(reader).store.lookup_latest(first.handle)).block == second.data
        await ring.world.run_for(1.0)
        for host in ring.hosts.values():
            await host.vault.commit([DeleteBlock(first.handle)])
        with pytest.raises(StaleVersion):
            await ring.node(reader).store.lookup_latest(first.handle)

    in_ring(story)


def test_certificates_are_found_by_name() -> None:
    async def story(ring: PastRing) -> None:
        user = ring.organisation.user("alice")
        insertion = await ring.node("ann").store.insert(
            BlockKind.CERTIFICATE, user.account_certificate
        )
        reading = await ring.node("ben").store.lookup_latest(insertion.handle)
        assert reading.block == user.account_certificate
        assert reading.confirmed

    in_ring(story)


# Logs.


def test_a_log_grows_by_extensions_and_is_read_with_its_newest_head() -> None:
    async def story(ring: PastRing) -> None:
        log, store = Log(key_of("log")), ring.node("ann").store
        for payload in (b"one", b"two", b"three"):
            records = log.append(payload)
            insertion = await store.extend(log.cluster, records, log.head().data)
            assert insertion.durability.ring_durable
        body, head = await ring.node("eve").store.lookup_cluster(log.cluster)
        assert split_records(body) == log.records
        assert head == log.heads[-1].data

    in_ring(story)


def test_a_full_cluster_is_read_without_waiting_for_a_silent_replica() -> None:
    async def story(ring: PastRing) -> None:
        log = Log(key_of("log"))
        log.append(*(b"record %d" % number for number in range(RECORDS_PER_CLUSTER_MAX)))
        silent, writer, *_, reader = ring.closest(log.cluster)
        await ring.node(writer).store.extend(log.cluster, log.records, log.head().data)
        ring.hosts[silent].crash(with_machine=True)
        loop = asyncio.get_running_loop()
        begun = loop.time()
        body, head = await ring.node(reader).store.lookup_cluster(log.cluster)
        assert (body, head) == (log.body, log.heads[-1].data)
        assert loop.time() - begun < PastConfig().read_deadline_seconds / 2

    in_ring(story)


def test_a_replica_that_missed_records_gets_the_whole_cluster() -> None:
    async def story(ring: PastRing) -> None:
        log = Log(key_of("log"))
        records = log.append(b"one")
        writer, late = ring.closest(log.cluster)[0], ring.closest(log.cluster)[2]
        await ring.node(writer).store.extend(log.cluster, records, log.head().data)
        await ring.hosts[late].vault.commit([DeleteBlock(log.cluster)])
        await ring.node(writer).store.extend(log.cluster, log.append(b"two"), log.head().data)
        assert await ring.hosts[late].vault.load(log.cluster) == log.body

    in_ring(story)


def test_records_that_are_here_already_are_passed_over() -> None:
    async def story(ring: PastRing) -> None:
        log, store = Log(key_of("log")), ring.node("ann").store
        log.append(b"one", b"two")
        head = log.head().data
        await store.extend(log.cluster, log.records, head)
        again = await store.extend(log.cluster, log.records, head)
        assert again.durability.ring_durable
        log.append(b"three")
        await store.extend(log.cluster, log.records, log.head().data)
        resigned = log.head().data
        await store.extend(log.cluster, [], resigned)
        assert await store.lookup_cluster(log.cluster) == (log.body, resigned)

    in_ring(story)


def test_a_log_without_its_beginning_cannot_be_extended() -> None:
    async def story(ring: PastRing) -> None:
        log, store = Log(key_of("log")), ring.node("ann").store
        log.append(b"one", b"two")
        with pytest.raises(NoSuchBlock):
            await store.extend(log.cluster, log.records[1:], log.head().data)
        first = log.head().data
        await store.extend(log.cluster, log.records, log.head().data)
        with pytest.raises(MalformedPacket):
            await store.extend(log.cluster, [], first)
        log.append(b"three")
        with pytest.raises(MalformedPacket):
            await store.extend(log.cluster, log.records, log.heads[-1].data)
        with pytest.raises(NoSuchBlock):
            await store.lookup_cluster(Handle(BlockKind.CLUSTER, bytes(32)))

    in_ring(story)


# Notices.


def test_a_deposit_gives_k_verified_receipts_and_tells_the_delegates() -> None:
    async def story(ring: PastRing) -> None:
        envelope = envelope_for(ring.organisation.user("bob"))
        handle = pending_handle(envelope)
        receipts = await ring.node("ann").store.deposit(envelope)
        assert len(receipts) == 3
        await ring.world.run_for(0.5)
        for name in ring.closest(handle)[:3]:
            assert ring.node(name).delegation.held == {handle: envelope}

    in_ring(story)


def test_a_receipt_drops_the_notice_everywhere_and_it_never_comes_back() -> None:
    async def story(ring: PastRing) -> None:
        bob = ring.organisation.user("bob")
        envelope = envelope_for(bob)
        handle = pending_handle(envelope)
        await ring.node("ann").store.deposit(envelope)
        receipt = receipt_by(bob, envelope)
        inserted = await ring.node("eve").store.insert(BlockKind.RECEIPT, receipt, mirror=False)
        assert inserted.handle == receipt_handle(handle.digest)
        await ring.world.run_for(1.0)
        assert ring.roles(handle) == {}
        assert ring.node(ring.closest(handle)[0]).delegation.gone == [handle]
        assert await ring.node("ann").store.deposit(envelope) == []
        assert ring.roles(handle) == {}
        assert await ring.node("ben").store.lookup(inserted.handle) == receipt

    in_ring(story)


def test_an_insertion_over_the_quota_is_refused_and_not_tried_again() -> None:
    async def story(ring: PastRing) -> None:
        blocks = [b"%d" % n + bytes(30_000) for n in range(20)]
        block = next(b for b in blocks if "ann" not in ring.closest(content_handle(b))[:3])
        with pytest.raises(QuotaExceeded):
            await ring.node("ann").store.insert(CONTENT, block)
        await ring.world.run_for(1.0)
        assert ring.roles(content_handle(block)) == {"ann": Role.MIRROR}
        assert (await ring.node("ann").store.insert(CONTENT, BLOCK)).durability.ring_durable

    tight = replace(FAST, allowance_free_bytes=1)
    in_ring(story, quotas=(1,), enrolled=1000, config=tight)


def test_what_was_promised_before_the_quota_was_full_is_pushed_until_there_is_room() -> None:
    async def story(ring: PastRing) -> None:
        blocks = [b"%d" % n + bytes(30_000) for n in range(20)]
        block = next(b for b in blocks if "ann" not in ring.closest(content_handle(b))[:3])
        for name in ("ben", "cat", "dan", "eve"):
            ring.fail(name)
        held = await ring.node("ann").store.insert(CONTENT, block)
        assert not held.durability.ring_durable
        for name in ("ben", "cat", "dan", "eve"):
            ring.return_(name)
        await ring.world.run_for(30.0)
        assert ring.hosts["ann"].vault.counts().unpushed == 1, "refused, and not forgotten"

    tight = replace(FAST, allowance_free_bytes=1)
    in_ring(story, quotas=(1,), enrolled=1000, config=tight)


def test_every_copy_and_notice_is_put_down_to_who_inserted_it() -> None:
    async def story(ring: PastRing) -> None:
        ann = ring.node("ann").store
        await ann.insert(CONTENT, BLOCK)
        await ann.deposit(envelope_for(ring.organisation.user("bob")))
        await ring.world.run_for(1.0)
        kept = [ring.node(name).replica.attribution().used for name in ring.members]
        assert sum(used.blocks for used in kept) == 3
        assert sum(used.notices for used in kept) == 3
        for name, used in zip(ring.members, kept, strict=True):
            assert used.octets == sum(
                entry.size
                for entry in ring.hosts[name].vault.entries_with(Role.REPLICA | Role.STAND_IN)
            )

    in_ring(story)


def test_new_mail_is_refused_before_the_own_disk_is_full_and_the_node_goes_on() -> None:
    async def story(ring: PastRing) -> None:
        ann = ring.node("ann")
        ring.hosts["ann"].disk.config = DiskConfig(capacity_bytes=RESERVE_BYTES + 1000)
        with pytest.raises(DiskFull):
            await ann.store.insert(CONTENT, bytes(100_000))
        small = bytes(500)
        assert (await ann.store.insert(CONTENT, small)).durability.ring_durable
        assert not ann.stopped.done()

    in_ring(story)


def test_insertions_are_observed() -> None:
    async def story(ring: PastRing) -> None:
        seen: list[object] = []
        ring.world.trace.listen(lambda observed: seen.append(observed.event))
        await ring.node("ann").store.insert(CONTENT, BLOCK)
        inserted = next(event for event in seen if isinstance(event, BlockInserted))
        assert (inserted.handle, inserted.version, inserted.wanted) == (HANDLE, 0, 3)
        assert sorted(map(ring.name_of, inserted.machines)) == sorted(ring.closest(HANDLE)[:3])
        assert inserted.is_ring_durable

    in_ring(story)


def test_the_domain_of_the_test_is_the_ring_s() -> None:
    assert key_block(key_of("x")).body.ring == Organisation().ring
