"""The receiving side of notification: every check, then the application, then the receipt
(crypto 7.2; POST 3.3)."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from functools import partial

from epost.crypto.certificates import DeviceCert, open_device_certificate
from epost.foundation.codec import encode
from epost.foundation.errors import (
    BadSeal,
    BadSignature,
    NotPermitted,
    PeerError,
    UnavailableError,
)
from epost.foundation.ids import NodeHandle
from epost.foundation.wire import Application
from epost.past.pending import ENVELOPE, Envelope, ReceiptStatus, pending_handle
from epost.post.accounts.contacts import Accounts, Contact
from epost.post.accounts.devices import Device
from epost.post.accounts.prekeys import Prekeys
from epost.post.app_ids import AppId
from epost.post.logs.device_log import DeviceLog
from epost.post.messages import Kept, Settle
from epost.post.notification import receipts
from epost.post.notification.handlers import (
    Accepted,
    Deferred,
    Notification,
    NotificationHandler,
    Refused,
)
from epost.post.notification.ledger import Ledger, entry_of
from epost.post.notification.notices import (
    NoKey,
    Notice,
    decode_signed_notice,
    open_envelope,
    require_addressed,
    require_current,
    verify_notice,
)
from epost.post.notification.read_receipts import ReadReceipts
from epost.post.notification.records import Received
from epost.post.observed import NoticeRefused
from epost.post.ports import Layers, NodePorts
from epost.post.shared import Shared

ANSWERS_REMEMBERED_MAX = 10_000
SETTLE_TIMEOUT_SECONDS = 5.0
_NEVER_VALID = (BadSeal, BadSignature, PeerError)
"""What is wrong with an envelope for ever: its digest names exactly these bytes."""


@dataclass(frozen=True, slots=True)
class _Opened:
    """A notice whose signature and addresses hold, and its sender."""

    notice: Notice
    signed: bytes
    sender: Contact
    is_vouched: bool


Answer = tuple[ReceiptStatus, int]
"""Status and time (ms) of a receipt."""


class Reception:
    """Takes envelopes for this account."""

    def __init__(
        self,
        *,
        device: Device,
        prekeys: Prekeys,
        accounts: Accounts,
        ledger: Ledger,
        log: DeviceLog,
        read_receipts: ReadReceipts,
        layers: Layers,
        ports: NodePorts,
    ) -> None:
        self._device = device
        self._prekeys = prekeys
        self._accounts = accounts
        self._directory = layers.directory
        self._ledger = ledger
        self._log = log
        self._read_receipts = read_receipts
        self._requests = layers.requests
        self._ports = ports
        self._handlers: dict[int, NotificationHandler] = {}
        self._envelopes: Shared[bytes, bytes] = Shared()
        self._notices: Shared[tuple[bytes, bytes], Answer] = Shared()
        self._answered: OrderedDict[bytes, Answer] = OrderedDict()

    def register(self, app: AppId, handler: NotificationHandler) -> None:
        """Name who judges the notifications of an application; once each."""
        assert int(app) not in self._handlers, f"{app.name} has a handler"
        self._handlers[int(app)] = handler

    async def receive(self, data: bytes, carrier: NodeHandle) -> bytes:
        """Return our signed receipt for an envelope that `carrier` brings.

        Raises NotPermitted, PeerError or AuthenticityError for what deserves no receipt: it is for
        somebody else, or not valid now.
        """
        pending = pending_handle(data).digest
        if answer := self._answered.get(pending):
            return receipts.sign(self._device, pending, *answer)
        return await self._envelopes.run(pending, self._receive(data, pending, carrier))

    async def _receive(self, data: bytes, pending: bytes, carrier: NodeHandle) -> bytes:
        envelope = ENVELOPE.decode(data)
        me = self._device.account_id
        if (envelope.to_ring, envelope.to_account) != (self._directory.ring, me):
            raise NotPermitted("an envelope for somebody else")
        now_ms = self._ports.clock.wall_ms()
        try:
            opened = await self._open(envelope)
            key = opened.notice.from_account, opened.notice.id
            answer = await self._notices.run(key, self._handle(opened, pending, carrier))
        except NoKey:
            return receipts.sign(self._device, pending, ReceiptStatus.RESEAL, now_ms)
        except UnavailableError:
            return receipts.sign(self._device, pending, ReceiptStatus.DEFERRED, now_ms)
        except _NEVER_VALID as error:
            self._ports.observer.record(NoticeRefused(error))
            return receipts.sign(self._device, pending, ReceiptStatus.REFUSED, now_ms)
        receipt = receipts.sign(self._device, pending, *answer)
        if answer[0] is not ReceiptStatus.DEFERRED:
            self._remember(pending, answer)
            if carrier not in opened.sender.addresses:
                self._ports.stories.run_story(self._settle(opened.sender, receipt))
        return receipt

    async def _open(self, envelope: Envelope) -> _Opened:
        """Open and verify; raises as the checks of crypto 7.2 do, in their order."""
        encoded = open_envelope(envelope, self._prekeys.seed_of, self._ports.sealing)
        signed = decode_signed_notice(encoded)
        now_ms = self._ports.clock.wall_ms()
        account = self._directory.verify_account(signed.account_certificate, now_ms)
        device = open_device_certificate(signed.device_certificate, account)
        notice = verify_notice(signed, device.device_key)
        require_addressed(
            notice,
            envelope,
            account_id=account.account_id,
            device_number=device.number,
            me=self._device.account_id,
        )
        sender = await self._accounts.signer(account, device)
        is_vouched = _is_vouched(sender, device, notice)
        return _Opened(notice, encoded, sender, is_vouched)

    async def _handle(self, opened: _Opened, pending: bytes, carrier: NodeHandle) -> Answer:
        notice = opened.notice
        known = self._ledger.received.find(notice.from_account, notice.id)
        if known is not None:
            return self._answer(known.status, known.at, known.sequence)
        now_ms = self._ports.clock.wall_ms()
        require_current(notice, now_ms)
        answer = await self._judge(opened)
        if isinstance(answer, Deferred):
            return ReceiptStatus.DEFERRED, now_ms
        is_accepted = isinstance(answer, Accepted)
        status = ReceiptStatus.ACCEPTED if is_accepted else ReceiptStatus.REFUSED
        received = entry_of(
            Received(notice.from_account, notice.id, status, now_ms, notice.expires_at)
        )
        if not isinstance(answer, Accepted):
            appended = await self._log.append([received])
            return self._answer(status, now_ms, appended.first_sequence)
        await self._read_receipts.accepted(answer.tag, pending, opened.sender.name)
        tell = partial(self._tell_kept, opened.sender, carrier, pending)
        on_its_way = partial(answer.when_shown, tell)
        appended = await self._log.append([*answer.entries, received], on_its_way)
        return self._answer(status, now_ms, appended.first_sequence + len(answer.entries))

    def _tell_kept(self, sender: Contact, carrier: NodeHandle, pending: bytes) -> None:
        """Let the sender's device know as soon as a crash here loses nothing any more."""
        if carrier in sender.addresses:
            self._requests.tell(carrier, Application.POST, encode(Kept(pending)))

    async def _judge(self, opened: _Opened) -> Accepted | Refused | Deferred:
        handler = self._handlers.get(opened.notice.app)
        if handler is None:
            return Refused("no such application here")
        return await handler.accept(
            Notification(
                id=opened.notice.id,
                sender_name=opened.sender.name,
                sender_account=opened.notice.from_account,
                sent_at_ms=opened.notice.sent_at,
                app=opened.notice.app,
                content=opened.notice.content,
                signed=opened.signed,
                is_vouched=opened.is_vouched,
            )
        )

    def _answer(self, status: ReceiptStatus, at_ms: int, sequence: int) -> Answer:
        # A receipt lets the sender forget: never before k machines have what it stands for.
        if not self._log.is_ring_durable(sequence):
            return ReceiptStatus.DEFERRED, at_ms
        return status, at_ms

    def _remember(self, pending: bytes, answer: Answer) -> None:
        self._answered[pending] = answer
        if len(self._answered) > ANSWERS_REMEMBERED_MAX:
            self._answered.popitem(last=False)

    async def _settle(self, sender: Contact, receipt: bytes) -> None:
        """Tell the sender's devices, since the envelope came by way of delegates; best effort."""
        for node in sender.addresses:
            await self._requests.call(
                node,
                Application.POST,
                encode(Settle(receipt)),
                timeout_seconds=SETTLE_TIMEOUT_SECONDS,
            )


def _is_vouched(sender: Contact, device: DeviceCert, notice: Notice) -> bool:
    """Judge by the sender's newest identity; raises BadSignature for a device that is none."""
    if sender.device(device.device_key) is not None:
        return True
    revoked = sender.revocation(device.device_key)
    if revoked is None:
        raise BadSignature("signed by a device that the account does not list")
    if notice.sent_at >= revoked.at:
        raise BadSignature("signed by a device after it was revoked")
    return False
