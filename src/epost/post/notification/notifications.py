"""Event notification: tell other users something, once, whether they are there or not (POST 3.3).

The record of what is sent goes to the log while the notices go out; each is offered until its
recipient's device has signed for it, and given up only at its expiry or if nobody has that name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from epost.crypto.names import canonical
from epost.foundation.errors import MessageTooLarge, NoSuchMail, Overloaded, RefusedError
from epost.foundation.ids import NodeHandle
from epost.past.durability import Durability
from epost.post.app_ids import AppId
from epost.post.config import PostConfig
from epost.post.logs.device_log import DeviceLog
from epost.post.logs.entries import Entry
from epost.post.notification.delivery import Delivery, Tellings
from epost.post.notification.dispatch import Dispatch, Letter, Outcome
from epost.post.notification.handlers import Dispatched, NotificationHandler
from epost.post.notification.ledger import Ledger, entry_of
from epost.post.notification.notices import CONTENT_BYTES_MAX
from epost.post.notification.outbox import MESSAGES_MAX
from epost.post.notification.reception import Reception
from epost.post.notification.records import RECIPIENTS_MAX, DeliveryState, Outgoing, OutgoingNotice
from epost.post.ports import NodePorts

Content = bytes | Callable[[str], bytes]
"""What all recipients get, or what each gets, by canonical name."""

_OUTGOING_BYTES_MAX = 160 * 1024


@dataclass(frozen=True, slots=True)
class RecipientState:
    """How far the notice to one recipient came so far; `reason` is for people."""

    name: str
    state: DeliveryState
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Sent:
    """Something is on its way.

    `durability` is ring-durable if the sender's record is and each notice is with its recipient or
    with k delegates: losing this machine then loses nothing.
    """

    message_key: bytes
    durability: Durability
    states: tuple[RecipientState, ...]


class Notifications:
    """Sends notifications and hands received ones to the applications."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        log: DeviceLog,
        dispatch: Dispatch,
        reception: Reception,
        ports: NodePorts,
        config: PostConfig,
    ) -> None:
        self._ledger = ledger
        self._log = log
        self._dispatch = dispatch
        self._reception = reception
        self._ports = ports
        self._config = config
        self._handlers: dict[int, NotificationHandler] = {}
        self._delivery = Delivery(
            dispatch=dispatch,
            ledger=ledger,
            log=log,
            tellings=Tellings(
                delivered=self._on_delivered,
                given_up=self._on_given_up,
                delayed=self._on_delayed,
            ),
            ports=ports,
            config=config,
        )

    def register(self, app: AppId, handler: NotificationHandler) -> None:
        """Name the handler of an application's notifications, before the start."""
        self._handlers[int(app)] = handler
        self._reception.register(app, handler)

    def start(self) -> None:
        """Take up again what is in the outbox, once the ledger is loaded."""
        self._log.on_reached(self._delivery.resume)
        self._delivery.resume()
        self._ports.stories.run_story(self._delivery.keep_offering())

    def resume(self) -> None:
        """Offer at once everything that is open."""
        self._delivery.resume()

    async def send(
        self,
        app: AppId,
        content: Content,
        recipients: Sequence[str],
        *,
        memo: bytes = b"",
        not_before_ms: int = 0,
    ) -> Sent:
        """Notify users by name; returns when all is ring-durable or `send_deadline_seconds` are
        over, and goes on.

        `memo` is kept beside it for the application, which gets it back with every report. What
        is not to be sent before a time is held until then, and can be withdrawn.

        Raises MessageTooLarge (content of more than 20 KiB, or too much for one record),
        RefusedError (no recipients, too many, not a name), Overloaded: then nothing was sent.
        DiskFull stops the node; what was sent by then is not acknowledged.
        """
        if len(self._ledger.outbox) >= MESSAGES_MAX:
            raise Overloaded(f"{MESSAGES_MAX} messages are waiting to be delivered")
        outgoing = self._compose(app, content, recipients, memo, not_before_ms)
        appending = self._log.submit([entry_of(outgoing)])
        if outgoing.sent_at > self._ports.clock.wall_ms():
            return self._held(outgoing, (await appending).durability)
        offers = [self._delivery.start(letter) for letter in letters_of(outgoing)]
        appended = await appending
        await self._wait_for(offers)
        states = tuple(
            _state_of(notice.name, offer)
            for notice, offer in zip(outgoing.notices, offers, strict=True)
        )
        durability = appended.durability
        if not all(map(_is_with_recipient_or_delegates, offers)):
            held = Durability(1, self._ports.replicas_wanted(), ring_durable=False)
            durability = durability.combine(held)
        return Sent(outgoing.message_key, durability, states)

    def _held(self, outgoing: Outgoing, durability: Durability) -> Sent:
        self._delivery.hold(outgoing.message_key, len(outgoing.notices))
        state = DeliveryState.STORED if durability.ring_durable else DeliveryState.HELD
        states = tuple(RecipientState(notice.name, state) for notice in outgoing.notices)
        return Sent(outgoing.message_key, durability, states)

    async def withdraw(self, message_key: bytes) -> None:
        """Take back what is held until later; returns when the log says so.

        Raises NoSuchMail if nothing of that key waits, RefusedError if it is on its way.
        """
        message = self._ledger.outbox.message(message_key)
        if message is None:
            raise NoSuchMail("nothing of this id waits to be sent")
        await self._delivery.withdraw(message)

    def states(self, message_key: bytes) -> Sequence[RecipientState]:
        """Return how far each notice of a message came; empty once all are settled."""
        message = self._ledger.outbox.message(message_key)
        if message is None:
            return ()
        is_stored = self._log.is_ring_durable(message.sequence)
        least = DeliveryState.STORED if is_stored else DeliveryState.HELD
        return [
            RecipientState(notice.name, max(progress.state, least))
            for notice, progress in zip(message.notices, message.progress, strict=True)
        ]

    def on_kept(self, sender: NodeHandle, pending: bytes) -> None:
        """Take a node's word that it keeps a notice; it ends waiting, and settles nothing."""
        self._dispatch.on_kept(sender, pending)

    async def on_settle(self, pending: bytes, receipt: bytes) -> None:
        """Take a receipt that a recipient's device sent of its own accord."""
        await self._delivery.on_receipt(pending, receipt)

    def _compose(
        self,
        app: AppId,
        content: Content,
        recipients: Sequence[str],
        memo: bytes,
        not_before_ms: int,
    ) -> Outgoing:
        names = sorted({canonical(name) for name in recipients})
        if not 0 < len(names) <= RECIPIENTS_MAX:
            raise RefusedError(f"1 to {RECIPIENTS_MAX} recipients, not {len(names)}")
        bodies = [content if isinstance(content, bytes) else content(name) for name in names]
        if any(len(body) > CONTENT_BYTES_MAX for body in bodies):
            raise MessageTooLarge(f"a notice holds at most {CONTENT_BYTES_MAX} bytes")
        contents = list(dict.fromkeys(bodies))
        index = {body: number for number, body in enumerate(contents)}
        cuts = range(0, len(memo), CONTENT_BYTES_MAX)
        contents += [memo[at : at + CONTENT_BYTES_MAX] for at in cuts]
        size = sum(map(len, contents)) + 64 * len(names)
        if size > _OUTGOING_BYTES_MAX or len(contents) > RECIPIENTS_MAX:
            raise MessageTooLarge("too much for one record: send to fewer recipients at a time")
        sent_at = max(self._ports.sending_ms(), not_before_ms)
        entropy = self._ports.entropy
        return Outgoing(
            message_key=entropy.token(16),
            app=int(app),
            sent_at=sent_at,
            expires_at=sent_at + round(self._config.notice_lifetime_seconds * 1000),
            contents=tuple(contents),
            notices=tuple(
                OutgoingNotice(name, entropy.token(16), index[body])
                for name, body in zip(names, bodies, strict=True)
            ),
        )

    async def _wait_for(self, offers: Sequence[asyncio.Future[Outcome]]) -> None:
        try:
            async with asyncio.timeout(self._config.send_deadline_seconds):
                for offer in offers:
                    await asyncio.shield(offer)
        except TimeoutError:
            pass  # those that are not done go on, and are held until then

    async def _on_delivered(self, app: int, notice: Dispatched) -> Sequence[Entry]:
        handler = self._handlers.get(app)
        return () if handler is None else await handler.delivered(notice)

    async def _on_given_up(self, app: int, notice: Dispatched) -> Sequence[Entry]:
        handler = self._handlers.get(app)
        return () if handler is None else await handler.undeliverable(notice)

    async def _on_delayed(self, app: int, notice: Dispatched) -> Sequence[Entry]:
        handler = self._handlers.get(app)
        return () if handler is None else await handler.delayed(notice)


def letters_of(outgoing: Outgoing) -> list[Letter]:
    """Return one letter per recipient of a message that was just composed."""
    memo = outgoing.memo
    return [
        Letter(
            message_key=outgoing.message_key,
            index=index,
            name=notice.name,
            notice_id=notice.notice_id,
            app=outgoing.app,
            content=outgoing.contents[notice.content],
            sent_at=outgoing.sent_at,
            expires_at=outgoing.expires_at,
            memo=memo,
        )
        for index, notice in enumerate(outgoing.notices)
    ]


def _is_with_recipient_or_delegates(offer: asyncio.Future[Outcome]) -> bool:
    if not offer.done() or offer.cancelled():
        return False
    outcome = offer.result()
    return outcome.is_kept or outcome.state > DeliveryState.STORED


def _state_of(name: str, offer: asyncio.Future[Outcome]) -> RecipientState:
    if not offer.done() or offer.cancelled():
        return RecipientState(name, DeliveryState.HELD, "not reached yet")
    outcome = offer.result()
    return RecipientState(name, outcome.state, outcome.reason)
