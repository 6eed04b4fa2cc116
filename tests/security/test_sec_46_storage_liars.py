"""Storage nodes that lie to their neighbours, in rings of real nodes (crypto 12; issue 3)."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest

from epost.crypto.signing import Kind
from epost.crypto.versioned import KeyBlock
from epost.foundation.codec import encode
from epost.foundation.durations import DAY_MS
from epost.foundation.effects import Caller
from epost.foundation.errors import PeerRefused
from epost.foundation.ids import BlockKind, Handle, Id, NodeHandle
from epost.foundation.ports import DeleteBlock, PutBlock, Role
from epost.foundation.wire import Application, RefusalCode
from epost.node.observed import NodeFailed
from epost.past.blocks import content_handle
from epost.past.log_format import join_records
from epost.past.messages import (
    Candidates,
    Extend,
    Give,
    Offer,
    Put,
    Renewal,
    Row,
    Upkeep,
    read_routed,
)
from epost.past.pending import pending_handle, receipt_handle
from epost.past.space.words import Divert, Point, SpaceWord
from epost.past.tickets import Ticketing, recall_inserter
from epost.simulation.vault import DiskConfig
from tests.support.logs import Log
from tests.support.notices import envelope_for, receipt_by
from tests.support.organisation import START_MS, key_of
from tests.support.past_ring import FAST, PastRing, in_ring, key_block

CONTENT, KEY = BlockKind.CONTENT, BlockKind.KEY
BLOCK = b"a block" * 1000
HANDLE = content_handle(BLOCK)
NAMES = [f"node-{n:02}" for n in range(10)]
QUICK = replace(FAST, repair_delay_seconds=10.0)


def voucher(ring: PastRing, name: str, handle: Handle, size: int) -> bytes:
    member, now_ms = ring.members[name], ring.hosts[name].clock.wall_ms()
    ticketing = Ticketing(member.key, member.certificate, ring.organisation.ring)
    return ticketing.voucher([(handle, size)], now_ms=now_ms, lease_until=now_ms + DAY_MS)


def tell(ring: PastRing, liar: str, victim: str, word: SpaceWord | Upkeep) -> None:
    driver = ring.node(liar).driver
    driver.outbox.notify(ring.members[victim].handle, Application.PAST, encode(word))
    driver.wake()


def silence(ring: PastRing, liar: str) -> None:
    """Have a node take no notifications: it denies nothing and confirms nothing."""
    ring.node(liar).replica.on_notify = lambda *_: None  # type: ignore[method-assign]


def copies(ring: PastRing) -> set[str]:
    return {n for n, roles in ring.roles(HANDLE).items() if not roles & Role.POINTER}


def test_sec_46_no_node_counts_a_copy_of_another_replica_as_its_own() -> None:
    async def story(ring: PastRing) -> None:
        liar, *others = ring.closest(HANDLE)
        pointing = Point(HANDLE, ring.members[liar].handle.node_id, voucher(ring, liar, HANDLE, 1))
        for name in others[:2]:
            tell(ring, liar, name, pointing)
        await ring.world.run_for(1.0)
        insertion = await ring.node(others[-1]).store.insert(CONTENT, BLOCK, mirror=False)
        assert insertion.durability.ring_durable
        assert copies(ring) == set(ring.closest(HANDLE)[:3])

    in_ring(story, NAMES, config=QUICK)


def test_sec_46_an_heir_does_not_count_the_copy_of_who_pointed_to_itself() -> None:
    async def story(ring: PastRing) -> None:
        liar, second, third, heir, *_, last = ring.closest(HANDLE)
        await ring.node(last).store.insert(CONTENT, BLOCK, mirror=False)
        silence(ring, liar)
        at = ring.members[liar].handle.node_id
        tell(ring, liar, heir, Point(HANDLE, at, voucher(ring, liar, HANDLE, len(BLOCK))))
        await ring.world.run_for(1.0)
        ring.fail(second)
        await ring.world.run_for(200.0)
        assert copies(ring) == {liar, third, heir}

    in_ring(story, NAMES, config=QUICK)


def test_sec_46_a_forged_ticket_in_a_pointer_stops_nobody() -> None:
    async def story(ring: PastRing) -> None:
        liar, second, _, heir, holder, *_ = ring.closest(HANDLE)
        silence(ring, holder)
        forged = encode((b"no ticket", ring.members[liar].certificate))
        tell(ring, liar, heir, Point(HANDLE, ring.members[holder].handle.node_id, forged))
        await ring.world.run_for(1.0)
        ring.fail(second)
        await ring.world.run_for(1000.0)
        assert heir not in ring.roles(HANDLE)

    config = replace(QUICK, frees_expired=True, steady_clock_seconds=1.0, lease_sweep_seconds=100.0)
    in_ring(story, NAMES, config=config)


def test_sec_46_nobody_uses_up_the_updates_of_a_key_but_its_owner() -> None:
    async def story(ring: PastRing) -> None:
        first = key_block(key_of("alice"), b"one")
        *_, liar, writer = ring.closest(first.handle)
        await ring.node(writer).store.insert(KEY, first.data)
        ticket = voucher(ring, liar, first.handle, len(first.data))
        calls, victims = ring.node(liar).driver.calls, ring.closest(first.handle)[:5]
        for victim in victims:
            for block in (first.data, first.data[:-1] + bytes([first.data[-1] ^ 1])):
                body = encode(Put(first.handle, block, b"", ticket))
                to = ring.members[victim].handle
                with suppress(PeerRefused):
                    await calls.call(to, Application.PAST, body, timeout_seconds=2.0)
        second = key_block(key_of("alice"), b"two", previous=first)
        insertion = await ring.node(writer).store.insert(KEY, second.data)
        assert insertion.durability.ring_durable

    config = replace(QUICK, key_updates_per_second=0.01, key_updates_burst=2.0)
    in_ring(story, NAMES, config=config, pushes=False)


def test_sec_46_a_distant_node_has_nothing_kept_in_its_place() -> None:
    async def story(ring: PastRing) -> None:
        victim, liar = ring.closest(HANDLE)[8], ring.closest(HANDLE)[-1]
        tell(ring, liar, victim, Divert(HANDLE, BLOCK, voucher(ring, liar, HANDLE, len(BLOCK))))
        await ring.world.run_for(1.0)
        assert victim not in ring.roles(HANDLE)

    in_ring(story, [f"node-{n:02}" for n in range(20)], config=QUICK, reach=4)


def test_sec_46_tickets_of_extensions_are_paid_for_like_those_of_puts() -> None:
    async def story(ring: PastRing) -> None:
        log = Log(key_of("log"))
        log.append(b"one")
        await ring.node(NAMES[0]).store.extend(log.cluster, log.records, log.head().data)
        suffix = join_records(log.append(b"two"))
        victim, *_, liar = ring.closest(log.cluster)
        to, calls = ring.members[victim].handle, ring.node(liar).driver.calls
        member, refusals = ring.members[liar], []
        for n in range(8):
            forged = Ticketing(key_of(f"{n}"), member.certificate, ring.organisation.ring)
            ticket = forged.voucher([(log.cluster, 1)], now_ms=START_MS, lease_until=START_MS)
            body = encode(Extend(log.cluster, suffix, b"", ticket))
            with pytest.raises(PeerRefused) as refused:
                await calls.call(to, Application.PAST, body, timeout_seconds=2.0)
            refusals.append(refused.value.code)
        assert refusals == [RefusalCode.INVALID_BLOCK] * 3 + [RefusalCode.LATER] * 5

    config = replace(QUICK, signature_checks_per_second=0.001, signature_checks_burst=7.0)
    in_ring(story, NAMES, config=config, pushes=False)


def test_sec_24_a_revoked_device_settles_nothing_by_way_of_repair() -> None:
    async def story(ring: PastRing) -> None:
        bob = ring.organisation.user("bob")
        envelope = envelope_for(bob)
        handle = pending_handle(envelope)
        *holders, thief = ring.closest(handle)
        await ring.node(holders[0]).store.deposit(envelope)
        for name in holders:
            ring.node(name).delegation.revoked.add(bob.device_key.public)
        stolen = receipt_by(bob, envelope)
        proven = ring.node(thief).replica.prover.prove(
            receipt_handle(handle.digest), stolen, now_ms=START_MS + 5000
        )
        ticket = voucher(ring, thief, proven.handle, len(stolen))
        write = PutBlock(proven.entry(Role.REPLICA, ticket=ticket), stolen)
        await ring.hosts[thief].vault.commit([write])
        row = Row(proven.handle, proven.version, proven.body_hash[:8])
        for name in holders[:3]:
            tell(ring, thief, name, Offer(1, (row,)))
        await ring.world.run_for(5.0)
        assert [n for n in ring.roles(proven.handle) if n != thief], "it came as a repair"
        assert [name for name in holders[:3] if name in ring.roles(handle)] == holders[:3]

    in_ring(story, NAMES, config=QUICK)


def test_sec_46_who_gives_what_its_owner_may_not_store_here_is_not_called_unreliable() -> None:
    async def story(ring: PastRing) -> None:
        sleeper, giver, other, greedy = ring.closest(HANDLE)
        await ring.node(other).store.insert(CONTENT, BLOCK)
        ring.fail(sleeper)
        for n in range(40):
            await ring.node(greedy).store.insert(CONTENT, b"%d" % n)
        ticket = ring.hosts[giver].vault.entry(content_handle(b"39")).ticket
        ring.return_(sleeper)
        node = ring.node(sleeper)
        node.replica._admission.allowances.charge(recall_inserter(ticket), 1 << 30)
        await ring.world.run_for(30.0)
        await ring.hosts[sleeper].vault.commit([DeleteBlock(HANDLE)])
        node.replica.on_rotten(HANDLE)
        await ring.world.run_for(10.0)
        assert sleeper in copies(ring)

    in_ring(story, NAMES[:4], config=QUICK, quotas=(100,))


def test_sec_46_a_root_that_names_others_hides_no_block() -> None:
    async def story(ring: PastRing) -> None:
        liar, *_, stranger, reader = ring.closest(HANDLE)
        await ring.node(liar).store.insert(CONTENT, BLOCK)
        named = Candidates((ring.members[stranger].handle,) * 5)

        def mislead(key: Id, origin: NodeHandle, body: bytes, now: float) -> None:
            query = read_routed(body)
            assert not isinstance(query, Renewal)
            caller = Caller(origin, Application.PAST, int.from_bytes(query.call_id, "big"))
            ring.node(liar).driver.outbox.reply(caller, encode(named))

        ring.node(liar).replica.deliver = mislead  # type: ignore[method-assign]
        assert await ring.node(reader).store.lookup(HANDLE) == BLOCK

    in_ring(story, [f"node-{n:02}" for n in range(20)], config=QUICK, reach=4)


def test_sec_46_a_key_of_two_purposes_stops_no_node() -> None:
    """A repair brings the other one between a put's judgement and the load of what it met."""

    async def story(ring: PastRing) -> None:
        failed: list[object] = []
        ring.world.trace.listen(
            lambda seen: failed.append(seen.event) if isinstance(seen.event, NodeFailed) else None
        )
        key = key_of("mal")
        one, other = (key_block(key, content) for content in (b"one", b"other"))
        head = key_block(key, b"two", previous=one, purpose=Kind.HEAD)
        victim, liar, *_ = ring.closest(one.handle)
        driver, to = ring.node(liar).driver, ring.members[victim].handle

        def put(block: KeyBlock) -> bytes:
            ticket = voucher(ring, liar, block.handle, len(block.data))
            return encode(Put(block.handle, block.data, b"", ticket))

        await driver.calls.call(to, Application.PAST, put(one), timeout_seconds=2.0)
        silence(ring, liar)
        tell(ring, liar, victim, Offer(1, (Row(head.handle, 2, head.body_hash[:8]),)))
        await ring.world.run_for(2.0)
        ticket = voucher(ring, liar, head.handle, len(head.data))
        driver.outbox.request(to, Application.PAST, 7, put(other))
        tell(ring, liar, victim, Give(head.handle, head.data, b"", ticket))
        await ring.world.run_for(2.0)
        stored = ring.hosts[victim].vault.entry(head.handle)
        assert stored is not None
        assert stored.version == 2, "both met"
        assert failed == []

    in_ring(story, NAMES, config=QUICK, disk=DiskConfig(load_seconds_max=1.0))
