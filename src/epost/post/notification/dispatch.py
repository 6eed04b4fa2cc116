"""Takes one notice to its recipient: to her devices, else to delegates (POST 3.3; design 7)."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from epost.foundation.calls import first_successes
from epost.foundation.codec import encode
from epost.foundation.errors import (
    AuthenticityError,
    NoSuchUser,
    PeerError,
    RefusedError,
    UnavailableError,
)
from epost.foundation.ids import BlockKind, NodeHandle
from epost.foundation.wire import Application
from epost.past.pending import ReceiptStatus, receipt_handle
from epost.post.accounts.contacts import Accounts, Contact, NobodyFound
from epost.post.accounts.devices import Device
from epost.post.config import PostConfig
from epost.post.messages import ANSWERED, Deliver
from epost.post.notification.deposits import Deposits
from epost.post.notification.notices import Notice, Sealed, seal_notice, sign_notice
from epost.post.notification.receipts import Receipts
from epost.post.notification.records import DeliveryState
from epost.post.observed import ReceiptIgnored
from epost.post.ports import Layers, NodePorts

SEALED_KEPT_MAX = 500
"""Envelopes of notices that were neither delivered nor delegated yet, kept for the next attempt."""
UNKNOWN_NAMES_MAX = 1000
"""Names that nobody was found of, with the time since when."""

_TROUBLES = (AuthenticityError, PeerError, RefusedError, UnavailableError)
"""What keeps one attempt from succeeding without saying anything about the next."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One notice that is to be delivered; times in ms. `pending` names an envelope that delegates
    keep already, or is empty; `memo` is the application's own and goes to nobody."""

    message_key: bytes
    index: int
    name: str
    notice_id: bytes
    app: int
    content: bytes
    sent_at: int
    expires_at: int
    pending: bytes = b""
    memo: bytes = b""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How far an attempt took a notice; `reason` is for people.

    `is_read`: what is delivered, by its receipt, was even read. `is_kept`: her device has it on its
    disk, and its receipt has not come yet.
    """

    state: DeliveryState
    pending: bytes = b""
    receipt: bytes = b""
    reason: str = ""
    is_read: bool = False
    is_kept: bool = False


class SealedToLostKey(UnavailableError):  # noqa: N818 - reads better without "Error"
    """The recipient's device signed that it has no key for the envelope: seal anew."""


OnLate = Callable[[Letter, Outcome], Awaitable[None]]
OnKept = Callable[[], None]


@dataclass(slots=True)
class _Offer:
    """An envelope that a recipient's devices were offered and have not answered.

    `is_kept`: one of them has said that the notice is on its disk.
    """

    contact: Contact
    on_kept: OnKept
    is_kept: bool = False


class Dispatch:
    """Attempts deliveries; the recipient knows a notice by its id, so several are as one."""

    def __init__(
        self,
        *,
        device: Device,
        accounts: Accounts,
        receipts: Receipts,
        deposits: Deposits,
        layers: Layers,
        ports: NodePorts,
        config: PostConfig,
    ) -> None:
        self._device = device
        self._accounts = accounts
        self._receipts = receipts
        self._deposits = deposits
        self._layers = layers
        self._ports = ports
        self._config = config
        self._unknown_since: OrderedDict[str, float] = OrderedDict()
        self._sealed: OrderedDict[bytes, tuple[tuple[bytes, ...], Sealed]] = OrderedDict()
        self._offered: dict[bytes, _Offer] = {}

    async def attempt(self, letter: Letter, on_late: OnLate, on_kept: OnKept) -> Outcome:
        """Try once; `on_late` is awaited if her device answers after delegates took the notice.

        `on_kept` is called if her device says before its receipt that it has the notice.
        """
        try:
            contact = await self._accounts.resolve(letter.name)
        except NobodyFound as error:
            return self._not_found(letter, error)
        except NoSuchUser as error:
            return Outcome(DeliveryState.UNDELIVERABLE, reason=str(error))
        except _TROUBLES as error:
            return Outcome(DeliveryState.HELD, reason=str(error))
        self._unknown_since.pop(letter.name, None)
        if letter.pending:
            try:
                settled = await self._stored_receipt(letter.pending, contact)
            except SealedToLostKey:
                letter = replace(letter, pending=b"")  # delegates must be given another envelope
                contact = await self._accounts.resolve(letter.name)
            else:
                if settled is not None:
                    return settled
        sealed = self._sealed_for(letter, contact)
        offer = self._offered[sealed.digest] = _Offer(contact, on_kept)
        outcome = await self._send(letter, offer, sealed, on_late)
        if outcome.state is not DeliveryState.HELD:
            self._sealed.pop(letter.notice_id, None)
        return outcome

    def _not_found(self, letter: Letter, error: NobodyFound) -> Outcome:
        """Wait with what a part of the ring says that may be cut off; bounce what it says for long.

        The time counts from the first such answer of this run of the daemon.
        """
        now = self._ports.clock.now()
        since = self._unknown_since.setdefault(letter.name, now)
        if len(self._unknown_since) > UNKNOWN_NAMES_MAX:
            self._unknown_since.popitem(last=False)
        state = DeliveryState.DELEGATED if letter.pending else DeliveryState.HELD
        if now >= since + self._config.unknown_name_seconds:
            state = DeliveryState.UNDELIVERABLE
        return Outcome(state, letter.pending, reason=str(error))

    async def _send(
        self,
        letter: Letter,
        offer: _Offer,
        sealed: Sealed,
        on_late: OnLate,
    ) -> Outcome:
        direct = asyncio.ensure_future(self._offer(offer.contact, sealed))
        direct.add_done_callback(lambda _: self._offered.pop(sealed.digest, None))
        try:
            if settled := await self._within_patience(direct, offer):
                return settled
            if not letter.pending and await self._deposit(sealed):
                self._ports.stories.run_story(self._finish(direct, letter, on_late))
                return Outcome(DeliveryState.DELEGATED, sealed.digest)
            settled = await asyncio.shield(direct)
        except asyncio.CancelledError:
            direct.cancel()
            raise
        waiting = DeliveryState.DELEGATED if letter.pending else DeliveryState.HELD
        return settled or Outcome(waiting, letter.pending, reason="her device did not answer")

    async def _within_patience(
        self, direct: asyncio.Future[Outcome | None], offer: _Offer
    ) -> Outcome | None:
        """Wait for the answer, and as long again for the receipt of a device that has the notice.

        Then delegates get it too: else it would arrive only for as long as one of the two lives.
        """
        for _ in range(2):
            try:
                async with asyncio.timeout(self._config.direct_patience_seconds):
                    return await asyncio.shield(direct)
            except TimeoutError:
                if not offer.is_kept:
                    break
        return None

    async def _finish(
        self,
        direct: asyncio.Future[Outcome | None],
        letter: Letter,
        on_late: OnLate,
    ) -> None:
        if settled := await direct:
            await on_late(letter, settled)
            await self._release_delegates(settled.receipt)

    async def _release_delegates(self, receipt: bytes) -> None:
        """Give the ring the receipt, so that each delegate lets go of the notice now.

        Else they would offer it when her presence is announced next, up to a minute later, and
        each would have to look her up before.
        """
        with suppress(*_TROUBLES):  # then they offer it, and hear the same
            await self._layers.blocks.insert(BlockKind.RECEIPT, receipt, mirror=False)

    def _sealed_for(self, letter: Letter, contact: Contact) -> Sealed:
        """Seal, or take the envelope of the last attempt: some delegates may have it already."""
        known = self._sealed.get(letter.notice_id)
        if known is not None and known[0] == contact.sealing_keys:
            return known[1]
        sealed = self._seal(letter, contact)
        self._sealed[letter.notice_id] = (contact.sealing_keys, sealed)
        if len(self._sealed) > SEALED_KEPT_MAX:
            self._sealed.popitem(last=False)
        return sealed

    def _seal(self, letter: Letter, contact: Contact) -> Sealed:
        notice = Notice(
            format=1,
            id=letter.notice_id,
            from_account=self._device.account_id,
            from_device=self._device.number,
            to_account=contact.account.account_id,
            sent_at=letter.sent_at,
            expires_at=letter.expires_at,
            app=letter.app,
            content=letter.content,
        )
        signed = sign_notice(
            notice,
            self._device.signing,
            account_certificate=self._device.account_certificate,
            device_certificate=self._device.secrets.certificate,
        )
        return seal_notice(
            signed,
            to_ring=contact.account.ring,
            to_account=contact.account.account_id,
            expires_at=letter.expires_at,
            sealing_keys=contact.sealing_keys,
            sealing=self._ports.sealing,
            entropy=self._ports.entropy,
        )

    async def _offer(self, contact: Contact, sealed: Sealed) -> Outcome | None:
        """Offer to all of her devices at once; return what the first final receipt says."""
        offers = [self._offer_to(node, contact, sealed) for node in contact.addresses]
        timeout = self._config.direct_timeout_seconds
        answers = await first_successes(offers, 1, timeout_seconds=timeout)
        if not answers:
            self._accounts.forget(contact.name)  # she may be at another machine when we try again
            return None
        return answers[0][1]

    async def _offer_to(self, node: NodeHandle, contact: Contact, sealed: Sealed) -> Outcome:
        answer = await self._layers.requests.call(
            node,
            Application.POST,
            encode(Deliver(sealed.envelope)),
            timeout_seconds=self._config.direct_timeout_seconds,
        )
        return await self.judge(ANSWERED.decode(answer).receipt, contact, sealed.digest)

    def on_kept(self, sender: NodeHandle, pending: bytes) -> None:
        """A node says that it keeps a notice: heard if we offered it there and have no answer."""
        offer = self._offered.get(pending)
        if offer is not None and sender in offer.contact.addresses:
            offer.is_kept = True
            offer.on_kept()

    async def judge_for(self, name: str, receipt: bytes, pending: bytes) -> Outcome:
        """Return what a receipt settles for the account of a name; raises as `judge`."""
        return await self.judge(receipt, await self._accounts.resolve(name), pending)

    async def judge(self, receipt: bytes, contact: Contact, pending: bytes) -> Outcome:
        """Return what a receipt settles; raises UnavailableError if it settles nothing."""
        try:
            verified = await self._receipts.verify(
                receipt, pending=pending, account_id=contact.account.account_id
            )
        except (AuthenticityError, PeerError) as error:
            self._ports.observer.record(ReceiptIgnored(error))
            raise
        match verified.status:
            case ReceiptStatus.ACCEPTED | ReceiptStatus.READ as status:
                is_read = status is ReceiptStatus.READ
                return Outcome(DeliveryState.DELIVERED, pending, receipt, is_read=is_read)
            case ReceiptStatus.REFUSED:
                reason = "the recipient's device refused it"
                return Outcome(DeliveryState.REFUSED, pending, receipt, reason)
            case ReceiptStatus.RESEAL:
                self._accounts.forget(contact.name)
                raise SealedToLostKey("sealed to a key that is no longer there")
            case ReceiptStatus.DEFERRED:
                raise UnavailableError("her device cannot take it now")

    async def _stored_receipt(self, pending: bytes, contact: Contact) -> Outcome | None:
        """Return what a receipt in the ring settles; raises SealedToLostKey if none does better.

        A lying replica may have one that somebody else signed, or an earlier one of hers: it must
        not hide the one that counts.
        """
        try:
            receipts = await self._layers.blocks.lookup_copies(receipt_handle(pending))
        except _TROUBLES:
            return None
        lost: SealedToLostKey | None = None
        for receipt in receipts:
            try:
                return await self.judge(receipt, contact, pending)
            except SealedToLostKey as error:
                lost = error
            except _TROUBLES:
                continue
        if lost is not None:
            raise lost
        return None

    async def _deposit(self, sealed: Sealed) -> bool:
        """Leave the envelope with delegates; tells whether k of them signed for it."""
        try:
            deposits = await self._layers.delegates.deposit(sealed.envelope)
        except _TROUBLES:
            return False
        if len(deposits) < self._ports.replicas_wanted():
            return False
        self._deposits.keep_soon(sealed.digest, deposits)
        return True
