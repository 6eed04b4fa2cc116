"""Attacks on the block store, over rings of real nodes of which one misbehaves (crypto 12)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from epost.crypto.certificates import NODE_CERT
from epost.crypto.signed import parse, sign
from epost.crypto.signing import Kind
from epost.crypto.versioned import SUITE_ED25519, key_block_handle
from epost.foundation.codec import encode
from epost.foundation.durations import DAY_MS
from epost.foundation.errors import PeerRefused
from epost.foundation.ids import BlockKind, Handle
from epost.foundation.ports import PutBlock
from epost.foundation.wire import Application, RefusalCode
from epost.past.attestations import open_deposit
from epost.past.blocks import content_handle
from epost.past.client import BlockStore
from epost.past.log_format import join_records
from epost.past.messages import (
    REPLY,
    Accepted,
    Differs,
    Extend,
    Give,
    Incomplete,
    Offer,
    Put,
    Reply,
    Row,
    Upkeep,
)
from epost.past.observed import NodeDistrusted, ReplicaWentBack
from epost.past.pending import ReceiptStatus, pending_handle, receipt_handle
from epost.past.tickets import Ticketing
from epost.rings.policy import Revocation
from tests.support.logs import Log
from tests.support.notices import envelope_for, receipt_by
from tests.support.organisation import Organisation, key_of
from tests.support.past_ring import PastRing, in_ring, key_block

CONTENT, KEY = BlockKind.CONTENT, BlockKind.KEY
BLOCK = b"a block of bytes"
HANDLE = content_handle(BLOCK)
NAMES = ["ann", "ben", "cat", "dan", "mal"]


class Attacker:
    """Node `mal`, whose software says what the test wants."""

    def __init__(self, ring: PastRing) -> None:
        self.ring = ring
        self.node = ring.node("mal")

    def voucher(self, handle: Handle, size: int, **changes: object) -> bytes:
        member = self.ring.members["mal"]
        now_ms = int(changes.get("now_ms", self.ring.hosts["mal"].clock.wall_ms()))
        ring = bytes(changes.get("ring", self.ring.organisation.ring))
        ticketing = Ticketing(member.key, member.certificate, ring)
        return ticketing.voucher([(handle, size)], now_ms=now_ms, lease_until=now_ms + DAY_MS)

    async def put(
        self,
        handle: Handle,
        block: bytes,
        *,
        at: str = "",
        proof: bytes = b"",
        voucher: bytes = b"",
    ) -> Reply:
        voucher = voucher or self.voucher(handle, len(block))
        return await self.ask(encode(Put(handle, block, proof, voucher)), at or self.target(handle))

    async def ask(self, body: bytes, at: str) -> Reply:
        to = self.ring.members[at].handle
        calls = self.node.driver.calls
        return REPLY.decode(await calls.call(to, Application.PAST, body, timeout_seconds=2.0))

    def notify(self, at: str, message: Upkeep) -> None:
        to = self.ring.members[at].handle
        self.node.driver.outbox.notify(to, Application.PAST, encode(message))
        self.node.driver.wake()

    def target(self, handle: Handle) -> str:
        return next(name for name in self.ring.closest(handle) if name != "mal")


def refused(code: RefusalCode) -> object:
    return pytest.raises(PeerRefused, match=f"code {int(code)}")


def test_sec_05_bytes_of_one_kind_never_pass_as_another() -> None:
    async def story(ring: PastRing) -> None:
        mal = Attacker(ring)
        key = key_of("alice")
        posing = SUITE_ED25519 + key.public
        victim = key_block_handle(key.public)
        assert content_handle(posing).digest != victim.digest
        for kind in BlockKind:
            if kind is not CONTENT:
                with pytest.raises(PeerRefused):
                    await mal.put(Handle(kind, content_handle(posing).digest), posing)

    in_ring(story, NAMES)


def test_sec_05_a_content_block_is_its_hash_and_nothing_else() -> None:
    async def story(ring: PastRing) -> None:
        mal = Attacker(ring)
        with refused(RefusalCode.INVALID_BLOCK):
            await mal.put(HANDLE, BLOCK + b"!")
        assert isinstance(await mal.put(HANDLE, BLOCK), Accepted)

    in_ring(story, NAMES)


def test_sec_06_a_rollback_by_all_replicas_but_one_is_seen_and_named() -> None:
    async def story(ring: PastRing) -> None:
        first = key_block(key_of("alice"), b"one")
        second = key_block(key_of("alice"), b"two", previous=first)
        store = ring.node("ann").store
        await store.insert(KEY, first.data)
        old = {n: ring.hosts[n].vault.entry(first.handle) for n in ring.roles(first.handle)}
        await store.insert(KEY, second.data)
        liars = [n for n in ring.closest(first.handle)[:3] if n != "ann"][:2]
        for liar in liars:
            await ring.hosts[liar].vault.commit([PutBlock(old[liar], first.data)])
        accused: list[ReplicaWentBack] = []
        ring.world.trace.listen(
            lambda seen: (
                accused.append(seen.event) if isinstance(seen.event, ReplicaWentBack) else None
            )
        )
        reading = await store.lookup_latest(first.handle)
        assert reading.block == second.data
        assert {ring.name_of(a.node) for a in accused} == set(liars)

    in_ring(story, NAMES)


def test_sec_08_a_superseded_certificate_does_not_win() -> None:
    async def story(ring: PastRing) -> None:
        old, new = ring.organisation.user("alice"), ring.organisation.user("alice", version=2)
        store = ring.node("ann").store
        await store.insert(BlockKind.CERTIFICATE, old.account_certificate)
        inserted = await store.insert(BlockKind.CERTIFICATE, new.account_certificate)
        reader = ring.closest(inserted.handle)[-1]
        assert isinstance(
            await Attacker(ring).put(inserted.handle, old.account_certificate), Differs
        )
        reading = await ring.node(reader).store.lookup_latest(inserted.handle)
        assert reading.block == new.account_certificate

    in_ring(story, NAMES)


def test_sec_08_a_certificate_by_another_authority_is_refused() -> None:
    async def story(ring: PastRing) -> None:
        foreign = Organisation("evil.example").user("alice")
        handle = Handle(BlockKind.CERTIFICATE, bytes(32))
        with pytest.raises(PeerRefused):
            await Attacker(ring).put(handle, foreign.account_certificate)
        alice = ring.organisation.user("alice")
        with refused(RefusalCode.INVALID_BLOCK):
            await Attacker(ring).put(handle, alice.account_certificate)

    in_ring(story, NAMES)


def test_a_replica_that_gives_other_bytes_is_passed_over() -> None:
    async def story(ring: PastRing) -> None:
        liar = ring.closest(HANDLE)[0]
        reader = ring.closest(HANDLE)[-1]
        await ring.node(liar).store.insert(CONTENT, BLOCK)
        entry = ring.hosts[liar].vault.entry(HANDLE)
        await ring.hosts[liar].vault.commit([PutBlock(entry, b"x" * len(BLOCK))])
        assert await ring.node(reader).store.lookup(HANDLE) == BLOCK

    in_ring(story, NAMES)


# Versions.


def test_only_the_key_writes_its_block() -> None:
    async def story(ring: PastRing) -> None:
        mal, alice = Attacker(ring), key_of("alice")
        block = key_block(alice, b"one")
        forged = sign(key_of("mal"), Kind.IDENTITY, encode(block.body))
        with refused(RefusalCode.INVALID_BLOCK):
            await mal.put(block.handle, forged)
        future = key_block(alice, b"", issued_at=Organisation().now_ms + 2 * DAY_MS)
        with refused(RefusalCode.INVALID_BLOCK):
            await mal.put(block.handle, future.data)

    in_ring(story, NAMES)


def test_a_key_has_one_purpose_for_ever_and_one_ring() -> None:
    async def story(ring: PastRing) -> None:
        mal, alice = Attacker(ring), key_of("alice")
        first = key_block(alice, b"one")
        await mal.put(first.handle, first.data)
        other = key_block(alice, b"two", previous=first, purpose=Kind.DEVBLOCK)
        with refused(RefusalCode.NOT_PERMITTED):
            await mal.put(first.handle, other.data)
        foreign = key_block(key_of("bob"), b"one", ring=bytes(20))
        with refused(RefusalCode.INVALID_BLOCK):
            await mal.put(foreign.handle, foreign.data)

    in_ring(story, NAMES)


def test_sec_09_two_bodies_of_one_version_are_both_kept_and_shown() -> None:
    async def story(ring: PastRing) -> None:
        mal, key = Attacker(ring), key_of("writer")
        one, two = key_block(key, b"1", purpose=Kind.HEAD), key_block(key, b"2", purpose=Kind.HEAD)
        await mal.put(one.handle, one.data)
        for offered in (two, one, two):
            differs = await mal.put(one.handle, offered.data)
            newest = max(one, two, key=lambda block: block.order)
            if offered is newest and isinstance(differs, Accepted):
                continue  # it is the one that is stored by now
            assert isinstance(differs, Differs)
            assert differs.is_conflict
            assert set(differs.blocks) == {one.data, two.data}
            assert differs.blocks[0] == newest.data

    in_ring(story, NAMES)


def test_a_version_that_does_not_follow_is_a_conflict() -> None:
    async def story(ring: PastRing) -> None:
        mal, key = Attacker(ring), key_of("alice")
        one, other = key_block(key, b"1"), key_block(key, b"other")
        await mal.put(one.handle, one.data)
        differs = await mal.put(one.handle, key_block(key, b"2", previous=other).data)
        assert differs == Differs(True, (one.data,))

    in_ring(story, NAMES)


# Clusters.


@pytest.mark.parametrize("attack", ["no key", "truncated", "reordered", "other log", "other head"])
def test_sec_11_a_cluster_grows_only_by_its_log_s_key_and_chain(attack: str) -> None:
    async def story(ring: PastRing) -> None:
        mal, log = Attacker(ring), Log(key_of("log"))
        first = log.append(b"one")
        store = ring.node("ann").store
        await store.extend(log.cluster, first, log.head().data)
        records = log.append(b"two", b"three")
        head, suffix = log.head().data, join_records(records)
        if attack == "no key":
            thief = Log(key_of("mal"), list(log.records))
            head = thief.head(cluster=log.cluster.digest).data
        elif attack == "truncated":
            suffix = suffix[:-1]
        elif attack == "reordered":
            suffix = join_records(records[::-1])
        elif attack == "other log":
            suffix = join_records(Log(key_of("mal"), list(first)).append(b"evil", b"evil"))
        else:
            head = log.head(cluster=bytes(32)).data
        at = mal.target(log.cluster)
        voucher = mal.voucher(log.cluster, len(join_records(first)) + len(suffix))
        try:
            reply = await mal.ask(encode(Extend(log.cluster, suffix, head, voucher)), at)
            assert isinstance(reply, Incomplete)
        except PeerRefused:
            pass
        body, _ = await ring.node("cat").store.lookup_cluster(log.cluster)
        assert body == join_records(first)

    in_ring(story, NAMES)


def test_sec_11_a_shorter_or_forked_cluster_does_not_replace_a_longer_one() -> None:
    async def story(ring: PastRing) -> None:
        mal, log = Attacker(ring), Log(key_of("log"))
        log.append(b"one", b"two")
        await ring.node("ann").store.extend(log.cluster, log.records, log.head().data)
        fork = Log(log.key, log.records[:1], list(log.heads))
        shorter = fork.head().data
        reply = await mal.put(log.cluster, join_records(fork.records), proof=shorter)
        assert reply == Differs(True, (log.heads[-1].data,))
        fork.append(b"another two", b"three")
        reply = await mal.put(log.cluster, fork.body, proof=fork.head().data)
        assert reply == Differs(True, (log.heads[-1].data,))

    in_ring(story, NAMES)


# Tickets.


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"ring": bytes(20)}, RefusalCode.NOT_PERMITTED),
        ({"now_ms": Organisation().now_ms - DAY_MS}, RefusalCode.LATER),
        ({"now_ms": Organisation().now_ms + DAY_MS}, RefusalCode.LATER),
    ],
    ids=["foreign ring", "old", "future"],
)
def test_sec_36_a_ticket_must_be_for_here_and_now(changes: dict, code: RefusalCode) -> None:
    async def story(ring: PastRing) -> None:
        mal = Attacker(ring)
        with refused(code):
            await mal.put(HANDLE, BLOCK, voucher=mal.voucher(HANDLE, len(BLOCK), **changes))

    in_ring(story, NAMES)


def test_sec_36_a_ticket_is_for_its_blocks_and_its_node_only() -> None:
    async def story(ring: PastRing) -> None:
        mal = Attacker(ring)
        for voucher in (mal.voucher(HANDLE, 1), mal.voucher(content_handle(b"x"), len(BLOCK))):
            with refused(RefusalCode.NOT_PERMITTED):
                await mal.put(HANDLE, BLOCK, voucher=voucher)
        await ring.node("ann").store.insert(CONTENT, BLOCK)
        holder = mal.target(HANDLE)
        stolen = ring.hosts[holder].vault.entry(HANDLE).ticket
        with refused(RefusalCode.NOT_PERMITTED):
            await mal.put(HANDLE, BLOCK, voucher=stolen)

    in_ring(story, NAMES)


def test_sec_36_a_node_of_another_ring_inserts_nothing_here() -> None:
    async def story(ring: PastRing) -> None:
        foreign = Organisation("evil.example").node("mal")
        now_ms = ring.hosts["mal"].clock.wall_ms()
        for organisation in (ring.organisation, Organisation("evil.example")):
            ticketing = Ticketing(foreign.key, foreign.certificate, organisation.ring)
            voucher = ticketing.voucher([(HANDLE, len(BLOCK))], now_ms=now_ms, lease_until=now_ms)
            with pytest.raises(PeerRefused):
                await Attacker(ring).put(HANDLE, BLOCK, voucher=voucher)

    in_ring(story, NAMES)


def test_sec_33_a_revoked_node_inserts_nothing_any_more() -> None:
    async def story(ring: PastRing) -> None:
        mal = Attacker(ring)
        assert isinstance(await mal.put(HANDLE, BLOCK), Accepted)
        serial = ring.organisation.node("mal")
        revocation = Revocation(_serial_of(serial.certificate), 1, 0)
        news = ring.organisation.issuer_block(
            ring.policy, revoked=(revocation,), previous=ring.issuer_block
        )
        for name in NAMES:
            ring.node(name).issuers.publish(news.data)
        other = content_handle(b"more")
        with refused(RefusalCode.NOT_PERMITTED):
            await mal.put(other, b"more")

    in_ring(story, NAMES)


def _serial_of(certificate: bytes) -> bytes:
    return NODE_CERT.decode(parse(certificate, Kind.NODE).body).serial


def test_sec_36_nobody_stores_here_by_calling_it_repair() -> None:
    async def story(ring: PastRing) -> None:
        mal = Attacker(ring)
        at = mal.target(HANDLE)
        mal.notify(at, Give(HANDLE, BLOCK, b"", mal.voucher(HANDLE, len(BLOCK))))
        await ring.world.run_for(5.0)
        assert ring.roles(HANDLE) == {}
        mal.notify(at, Offer(1, (Row(HANDLE, 0, b""),)))  # then it asks, and verifies
        await ring.world.run_for(0.5)
        mal.notify(at, Give(HANDLE, BLOCK, b"", b""))
        mal.notify(at, Give(HANDLE, b"other", b"", mal.voucher(HANDLE, 5)))
        await ring.world.run_for(5.0)
        assert ring.roles(HANDLE) == {}

    in_ring(story, NAMES)


def test_three_invalid_blocks_make_a_node_unwelcome_for_a_while() -> None:
    async def story(ring: PastRing) -> None:
        mal = Attacker(ring)
        distrusted: list[object] = []
        ring.world.trace.listen(
            lambda seen: (
                distrusted.append(seen.event) if isinstance(seen.event, NodeDistrusted) else None
            )
        )
        for _ in range(3):
            with refused(RefusalCode.INVALID_BLOCK):
                await mal.put(HANDLE, BLOCK + b"!")
        assert distrusted == [NodeDistrusted(ring.members["mal"].handle.id)]
        with refused(RefusalCode.LATER):
            await mal.put(HANDLE, BLOCK)
        await ring.world.run_for(601.0)
        assert isinstance(await mal.put(HANDLE, BLOCK), Accepted)

    in_ring(story, NAMES)


# Notices and receipts.


async def deposited(ring: PastRing, envelope: bytes) -> Handle:
    assert len(await ring.node("ann").store.deposit(envelope)) == 3
    return pending_handle(envelope)


def test_sec_19_only_the_recipient_s_receipt_drops_a_notice() -> None:
    async def story(ring: PastRing) -> None:
        bob, eve = ring.organisation.user("bob"), ring.organisation.user("eve")
        envelope = envelope_for(bob)
        handle = await deposited(ring, envelope)
        mal, at = Attacker(ring), receipt_handle(handle.digest)
        with refused(RefusalCode.NOT_PERMITTED):
            await mal.put(at, receipt_by(eve, envelope))
        impostor = replace(bob, device_key=eve.device_key)
        with refused(RefusalCode.INVALID_BLOCK):
            await mal.put(at, receipt_by(impostor, envelope))
        stranger = Organisation("evil.example").user("bob")
        with refused(RefusalCode.INVALID_BLOCK):
            await mal.put(at, receipt_by(stranger, envelope))
        assert len(ring.roles(handle)) >= 3

    in_ring(story, NAMES)


def test_sec_19_a_revoked_device_signs_for_nothing() -> None:
    async def story(ring: PastRing) -> None:
        bob = ring.organisation.user("bob")
        envelope = envelope_for(bob)
        handle = await deposited(ring, envelope)
        mal, at = Attacker(ring), receipt_handle(handle.digest)
        ring.node(mal.target(at)).delegation.revoked.add(bob.device_key.public)
        with refused(RefusalCode.NOT_PERMITTED):
            await mal.put(at, receipt_by(bob, envelope))

    in_ring(story, NAMES)


def test_sec_19_a_receipt_that_a_liar_gives_does_not_hide_the_true_one() -> None:
    async def story(ring: PastRing) -> None:
        bob, eve = ring.organisation.user("bob"), ring.organisation.user("eve")
        envelope = envelope_for(bob)
        handle = await deposited(ring, envelope)
        receipt, by_eve = receipt_by(bob, envelope), receipt_by(eve, envelope)
        at = receipt_handle(handle.digest)
        holders = ring.closest(at)[:3]
        ann = ring.node("ann")
        await ann.store.insert(BlockKind.RECEIPT, receipt)
        await ring.world.run_for(1.0)
        liar = next(name for name in holders if name != "ann")
        entry = ring.hosts[liar].vault.entry(at)
        await ring.hosts[liar].vault.commit([PutBlock(entry, by_eve)])
        asker = next(name for name in NAMES if name not in holders)
        found = await ring.node(asker).store.lookup_copies(at)
        assert sorted(found) == sorted([receipt, by_eve])
        assert not ring.hosts[asker].vault.entry(at), "nothing of it is kept, true or not"

    in_ring(story, NAMES)


def test_sec_19_a_deferral_keeps_the_notice() -> None:
    async def story(ring: PastRing) -> None:
        bob = ring.organisation.user("bob")
        envelope = envelope_for(bob)
        handle = await deposited(ring, envelope)
        store = ring.node("ann").store
        deferred = receipt_by(bob, envelope, ReceiptStatus.DEFERRED)
        await store.insert(BlockKind.RECEIPT, deferred)
        await ring.world.run_for(1.0)
        assert len(ring.roles(handle)) >= 3
        await store.insert(BlockKind.RECEIPT, receipt_by(bob, envelope))
        await ring.world.run_for(1.0)
        assert ring.roles(handle) == {}

    in_ring(story, NAMES)


def test_sec_19_a_receipt_sent_ahead_by_somebody_else_suppresses_nothing() -> None:
    async def story(ring: PastRing) -> None:
        bob, eve = ring.organisation.user("bob"), ring.organisation.user("eve")
        envelope = envelope_for(bob)
        handle = pending_handle(envelope)
        early = receipt_by(eve, envelope, ReceiptStatus.READ)
        await ring.node("mal").store.insert(BlockKind.RECEIPT, early, mirror=False)
        assert len(await ring.node("ann").store.deposit(envelope)) == 3
        await ring.node("ben").store.insert(BlockKind.RECEIPT, receipt_by(bob, envelope))
        await ring.world.run_for(1.0)
        assert ring.roles(handle) == {}

    in_ring(story, NAMES)


def test_sec_21_a_delegate_counts_only_with_its_own_signature() -> None:
    async def story(ring: PastRing) -> None:
        envelope = envelope_for(ring.organisation.user("bob"))
        handle = pending_handle(envelope)
        liar = next(n for n in ring.closest(handle)[:3] if n != "ann")
        honest = ring.node("dan" if liar != "dan" else "cat").replica._putting
        ring.node(liar).replica._putting._attestor = honest._attestor
        receipts = await ring.node("ann").store.deposit(envelope)
        assert len(receipts) == 3, "a stand-in took the liar's place"
        certificates, now_ms = ring.node("ann").replica.certificates, Organisation().now_ms
        signed = [
            open_deposit(receipt, certificates, now_ms, pending=handle.digest)[0].id
            for receipt in receipts
        ]
        keepers = {ring.members[name].handle.id for name in ring.roles(handle) if name != liar}
        assert len(set(signed)) == 3
        assert set(signed) <= keepers

    in_ring(story, NAMES)


def test_a_replica_that_claims_false_conflicts_is_passed_over() -> None:
    async def story(ring: PastRing) -> None:
        first = key_block(key_of("alice"), b"one")
        second = key_block(key_of("alice"), b"two", previous=first)
        writer: BlockStore = ring.node("ann").store
        await writer.insert(KEY, first.data)
        liar = next(n for n in ring.closest(first.handle)[:3] if n != "ann")
        replica = ring.node(liar).replica

        def claim(caller: object, put: object, now: float) -> None:
            replica._reply(caller, Differs(True, (first.data,)))

        replica._put = claim
        insertion = await writer.insert(KEY, second.data)
        assert insertion.durability.ring_durable

    in_ring(story, NAMES)
