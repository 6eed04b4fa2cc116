"""The storage node in its rarer states: damage, forks, expiry, nodes that do not store."""

import asyncio
from dataclasses import replace

import pytest

from epost.crypto.certificates import NodeRole
from epost.crypto.signing import Kind
from epost.crypto.versioned import open_key_block
from epost.foundation.codec import encode
from epost.foundation.durations import DAY_MS
from epost.foundation.errors import NoSuchBlock, UnavailableError
from epost.foundation.ids import BlockKind, Handle
from epost.foundation.ports import DeleteBlock, PutBlock, Role
from epost.past.allowances import NOTES as USAGE_NOTES
from epost.past.allowances import Usage
from epost.past.blocks import content_handle, handle_of
from epost.past.client import Answered, Conflict
from epost.past.lookup import Lookups
from epost.past.messages import Differs
from epost.past.observed import Equivocated
from epost.past.pending import pending_handle, receipt_handle
from epost.past.rivals import NOTES as RIVAL_NOTES
from tests.security.test_sec_blocks import Attacker
from tests.support.logs import Log
from tests.support.notices import envelope_for, receipt_by
from tests.support.organisation import START_MS, key_of
from tests.support.past_ring import FAST, PastRing, in_ring, key_block

CONTENT, KEY = BlockKind.CONTENT, BlockKind.KEY
BLOCK = b"a block of bytes"
HANDLE = content_handle(BLOCK)
NAMES = ["ann", "ben", "cat", "dan", "mal"]
SLOW = replace(FAST, tick_seconds=60.0, maintenance_interval_seconds=1e6, reply_seconds=300.0)


# Notices past their time.


@pytest.mark.no_cover  # tracing takes twice the time, and other tests run the same lines
def test_notices_and_receipts_go_when_their_time_is_over() -> None:
    async def story(ring: PastRing) -> None:
        bob = ring.organisation.user("bob")
        soon, late = (envelope_for(bob, expires_at=START_MS + d * DAY_MS) for d in (1, 9))
        for envelope in (soon, late):
            await ring.node("ann").store.deposit(envelope)
        old = receipt_by(bob, b"gone", at=START_MS - 187 * DAY_MS)
        await ring.node("ann").store.insert(BlockKind.RECEIPT, old, mirror=False)
        ring.clocks_are_sound = False
        await ring.world.run_for(3 * 86_400)
        assert ring.roles(pending_handle(soon)), "nothing expires by a clock that may be wrong"
        ring.clocks_are_sound = True
        await ring.world.run_for(7_200)
        assert ring.roles(pending_handle(soon)) == {}
        assert ring.roles(handle_of(BlockKind.RECEIPT, old)) == {}
        assert ring.roles(pending_handle(late))

    in_ring(story, NAMES, config=SLOW, pushes=False)


def test_a_notice_held_as_a_stand_in_is_found_again_too() -> None:
    async def story(ring: PastRing) -> None:
        envelope = envelope_for(ring.organisation.user("bob"))
        handle = pending_handle(envelope)
        gone = ring.closest(handle)[0]
        ring.fail(gone)
        await ring.node(ring.closest(handle)[1]).store.deposit(envelope)
        await ring.world.run_for(1.0)
        holder = next(n for n, roles in ring.roles(handle).items() if roles == Role.STAND_IN)
        ring.hosts[holder].crash()
        ring.hosts[holder].start()
        await ring.world.run_for(5.0)
        assert ring.node(holder).delegation.held == {handle: envelope}

    in_ring(story, NAMES)


def test_a_settled_notice_is_not_deposited_again_from_elsewhere() -> None:
    async def story(ring: PastRing) -> None:
        bob = ring.organisation.user("bob")
        envelope = envelope_for(bob)
        receipt = receipt_by(bob, envelope)
        outsider = ring.closest(pending_handle(envelope))[-1]
        insider = ring.closest(pending_handle(envelope))[0]
        await ring.node(insider).store.insert(BlockKind.RECEIPT, receipt, mirror=False)
        assert receipt_handle(pending_handle(envelope).digest) == handle_of(
            BlockKind.RECEIPT, receipt
        )
        assert await ring.node(outsider).store.deposit(envelope) == []
        await ring.world.run_for(1.0)
        assert ring.roles(pending_handle(envelope)) == {}

    in_ring(story, NAMES)


# Damage.


def test_a_reader_passes_over_a_damaged_replica_which_heals_itself() -> None:
    async def story(ring: PastRing) -> None:
        first, reader = ring.closest(HANDLE)[0], ring.closest(HANDLE)[-1]
        await ring.node(first).store.insert(CONTENT, BLOCK, mirror=False)
        await ring.world.run_for(1.0)
        ring.hosts[first].disk.rot()
        assert await ring.node(reader).store.lookup(HANDLE, mirror=False) == BLOCK
        assert first not in ring.roles(HANDLE)
        await ring.world.run_for(5.0)
        assert ring.roles(HANDLE)[first] == Role.REPLICA

    in_ring(story, NAMES)


def test_a_put_that_meets_a_damaged_block_is_to_be_tried_later() -> None:
    async def story(ring: PastRing) -> None:
        one, two = key_block(key_of("k"), b"1"), key_block(key_of("k"), b"2")
        writer = ring.closest(one.handle)[-1]
        await ring.node(ring.closest(one.handle)[0]).store.insert(KEY, one.data)
        ring.hosts[ring.closest(one.handle)[1]].disk.rot()
        with pytest.raises(Conflict):
            await ring.node(writer).store.insert(KEY, two.data)

    in_ring(story, NAMES)


def test_a_damaged_mutable_block_is_read_from_the_others() -> None:
    async def story(ring: PastRing) -> None:
        block = key_block(key_of("k"), b"1")
        name = ring.closest(block.handle)[0]
        await ring.node(name).store.insert(KEY, block.data)
        ring.hosts[name].disk.rot()
        assert (await ring.node(name).store.lookup_latest(block.handle)).block == block.data

    in_ring(story, NAMES)


# Forks.


@pytest.mark.parametrize("bigger_first", [True, False])
def test_a_fork_is_kept_and_told_whichever_body_came_first(bigger_first: bool) -> None:
    async def story(ring: PastRing) -> None:
        seen: list[object] = []
        ring.world.trace.listen(lambda observed: seen.append(observed.event))
        made = [open_head_block(n) for n in range(2)]
        first, second = sorted(made, key=lambda block: block.order, reverse=bigger_first)
        mal = Attacker(ring)
        at = mal.target(first.handle)
        await mal.put(first.handle, first.data)
        reply = await mal.put(first.handle, second.data)
        newest, oldest = (first, second) if bigger_first else (second, first)
        assert reply == Differs(True, (newest.data, oldest.data))
        vault = ring.hosts[at].vault
        assert vault.entry(first.handle).body_hash == newest.body_hash
        assert vault.note(RIVAL_NOTES, encode(first.handle)) == oldest.data
        assert Equivocated(first.handle, 1, (newest.data, oldest.data)) in seen

    def open_head_block(n: int):
        log = Log(key_of("forked"))
        log.append(bytes([n]))
        return log.head()

    in_ring(story, NAMES)


@pytest.mark.parametrize("bigger_first", [True, False])
def test_of_two_identities_of_one_version_the_first_stays(bigger_first: bool) -> None:
    async def story(ring: PastRing) -> None:
        made = [key_block(key_of("account"), bytes([n]), purpose=Kind.IDENTITY) for n in range(2)]
        first, second = sorted(made, key=lambda block: block.order, reverse=bigger_first)
        mal = Attacker(ring)
        at = mal.target(first.handle)
        await mal.put(first.handle, first.data)
        assert await mal.put(first.handle, second.data) == Differs(True, (first.data, second.data))
        vault = ring.hosts[at].vault
        assert vault.entry(first.handle).body_hash == first.body_hash, "its writer was told so"
        assert vault.note(RIVAL_NOTES, encode(first.handle)) == second.data

    in_ring(story, NAMES)


def test_two_certificates_of_one_version_are_a_conflict() -> None:
    async def story(ring: PastRing) -> None:
        one, two = (ring.organisation.user("alice", flags=flags) for flags in (0, 2))
        await ring.node("ann").store.insert(BlockKind.CERTIFICATE, one.account_certificate)
        with pytest.raises(Conflict) as conflict:
            await ring.node("ben").store.insert(BlockKind.CERTIFICATE, two.account_certificate)
        assert conflict.value.block in {one.account_certificate, two.account_certificate}

    in_ring(story, NAMES)


def test_a_cloned_log_meets_the_head_of_its_twin() -> None:
    async def story(ring: PastRing) -> None:
        log = Log(key_of("log"))
        log.append(b"one")
        await ring.node("ann").store.extend(log.cluster, log.records, log.head().data)
        clone = Log(log.key, list(log.records), list(log.heads))
        await ring.node("ann").store.extend(log.cluster, log.append(b"a"), log.head().data)
        clone.append(b"b")
        with pytest.raises(Conflict) as conflict:
            await ring.node("mal").store.extend(log.cluster, clone.records, clone.head().data)
        assert conflict.value.block == log.heads[-1].data

    in_ring(story, NAMES)


def test_versions_inserted_at_once_do_not_fight_each_other() -> None:
    async def story(ring: PastRing) -> None:
        one = key_block(key_of("k"), b"1")
        two = key_block(key_of("k"), b"2", previous=one)
        store = ring.node("ann").store
        await asyncio.gather(store.insert(KEY, one.data), store.insert(KEY, two.data))
        await ring.world.run_for(1.0)
        reading = await store.lookup_latest(one.handle)
        assert open_key_block(reading.block).body.version == 2
        assert not any(roles & Role.UNPUSHED for roles in ring.roles(one.handle).values())

    in_ring(story, NAMES)


# Nodes that do not store, or cannot be reached.


def test_a_node_without_the_storage_role_stores_for_nobody_but_itself() -> None:
    async def story(ring: PastRing) -> None:
        gateway = ring.node("gate")
        insertion = await gateway.store.insert(CONTENT, BLOCK)
        assert insertion.durability.ring_durable
        await ring.world.run_for(1.0)
        assert ring.roles(HANDLE)["gate"] == Role.MIRROR
        assert sorted(ring.roles(HANDLE)) == ["ann", "ben", "cat", "gate"]
        other = key_block(key_of("k"))
        assert (await ring.node("ann").store.insert(KEY, other.data)).durability.ring_durable
        reading = await gateway.store.lookup_latest(other.handle)
        assert reading.block == other.data

    def prepared(ring: PastRing) -> None:
        ring.add("gate", roles=int(NodeRole.INTERNET_GATEWAY))

    in_ring(story, ["ann", "ben", "cat"], prepare=prepared)


def test_without_a_way_to_the_ring_everything_is_held_and_old_news_is_shown() -> None:
    async def story(ring: PastRing) -> None:
        block = key_block(key_of("k"))
        node = ring.node("ann")
        await node.store.insert(KEY, block.data)
        node.overlay.is_narrow = node.overlay.is_cut_off = True
        insertion = await node.store.insert(CONTENT, BLOCK)
        assert (insertion.durability.acked, insertion.durability.ring_durable) == (0, False)
        reading = await node.store.lookup_latest(block.handle)
        assert (reading.block, reading.answered) == (block.data, Answered.NONE)
        assert not reading.confirmed
        with pytest.raises(UnavailableError):
            await node.store.lookup(content_handle(b"other"))
        with pytest.raises(UnavailableError):
            await node.store.lookup_cluster(Handle(BlockKind.CLUSTER, bytes(32)))
        nothing = await node.store.lookup_latest(Handle(KEY, bytes(32)))
        assert (nothing.block, nothing.answered) == (None, Answered.NONE)

    in_ring(story, NAMES)


def test_a_full_cluster_is_read_without_the_network() -> None:
    async def story(ring: PastRing) -> None:
        log, node = Log(key_of("log")), ring.node("ann")
        log.append(*(b"%d" % n for n in range(50)))
        head = log.head().data
        await node.store.extend(log.cluster, log.records, head)
        node.overlay.is_narrow = node.overlay.is_cut_off = True
        assert await node.store.lookup_cluster(log.cluster) == (log.body, head)

    in_ring(story, NAMES)


def test_a_disk_without_room_takes_nothing_of_others() -> None:
    async def story(ring: PastRing) -> None:
        full = ring.closest(HANDLE)[0]
        writer = ring.closest(HANDLE)[-1]
        insertion = await ring.node(writer).store.insert(CONTENT, BLOCK)
        assert not insertion.durability.ring_durable
        assert full not in ring.roles(HANDLE)

    in_ring(story, NAMES, config=replace(FAST, disk_reserve_bytes=1 << 50), pushes=False)


# The pusher.


def test_the_pusher_gives_up_what_nobody_would_take() -> None:
    async def story(ring: PastRing) -> None:
        for name in NAMES[1:]:
            ring.fail(name)
        store = ring.node("ann").store
        envelope = envelope_for(ring.organisation.user("bob"), expires_at=START_MS + 60_000)
        assert len(await store.deposit(envelope)) <= 1
        await store.insert(CONTENT, BLOCK)
        assert await store._pusher.push_all() == 2
        await ring.world.run_for(60.0)
        assert await store._pusher.push_all() == 1
        ring.hosts["ann"].disk.mark_damaged(HANDLE)
        assert await store._pusher.push_all() == 0

    in_ring(story, NAMES, pushes=False)


def test_what_changes_while_it_is_pushed_is_left_to_the_next_pass() -> None:
    async def story(ring: PastRing) -> None:
        for name in NAMES[1:]:
            ring.fail(name)
        node = ring.node("ann")
        one = key_block(key_of("k"), b"1")
        two = key_block(key_of("k"), b"2", previous=one)
        await node.store.insert(KEY, one.data)
        pushing = asyncio.ensure_future(node.store._pusher.push_all())
        await asyncio.sleep(0)
        await node.store.insert(KEY, two.data)
        assert await pushing == 0
        assert await node.store._pusher.push_all() == 1

    in_ring(story, NAMES, pushes=False)


# Odds and ends of the machine.


def test_usage_is_written_down_every_minute() -> None:
    async def story(ring: PastRing) -> None:
        await ring.node("ann").store.insert(CONTENT, BLOCK)
        await ring.world.run_for(70.0)
        holder = next(n for n in ring.closest(HANDLE) if n != "ann")
        ((_, used),) = ring.hosts[holder].vault.notes(USAGE_NOTES)
        assert Usage.decode(used) == Usage(octets=len(BLOCK), blocks=1)
        assert ring.node(holder).replica.attribution().members == 1

    in_ring(story, NAMES)


def test_what_is_not_for_the_machine_is_ignored() -> None:
    async def story(ring: PastRing) -> None:
        replica, peer = ring.node("ann").replica, ring.members["ben"].handle
        replica.deliver(HANDLE.place, peer, b"rubbish", 0.0)
        assert replica.forward(HANDLE.place, peer, b"", peer, 0.0)
        replica.on_unreachable(peer.id, 0.0)
        with pytest.raises(AssertionError):
            replica.on_loaded("nobody's purpose", None, 0.0)

    in_ring(story, NAMES)


def test_blocks_written_between_the_request_and_the_load_are_served_whole() -> None:
    async def story(ring: PastRing) -> None:
        one = key_block(key_of("k"), b"1")
        two = key_block(key_of("k"), b"2", previous=one)
        holder = ring.closest(one.handle)[0]
        await ring.node(holder).store.insert(KEY, one.data)
        await ring.world.run_for(1.0)
        mal = ring.node("mal" if holder != "mal" else "ann")
        lookups: Lookups = mal.store._lookups
        nodes = [ring.members[holder].handle]
        asked = asyncio.ensure_future(lookups.ask_all(one.handle, nodes, bytes(16)))
        vault = ring.hosts[holder].vault
        entry = replace(vault.entry(one.handle), version=2, body_hash=two.body_hash)
        entry = replace(entry, size=len(two.data))
        while vault.entry(one.handle).version == 1:
            await asyncio.sleep(0.0002)
            if mal.driver.calls.open_count:
                await vault.commit([PutBlock(entry, two.data)])
        (said,) = await asked
        assert said.fetched.proven.version in {1, 2}

    in_ring(story, NAMES)


def test_a_mirror_is_no_replica_until_it_is_put_as_one() -> None:
    async def story(ring: PastRing) -> None:
        holder = ring.closest(HANDLE)[0]
        writer = ring.closest(HANDLE)[-1]
        await ring.node(writer).store.insert(CONTENT, BLOCK)
        vault = ring.hosts[holder].vault
        entry = replace(vault.entry(HANDLE), roles=Role.MIRROR, ticket=b"")
        await vault.commit([DeleteBlock(HANDLE), PutBlock(entry, BLOCK)])
        assert len(await ring.node(writer).store.holders(HANDLE)) == 2
        await ring.node(writer).store.insert(CONTENT, BLOCK)
        assert len(await ring.node(writer).store.holders(HANDLE)) == 3
        assert vault.entry(HANDLE).roles == Role.MIRROR | Role.REPLICA

    in_ring(story, NAMES, pushes=False)


def test_nothing_there_is_known_as_nothing_when_all_say_so() -> None:
    async def story(ring: PastRing) -> None:
        with pytest.raises(NoSuchBlock):
            await ring.node("ann").store.lookup_cluster(Handle(BlockKind.CLUSTER, b"x" * 32))

    in_ring(story, NAMES)
