"""Every notice of the outbox is offered until it is settled: the retries, and what follows them."""

from __future__ import annotations

import asyncio
import heapq
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count

from epost.foundation.errors import EpostError, Overloaded, RefusedError
from epost.post.config import PostConfig
from epost.post.logs.device_log import DeviceLog
from epost.post.logs.entries import Entry
from epost.post.notification.delivered import Delivered
from epost.post.notification.dispatch import Dispatch, Letter, Outcome, SealedToLostKey
from epost.post.notification.handlers import Dispatched
from epost.post.notification.ledger import Ledger, entry_of
from epost.post.notification.outbox import OpenMessage
from epost.post.notification.records import (
    PROGRESS_MAX,
    SETTLED,
    DeliveryState,
    Progressed,
    Step,
    Warned,
)
from epost.post.ports import NodePorts

ATTEMPTS_AT_ONCE = 64
OFFERS_PER_TICK_MAX = 64
RESEALED_AT_ONCE_MAX = 3
"""So often a notice is sealed anew as soon as its recipient asks for it, in one run; then with the
next offer: she might ask for ever."""
HELD_LOOK_SECONDS_MAX = 300.0
"""Held messages are looked at this often: the timer sleeps with the machine, the date does not."""
_TICK_SECONDS = 1.0
KEPT = Outcome(DeliveryState.STORED, is_kept=True)
"""Of a notice that her device has, while its receipt is on the way."""

Telling = Callable[[int, Dispatched], Awaitable[Sequence[Entry]]]
"""Asks an application what to log about a notice."""


@dataclass(frozen=True, slots=True)
class Tellings:
    """How an application tells its user what became of a notice."""

    delivered: Telling
    given_up: Telling
    delayed: Telling


Key = tuple[bytes, int]


class Delivery:
    """Runs attempts, logs what they achieve, and tries again with growing pauses."""

    def __init__(
        self,
        *,
        dispatch: Dispatch,
        ledger: Ledger,
        log: DeviceLog,
        tellings: Tellings,
        ports: NodePorts,
        config: PostConfig,
    ) -> None:
        self._dispatch = dispatch
        self._ledger = ledger
        self._log = log
        self._tellings = tellings
        self._ports = ports
        self._config = config
        self._slots = asyncio.Semaphore(ATTEMPTS_AT_ONCE)
        self._running: set[Key] = set()
        self._due: list[tuple[float, int, Key]] = []
        self._planned: dict[Key, float] = {}
        self._is_planned = asyncio.Event()
        self._pauses: dict[Key, float] = {}
        self._resealed: Counter[Key] = Counter()
        self._withdrawn: set[bytes] = set()
        self._serials = count()
        self._steps: list[Step] = []
        self._is_logging = False

    def start(self, letter: Letter) -> asyncio.Future[Outcome]:
        """Attempt now, in the background; the future is done with the first outcome, or once her
        device keeps the notice: a stage before the outcome, which nothing is logged about."""
        done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._running.add((letter.message_key, letter.index))
        self._ports.stories.run_story(self._attempt(letter, done))
        return done

    def hold(self, message_key: bytes, notices: int) -> None:
        """Offer a message that was just logged, once the time has come that it is held until."""
        for index in range(notices):
            self._plan((message_key, index), 0.0)

    async def withdraw(self, message: OpenMessage) -> None:
        """Take back a message that is still held; raises RefusedError if it is not."""
        if not self._is_held(message):
            raise RefusedError("it has been sent already")
        self._withdrawn.add(message.message_key)  # its time may come while this is written
        now = self._ports.clock.wall_ms()
        steps = [
            Step(message.message_key, index, DeliveryState.UNDELIVERABLE, now, b"", b"")
            for index in range(len(message.notices))
        ]
        cuts = range(0, len(steps), PROGRESS_MAX)
        entries = [entry_of(Progressed(tuple(steps[at : at + PROGRESS_MAX]))) for at in cuts]
        try:
            await self._log.append(entries)
        finally:
            self._withdrawn.discard(message.message_key)

    def resume(self) -> None:
        """Plan an offer of everything that is open: after a start, or when the ring is back."""
        self._pauses.clear()
        for message in self._ledger.outbox.messages():
            for index, progress in enumerate(message.progress):
                if progress.state not in SETTLED:
                    self._plan((message.message_key, index), 0.0)

    async def keep_offering(self) -> None:
        """Offer what is due, for ever."""
        while True:
            self._is_planned.clear()
            await self._wait_until_due()
            for key in self._take_due():
                self._ports.stories.run_story(self._offer_again(key))
            await asyncio.sleep(_TICK_SECONDS)

    async def _wait_until_due(self) -> None:
        pause = self._due[0][0] - self._ports.clock.now() if self._due else None
        try:
            async with asyncio.timeout(pause):
                await self._is_planned.wait()
        except TimeoutError:
            return

    def _take_due(self) -> list[Key]:
        now = self._ports.clock.now()
        keys: list[Key] = []
        while self._due and self._due[0][0] <= now and len(keys) < OFFERS_PER_TICK_MAX:
            at, _, key = heapq.heappop(self._due)
            if self._planned.get(key) == at:
                del self._planned[key]
                keys.append(key)
        return keys

    async def on_receipt(self, pending: bytes, receipt: bytes) -> None:
        """A recipient sent a receipt of her own accord: her envelope came by way of delegates, or
        she has read what was in it; or a delegate passes on that she has no key for it."""
        delivered = self._ledger.delivered.find(pending)
        found = self._ledger.outbox.delegated(pending)
        if delivered is not None:
            await self._on_read(delivered, pending, receipt)
        elif found is not None:
            letter = await self._letter(*found)
            try:
                outcome = await self._dispatch.judge_for(letter.name, receipt, pending)
            except SealedToLostKey:
                self._seal_anew(letter)
            else:
                await self.on_outcome(letter, outcome)

    def _seal_anew(self, letter: Letter) -> None:
        key = (letter.message_key, letter.index)
        if key in self._running or self._resealed[key] >= RESEALED_AT_ONCE_MAX:
            return
        self._resealed[key] += 1
        self.start(replace(letter, pending=b""))

    async def _on_read(self, delivered: Delivered, pending: bytes, receipt: bytes) -> None:
        """Log that a delivered notice was read, if the receipt says so; raises as `judge`."""
        outcome = await self._dispatch.judge_for(delivered.name, receipt, pending)
        if outcome.is_read and self._ledger.delivered.find(pending) is not None:
            now = self._ports.clock.wall_ms()
            key, notice = delivered.message_key, delivered.notice
            self._progress(Step(key, notice, DeliveryState.READ, now, pending, receipt))

    async def on_outcome(self, letter: Letter, outcome: Outcome) -> None:
        """Log how far a notice came; plan the next offer if it is not settled."""
        key = (letter.message_key, letter.index)
        match outcome.state:
            case DeliveryState.DELIVERED | DeliveryState.READ:
                await self._delivered(letter, outcome)
            case DeliveryState.REFUSED | DeliveryState.UNDELIVERABLE:
                await self._give_up(letter, outcome)
            case DeliveryState.DELEGATED:
                if outcome.pending != letter.pending:
                    self._progress(_step(letter, outcome, self._ports.clock.wall_ms()))
                self._plan(key, self._next_pause(key))
                await self._warn_if_late(letter, outcome, self._config.warn_delegated_seconds)
            case DeliveryState.HELD | DeliveryState.STORED:
                self._plan(key, self._next_pause(key))
                await self._warn_if_late(letter, outcome, self._config.warn_held_seconds)

    async def _attempt(self, letter: Letter, done: asyncio.Future[Outcome]) -> None:
        key = (letter.message_key, letter.index)
        try:
            async with self._slots:
                on_kept = partial(_set_result, done, KEPT)
                outcome = await self._dispatch.attempt(letter, self.on_outcome, on_kept)
            await self.on_outcome(letter, outcome)
            _set_result(done, outcome)
        except EpostError as error:
            self._plan(key, self._next_pause(key))
            _set_result(done, Outcome(DeliveryState.HELD, reason=str(error)))
            raise
        finally:
            self._running.discard(key)

    async def _offer_again(self, key: Key) -> None:
        message_key, index = key
        message = self._ledger.outbox.message(message_key)
        if message is None or message.progress[index].state in SETTLED or key in self._running:
            self._pauses.pop(key, None)
            self._resealed.pop(key, None)
            return
        if self._is_held(message):
            seconds = (message.sent_at - self._ports.clock.wall_ms()) / 1000
            self._plan(key, min(seconds, HELD_LOOK_SECONDS_MAX))
            return
        try:
            letter = await self._letter(message, index)
            if self._is_over(letter):
                reason = "it could not be delivered in time"
                await self._give_up(letter, Outcome(DeliveryState.UNDELIVERABLE, reason=reason))
            else:
                self.start(letter)
        except EpostError:
            self._plan(key, self._next_pause(key))
            raise

    def _is_held(self, message: OpenMessage) -> bool:
        is_withdrawn = message.message_key in self._withdrawn
        return is_withdrawn or message.sent_at > self._ports.clock.wall_ms()

    def _is_over(self, letter: Letter) -> bool:
        # Nobody bounces anything while his own clock may be wrong (crypto 7.2).
        return self._ports.clock.wall_ms() > letter.expires_at and self._ports.is_clock_sound()

    async def _letter(self, message: OpenMessage, index: int) -> Letter:
        outgoing = await self._ledger.outgoing(message.sequence)
        notice = message.notices[index]
        return Letter(
            message_key=message.message_key,
            index=index,
            name=notice.name,
            notice_id=notice.notice_id,
            app=message.app,
            content=outgoing.contents[notice.content],
            sent_at=message.sent_at,
            expires_at=message.expires_at,
            pending=message.progress[index].pending,
            memo=outgoing.memo,
        )

    async def _delivered(self, letter: Letter, outcome: Outcome) -> None:
        step = _step(letter, outcome, self._ports.clock.wall_ms())
        entries: Sequence[Entry] = ()
        if letter.memo:
            entries = await self._tellings.delivered(letter.app, _dispatched(letter, outcome))
        if entries:
            await self._log.append([*entries, entry_of(Progressed((step,)))])
        else:
            self._progress(step)

    async def _give_up(self, letter: Letter, outcome: Outcome) -> None:
        entries = await self._tellings.given_up(letter.app, _dispatched(letter, outcome))
        step = _step(letter, outcome, self._ports.clock.wall_ms())
        await self._log.append([*entries, entry_of(Progressed((step,)))])

    async def _warn_if_late(self, letter: Letter, outcome: Outcome, after_seconds: float) -> None:
        """Tell the user once that it takes long: never silence (design 7)."""
        message = self._ledger.outbox.message(letter.message_key)
        if message is None or message.progress[letter.index].is_warned:
            return
        now = self._ports.clock.wall_ms()
        if now < letter.sent_at + after_seconds * 1000 or not self._ports.is_clock_sound():
            return
        reason = outcome.reason or "her devices cannot be reached"
        notice = _dispatched(letter, replace(outcome, reason=reason))
        entries = await self._tellings.delayed(letter.app, notice)
        warned = Warned(letter.message_key, letter.index, now)
        await self._log.append([*entries, entry_of(warned)])

    def _progress(self, step: Step) -> None:
        self._steps.append(step)
        if not self._is_logging:
            self._is_logging = True
            self._ports.stories.run_story(self._log_progress())

    async def _log_progress(self) -> None:
        try:
            while self._steps:
                await asyncio.sleep(self._config.progress_seconds)
                steps = self._steps[:PROGRESS_MAX]
                del self._steps[:PROGRESS_MAX]
                try:
                    await self._log.append([entry_of(Progressed(tuple(steps)))])
                except Overloaded:
                    self._steps[:0] = steps
        finally:
            self._is_logging = False

    def _plan(self, key: Key, pause_seconds: float) -> None:
        at = self._planned[key] = self._ports.clock.now() + pause_seconds
        heapq.heappush(self._due, (at, next(self._serials), key))
        self._is_planned.set()

    def _next_pause(self, key: Key) -> float:
        pause = self._pauses.get(key, self._config.offer_again_seconds_min)
        self._pauses[key] = min(pause * 2, self._config.offer_again_seconds_max)
        return pause


def _set_result(done: asyncio.Future[Outcome], outcome: Outcome) -> None:
    if not done.done():
        done.set_result(outcome)


def _step(letter: Letter, outcome: Outcome, at_ms: int) -> Step:
    return Step(
        letter.message_key, letter.index, outcome.state, at_ms, outcome.pending, outcome.receipt
    )


def _dispatched(letter: Letter, outcome: Outcome) -> Dispatched:
    return Dispatched(
        message_key=letter.message_key,
        content=letter.content,
        recipient=letter.name,
        sent_at_ms=letter.sent_at,
        memo=letter.memo,
        reason=outcome.reason,
        receipt=outcome.receipt,
    )
