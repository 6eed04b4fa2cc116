"""Attacks on notices, receipts and presence (crypto 12: 17 to 21, 24)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import msgspec
import pytest

from epost.crypto.certificates import certify
from epost.crypto.signed import parse
from epost.crypto.signing import Kind, SigningKey
from epost.crypto.versioned import make_key_block
from epost.foundation.codec import encode
from epost.foundation.durations import DAY_MS
from epost.foundation.errors import (
    AuthenticityError,
    EpostError,
    PeerError,
    PeerRefused,
    ReplayedNotification,
    UntrustedCertificate,
)
from epost.foundation.ids import BlockKind, Handle, NodeHandle
from epost.foundation.wire import Application
from epost.past.pending import (
    ENVELOPE,
    RECEIPT,
    RECEIPT_BLOCK,
    ReceiptStatus,
    open_receipt,
    pending_handle,
    sign_receipt,
)
from epost.post.accounts.blocks import RevokedDevice, decode_identity
from epost.post.app_ids import AppId
from epost.post.messages import ANSWERED, POST_MESSAGE, Answered, Deliver, Kept, Settle
from epost.post.notification import receipts
from epost.post.notification.notices import (
    NoKey,
    Notice,
    open_envelope,
    seal_notice,
    sign_notice,
)
from epost.post.notification.presence import Presence, PresenceCheck, group_of, sign_presence
from epost.post.notification.records import DeliveryState
from epost.post.observed import NoticeRefused, PresenceIgnored, ReceiptIgnored
from epost.simulation.clock import run
from epost.simulation.world import EPOCH_MS
from tests.support.post_world import DOMAIN, RING, Machine, Organisation, World, settle
from tests.unit.post.notification.test_notifications import Inbox, folder, send, start, state


class Trio:
    """Alice, Bob and Mallory, all members of one organisation and at their machines."""

    world: World
    alice: Machine
    bob: Machine
    mallory: Machine
    inbox: Inbox

    async def start(self) -> None:
        self.world = World()
        self.alice, self.bob, self.mallory = (
            self.world.enrol(name) for name in ("alice", "bob", "mallory")
        )
        await start(self.alice)
        self.inbox = await start(self.bob)
        await start(self.mallory)
        await settle()
        self.began_ms = self.mallory.ports.clock.wall_ms()

    def notice(self, **changes: Any) -> Notice:
        """A notice from Mallory to Bob."""
        now_ms = self.began_ms
        plain = Notice(
            1, b"n" * 16, self.mallory.device.account_id, 1, self.bob.device.account_id,
            now_ms, now_ms + 180 * DAY_MS, AppId.MAIL, b"hello",
        )  # fmt: skip
        return msgspec.structs.replace(plain, **changes)

    def signed(self, notice: Notice, by: Machine | None = None, **changes: Any) -> bytes:
        by = by or self.mallory
        papers = {
            "account_certificate": by.certificate,
            "device_certificate": by.secrets.certificate,
        }
        return sign_notice(notice, by.device.signing, **{**papers, **changes})

    def sealed(self, signed: bytes, to: Machine | None = None, **changes: Any) -> bytes:
        to = to or self.bob
        outside: dict[str, Any] = {
            "to_ring": RING,
            "to_account": to.device.account_id,
            "expires_at": self.notice().expires_at,
        }
        prekey = to.device.published_prekeys(1)[0].public_key
        return seal_notice(
            signed,
            **{**outside, **changes},
            sealing_keys=(prekey,),
            sealing=self.mallory.ports.sealing,
            entropy=self.mallory.ports.entropy,
        ).envelope

    async def offer(self, envelope: bytes, to: Machine | None = None) -> ReceiptStatus:
        """Offer an envelope from Mallory's node; return what the receipt says."""
        answer = await self.mallory.layers.requests.call(
            (to or self.bob).node, Application.POST, encode(Deliver(envelope)), timeout_seconds=5
        )
        block = RECEIPT_BLOCK.decode(ANSWERED.decode(answer).receipt)
        verify = self.world.organisation.trust.verify_account
        return open_receipt(encode(block), verify, EPOCH_MS).receipt.status


def attack(story: Callable[[Trio], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """Run an attack in a fresh world on virtual time."""

    def test() -> None:
        async def whole() -> None:
            trio = Trio()
            await trio.start()
            await story(trio)
            await trio.world.stop()

        run(whole())

    test.__name__, test.__doc__ = story.__name__, story.__doc__
    return test


@attack
async def test_an_honest_notice_is_accepted(trio: Trio) -> None:
    assert await trio.offer(trio.sealed(trio.signed(trio.notice()))) is ReceiptStatus.ACCEPTED
    assert await folder(trio.bob) == [b"hello"]


@attack
async def test_surreptitious_forwarding_is_refused(trio: Trio) -> None:
    """Mallory got a notice from Alice and seals it anew, as if Alice had written to Bob."""
    to_mallory = trio.notice(
        from_account=trio.alice.device.account_id, to_account=trio.mallory.device.account_id
    )
    envelope = trio.sealed(trio.signed(to_mallory, by=trio.alice))
    assert await trio.offer(envelope) is ReceiptStatus.REFUSED
    assert trio.inbox.received == []


@attack
async def test_a_reflected_notice_is_refused(trio: Trio) -> None:
    """Mallory sends Bob his own notice back."""
    to_mallory = trio.notice(
        from_account=trio.bob.device.account_id, to_account=trio.mallory.device.account_id
    )
    envelope = trio.sealed(trio.signed(to_mallory, by=trio.bob))
    assert await trio.offer(envelope) is ReceiptStatus.REFUSED
    assert trio.inbox.received == []


@attack
async def test_a_notice_in_the_name_of_somebody_else_is_refused(trio: Trio) -> None:
    as_alice = trio.notice(from_account=trio.alice.device.account_id)
    alices = {
        "account_certificate": trio.alice.certificate,
        "device_certificate": trio.alice.secrets.certificate,
    }
    for signed in (
        trio.signed(as_alice),
        trio.signed(as_alice, **alices),
        trio.signed(trio.notice(), device_certificate=alices["device_certificate"]),
        trio.signed(trio.notice(from_device=2)),
    ):
        try:
            status = await trio.offer(trio.sealed(signed))
        except PeerRefused:
            continue  # certificates of two accounts: not worth a receipt
        assert status is ReceiptStatus.REFUSED
    assert trio.inbox.received == []
    assert trio.bob.observer.of(NoticeRefused)


@attack
async def test_a_sender_that_no_authority_certified_is_refused(trio: Trio) -> None:
    forger = Organisation()
    forger.issuer = SigningKey(b"f" * 32)
    signed = trio.signed(
        trio.notice(), account_certificate=forger.certify(f"boss@{DOMAIN}", trio.mallory.new)
    )
    with pytest.raises(PeerRefused):
        await trio.offer(trio.sealed(signed))
    assert trio.inbox.received == []


@attack
async def test_an_envelope_for_somebody_else_is_refused(trio: Trio) -> None:
    for changes in ({"to_account": trio.alice.device.account_id}, {"to_ring": bytes(20)}):
        with pytest.raises(PeerRefused):
            await trio.offer(trio.sealed(trio.signed(trio.notice()), **changes))


@attack
async def test_outside_and_inside_of_an_envelope_must_agree(trio: Trio) -> None:
    envelope = trio.sealed(trio.signed(trio.notice()), expires_at=EPOCH_MS + 500 * DAY_MS)
    assert await trio.offer(envelope) is ReceiptStatus.REFUSED
    honest = ENVELOPE.decode(trio.sealed(trio.signed(trio.notice())))
    for changed in (
        msgspec.structs.replace(honest, expires_at=honest.expires_at + 1),
        msgspec.structs.replace(honest, body=honest.body[:-1] + b"x"),
        msgspec.structs.replace(
            honest,
            wraps=(msgspec.structs.replace(honest.wraps[0], sealed=bytes(1200)),),
        ),
    ):
        assert await trio.offer(encode(changed)) is ReceiptStatus.REFUSED
    assert trio.inbox.received == []


@attack
async def test_a_replay_gives_the_same_receipt_and_nothing_else(trio: Trio) -> None:
    signed = trio.signed(trio.notice())
    first = trio.sealed(signed)
    for envelope in (first, first, trio.sealed(signed), trio.sealed(signed)):
        assert await trio.offer(envelope) is ReceiptStatus.ACCEPTED
    await trio.bob.stop()
    trio.inbox = await start(trio.bob)
    await settle()
    assert await trio.offer(trio.sealed(signed)) is ReceiptStatus.ACCEPTED
    assert trio.inbox.received == []
    assert await folder(trio.bob) == [b"hello"]


@attack
async def test_copies_that_arrive_together_become_one_entry(trio: Trio) -> None:
    signed = trio.signed(trio.notice())
    envelopes = [trio.sealed(signed) for _ in range(5)]
    statuses = await asyncio.gather(*(trio.offer(e) for e in envelopes * 2))
    assert set(statuses) == {ReceiptStatus.ACCEPTED}
    assert len(trio.inbox.received) == 1


@attack
async def test_a_notice_is_refused_outside_of_its_time(trio: Trio) -> None:
    now_ms = trio.mallory.ports.clock.wall_ms()
    for sent_at, expires_at in (
        (now_ms + 11 * 60 * 1000, now_ms + DAY_MS),
        (now_ms - 2 * DAY_MS, now_ms - DAY_MS),
        (now_ms, now_ms + 183 * DAY_MS),
        (now_ms, now_ms),
    ):
        notice = trio.notice(sent_at=sent_at, expires_at=expires_at)
        with pytest.raises(PeerRefused):
            await trio.offer(trio.sealed(trio.signed(notice), expires_at=expires_at))
    assert trio.inbox.received == []


@attack
async def test_what_a_revoked_device_sent_is_marked_or_refused(trio: Trio) -> None:
    signed_before = trio.signed(trio.notice(sent_at=trio.notice().sent_at - 60_000))
    revoked_at = trio.mallory.ports.clock.wall_ms()
    revoke(trio.world, trio.mallory, revoked_at)
    signed_after = trio.signed(trio.notice(id=b"m" * 16, sent_at=revoked_at))
    assert await trio.offer(trio.sealed(signed_after)) is ReceiptStatus.REFUSED
    assert await trio.offer(trio.sealed(signed_before)) is ReceiptStatus.ACCEPTED
    (received,) = trio.inbox.received
    assert not received.is_vouched


@attack
async def test_a_device_that_the_account_never_listed_is_refused(trio: Trio) -> None:
    rogue = SigningKey(b"r" * 32)
    listed = trio.mallory.device.certificate
    unlisted = msgspec.structs.replace(listed, device_key=rogue.public)
    certificate = certify(trio.mallory.new.keys.account, unlisted)
    signed = sign_notice(
        trio.notice(),
        rogue,
        account_certificate=trio.mallory.certificate,
        device_certificate=certificate,
    )
    assert await trio.offer(trio.sealed(signed)) is ReceiptStatus.REFUSED
    assert trio.inbox.received == []


@attack
async def test_an_envelope_to_a_key_that_is_gone_asks_to_be_sealed_anew(trio: Trio) -> None:
    envelope = trio.sealed(trio.signed(trio.notice()), to=trio.alice)
    wrong = encode(
        msgspec.structs.replace(ENVELOPE.decode(envelope), to_account=trio.bob.device.account_id)
    )
    assert await trio.offer(wrong) is ReceiptStatus.RESEAL
    with pytest.raises(NoKey):
        open_envelope(ENVELOPE.decode(wrong), lambda _: None, trio.bob.ports.sealing)


@attack
async def test_a_sender_whose_account_cannot_be_looked_up_now_is_deferred(trio: Trio) -> None:
    trio.bob.is_online = False
    with_link = trio.bob.post
    assert with_link is not None
    envelope = trio.sealed(trio.signed(trio.notice()))
    answer = await with_link.endpoint.on_request(trio.mallory.node, encode(Deliver(envelope)))
    receipt = RECEIPT_BLOCK.decode(ANSWERED.decode(answer).receipt)
    status = open_receipt(
        encode(receipt), trio.world.organisation.trust.verify_account, EPOCH_MS
    ).receipt.status
    assert status is ReceiptStatus.DEFERRED


@attack
async def test_garbage_is_refused_without_a_receipt(trio: Trio) -> None:
    for body in (b"", b"x", bytes(70_000), encode(Deliver(b"junk"))):
        with pytest.raises((PeerRefused, PeerError)):
            await trio.mallory.layers.requests.call(
                trio.bob.node, Application.POST, body, timeout_seconds=5
            )
    assert trio.bob.post is not None
    with pytest.raises(PeerError):
        await trio.bob.post.endpoint.on_notify(trio.mallory.node, b"x")


def revoke(world: World, machine: Machine, at: int) -> None:
    """Publish an identity block in which the account's device is revoked."""
    known = machine.new.identity
    identity = decode_identity(known.body.content)
    revoked = RevokedDevice(1, machine.device.signing.public, at, 0, bytes(32))
    content = msgspec.structs.replace(identity, devices=(), revoked=(revoked,))
    block = make_key_block(
        machine.new.keys.account, Kind.IDENTITY, ring=RING, previous=known, issued_at=at,
        content=encode(content),
    )  # fmt: skip
    world.publish(BlockKind.KEY, block.data)


# Receipts


async def waiting_for_bob(trio: Trio) -> tuple[Handle, bytes]:
    """Have Alice send to Bob while he is away; return what the delegates keep."""
    await trio.bob.stop()
    trio.world.delegates.remove(trio.bob)
    await send(trio.alice, b"for bob", "bob")
    await settle(3)
    ((handle, envelope),) = trio.world.pending.items()
    return handle, envelope


@attack
async def test_a_forged_receipt_settles_nothing(trio: Trio) -> None:
    handle, _ = await waiting_for_bob(trio)
    sent = next(iter(trio.alice.post.ledger.outbox.messages()))  # type: ignore[union-attr]
    now_ms = trio.mallory.ports.clock.wall_ms()
    good = receipts.sign(trio.bob.device, handle.digest, ReceiptStatus.ACCEPTED, now_ms)
    block, mallory = RECEIPT_BLOCK.decode(good), trio.mallory.device
    inner = RECEIPT.decode(decode_inner(block.receipt))
    forgeries = [
        receipts.sign(mallory, handle.digest, ReceiptStatus.ACCEPTED, now_ms),
        sign_receipt(
            mallory.signing, inner, mallory.account_certificate, mallory.secrets.certificate
        ),
        sign_receipt(mallory.signing, inner, trio.bob.certificate, trio.bob.secrets.certificate),
        receipts.sign(trio.bob.device, bytes(32), ReceiptStatus.ACCEPTED, now_ms),
        good[:-1] + bytes((good[-1] ^ 1,)),
    ]
    for forged in forgeries:
        with suppress(EpostError):
            await trio.alice.post.endpoint.on_request(  # type: ignore[union-attr]
                trio.mallory.node, encode(Settle(forged))
            )
        await settle(3)
    assert sent.progress[0].state is DeliveryState.DELEGATED
    with pytest.raises(AuthenticityError):
        await receipts.Receipts(
            trio.alice.post.services.accounts,  # type: ignore[union-attr]
            trio.world.organisation.trust,
            trio.alice.ports.clock,
        ).verify(good, pending=handle.digest, account_id=trio.alice.device.account_id)
    inbox = await start(trio.bob)
    await settle(70)
    assert [n.content for n in inbox.received] == [b"for bob"], "delivered all the same"


def decode_inner(signed: bytes) -> bytes:
    return parse(signed, Kind.RECEIPT).body


@attack
async def test_a_receipt_of_a_revoked_device_settles_nothing(trio: Trio) -> None:
    handle, _ = await waiting_for_bob(trio)
    revoke(trio.world, trio.bob, trio.bob.ports.clock.wall_ms())
    await settle(61)
    stolen = receipts.sign(
        trio.bob.device, handle.digest, ReceiptStatus.ACCEPTED, trio.bob.ports.clock.wall_ms()
    )
    with pytest.raises(UntrustedCertificate):
        await trio.alice.post.endpoint.on_request(  # type: ignore[union-attr]
            trio.mallory.node, encode(Settle(stolen))
        )
    holder = trio.alice.delegation
    await holder._accounts.resolve(f"bob@{DOMAIN}")
    assert holder.is_device_revoked(trio.bob.device.certificate)
    assert not holder.is_device_revoked(trio.alice.device.certificate)


@attack
async def test_a_recipient_that_answers_with_anothers_receipt_is_not_believed(trio: Trio) -> None:
    """Mallory runs Bob's old node and answers for him."""

    class Liar:
        async def on_request(self, _sender: object, body: bytes) -> bytes:
            message = msgspec.msgpack.decode(body)
            digest = pending_handle(message[1]).digest
            receipt = receipts.sign(trio.mallory.device, digest, ReceiptStatus.ACCEPTED, EPOCH_MS)
            return encode(Answered(receipt))

    trio.bob.post.endpoint = Liar()  # type: ignore[union-attr, assignment]
    sent = await send(trio.alice, b"hello", "bob")
    assert [s.state for s in sent.states] == [DeliveryState.DELEGATED]
    assert trio.alice.observer.of(ReceiptIgnored)


# Presence


@attack
async def test_only_the_recipients_own_machine_ends_the_wait_and_settles_nothing(
    trio: Trio,
) -> None:
    async def never(_sender: NodeHandle, _body: bytes) -> bytes:
        await asyncio.sleep(3600)
        return b""

    assert trio.alice.post is not None
    assert trio.bob.post is not None
    trio.bob.post.endpoint.on_request = never  # type: ignore[method-assign]
    sending = asyncio.ensure_future(send(trio.alice, b"for bob", "bob"))
    await settle(0.1)
    message = POST_MESSAGE.decode(trio.bob.requests_seen[-1][1])
    assert isinstance(message, Deliver)
    pending = pending_handle(message.envelope).digest
    for node, digest in ((trio.mallory.node, pending), (trio.bob.node, bytes(32))):
        await trio.alice.post.endpoint.on_notify(node, encode(Kept(digest)))
        await settle(0.05)
        assert not sending.done()
    await trio.alice.post.endpoint.on_notify(trio.bob.node, encode(Kept(pending)))
    sent = await sending
    assert sent.durability.ring_durable
    assert [s.state for s in sent.states] == [DeliveryState.STORED]
    await settle(3)
    outbox = trio.alice.post.ledger.outbox
    assert [m.progress[0].state for m in outbox.messages()] == [DeliveryState.DELEGATED]


def presence_of(machine: Machine, **changes: Any) -> bytes:
    now_ms = machine.ports.clock.wall_ms()
    presence = Presence(machine.device.account_id, 1, machine.node, now_ms, now_ms)
    return sign_presence(
        msgspec.structs.replace(presence, **changes),
        machine.device.signing,
        account_certificate=machine.certificate,
        device_certificate=machine.secrets.certificate,
    )


@attack
async def test_a_forged_presence_draws_nothing_to_the_forger(trio: Trio) -> None:
    await waiting_for_bob(trio)
    bobs = group_of(trio.bob.device.account_id)
    now_ms = trio.mallory.ports.clock.wall_ms()
    as_bob = Presence(trio.bob.device.account_id, 1, trio.mallory.node, now_ms, now_ms)
    papers = {
        "account_certificate": trio.bob.certificate,
        "device_certificate": trio.bob.secrets.certificate,
    }
    for forged in (
        sign_presence(as_bob, trio.mallory.device.signing, **papers),
        presence_of(trio.mallory),
        presence_of(trio.mallory, account_id=trio.bob.device.account_id),
        b"junk",
    ):
        trio.world.multicast(bobs, forged)
        await settle(2)
    assert trio.mallory.requests_seen == []
    assert trio.alice.observer.of(PresenceIgnored)
    trio.world.multicast(group_of(bytes(32)), presence_of(trio.mallory))
    inbox = await start(trio.bob)
    await settle(2)
    assert len(inbox.received) == 1


@attack
async def test_a_replayed_presence_is_ignored(trio: Trio) -> None:
    group = group_of(trio.bob.device.account_id)
    check = PresenceCheck(trio.world.organisation.trust, RING)
    now_ms = trio.bob.ports.clock.wall_ms()
    body = presence_of(trio.bob)
    assert check.open(body, group, now_ms).presence.node == trio.bob.node
    with pytest.raises(ReplayedNotification):
        check.open(body, group, now_ms)
    with pytest.raises(ReplayedNotification):
        check.open(presence_of(trio.bob, number=now_ms - 1), group, now_ms)
    with pytest.raises(ReplayedNotification):
        check.open(presence_of(trio.bob, number=now_ms + 1), group, now_ms + 301_000)
    elsewhere = msgspec.structs.replace(trio.bob.node, ring=bytes(20))
    with pytest.raises(UntrustedCertificate):
        check.open(presence_of(trio.bob, number=now_ms + 2, node=elsewhere), group, now_ms)
    with pytest.raises(UntrustedCertificate):
        check.open(presence_of(trio.bob, number=now_ms + 2, device=2), group, now_ms)


@attack
async def test_the_presence_of_a_revoked_device_draws_nothing(trio: Trio) -> None:
    await waiting_for_bob(trio)
    revoke(trio.world, trio.bob, trio.bob.ports.clock.wall_ms())
    stolen = presence_of(trio.bob, node=trio.mallory.node)
    trio.world.multicast(group_of(trio.bob.device.account_id), stolen)
    await settle(2)
    assert trio.mallory.requests_seen == []


@attack
async def test_delegates_that_say_nothing_are_not_called_delegates(trio: Trio) -> None:
    await trio.bob.stop()

    async def refuse(_envelope: bytes) -> list[bytes]:
        return [b"only", b"two"]

    trio.alice.store.deposit = refuse  # type: ignore[method-assign]
    sent = await send(trio.alice, b"hello", "bob")
    assert [s.state for s in sent.states] == [DeliveryState.HELD]
    assert not sent.durability.ring_durable
    assert state(trio.alice, sent) == [DeliveryState.STORED]
