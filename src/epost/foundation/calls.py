"""Joins stories and machines: a story awaits the answer to a request that a driver sends.

The only module of the core that touches futures. Requests are idempotent and retried a bounded
number of times; the answer may come from another node than the one asked (routed look-ups).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from epost.foundation.codec import Format
from epost.foundation.effects import Outbox
from epost.foundation.errors import CallTimedOut, EpostError, Overloaded, PeerError, PeerRefused
from epost.foundation.ids import NodeHandle
from epost.foundation.ports import Clock, Entropy
from epost.foundation.wire import Application, Form, Message, Refusal, RefusalCode

T = TypeVar("T")

CALLS_OPEN_MAX = 20_000
_REFUSAL: Format[Refusal] = Format(Refusal, size_max=4096)


@dataclass(frozen=True, slots=True)
class Answer:
    """A response and who gave it."""

    sender: NodeHandle
    body: bytes


class Calls:
    """The calls that wait for an answer, by unguessable id."""

    def __init__(
        self,
        *,
        outbox: Outbox,
        entropy: Entropy,
        clock: Clock,
        wake: Callable[[], None],
        on_answered: Callable[[float], None],
    ) -> None:
        """`wake` makes the driver perform the outbox soon (stories run outside of turns).

        `on_answered` is told how many seconds each call took until its answer, tries included.
        """
        self._outbox = outbox
        self._entropy = entropy
        self._clock = clock
        self._wake = wake
        self._on_answered = on_answered
        self._waiting: dict[int, asyncio.Future[Answer]] = {}

    @property
    def open_count(self) -> int:
        """How many calls wait now."""
        return len(self._waiting)

    async def call(
        self,
        to: NodeHandle,
        application: Application,
        body: bytes,
        *,
        timeout_seconds: float,
        tries: int = 1,
    ) -> bytes:
        """Ask one node; `timeout_seconds` is per try.

        Raises CallTimedOut, PeerRefused, Overloaded.
        """

        def send(call_id: int) -> None:
            self._outbox.request(to, application, call_id, body)

        answer = await self.expect(send, timeout_seconds=timeout_seconds, tries=tries)
        return answer.body

    def tell(self, to: NodeHandle, application: Application, body: bytes) -> None:
        """Send one node a one-way message, best effort."""
        self._outbox.notify(to, application, body)
        self._wake()

    async def expect(
        self, send: Callable[[int], None], *, timeout_seconds: float, tries: int = 1
    ) -> Answer:
        """Call `send(call_id)` up to `tries` times until any node answers that id."""
        if len(self._waiting) >= CALLS_OPEN_MAX:
            raise Overloaded("too many calls are waiting for answers")
        call_id = int.from_bytes(self._entropy.token(8), "big")
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[Answer] = loop.create_future()
        self._waiting[call_id] = answered
        asked_at = self._clock.now()
        # A plain timer, since asyncio.timeout and a shield cost more than the call itself.
        next_try: asyncio.TimerHandle | None = None

        def try_again(tries_left: int) -> None:
            nonlocal next_try
            if answered.done():
                return
            if not tries_left:
                text = f"no answer within {timeout_seconds} s, {tries} tries"
                answered.set_exception(CallTimedOut(text))
                return
            next_try = loop.call_later(timeout_seconds, try_again, tries_left - 1)
            send(call_id)
            self._wake()

        try:
            try_again(tries)
            answer = await answered
        finally:
            del self._waiting[call_id]
            if next_try is not None:
                next_try.cancel()
        self._on_answered(self._clock.now() - asked_at)
        return answer

    async def learn(
        self, ask: Callable[[Callable[[T], None]], None], *, timeout_seconds: float
    ) -> T:
        """Return what a machine finds out: `ask(tell)` begins, some later turn calls `tell` once.

        Raises CallTimedOut.
        """
        learnt: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        def tell(what: T) -> None:
            if not learnt.done():
                learnt.set_result(what)

        ask(tell)
        if learnt.done() and self._outbox.is_empty:
            return learnt.result()
        self._wake()
        try:
            async with asyncio.timeout(timeout_seconds):
                return await learnt
        except TimeoutError:
            raise CallTimedOut(f"nothing was found within {timeout_seconds} s") from None

    def on_answer(self, sender: NodeHandle, message: Message) -> None:
        """Give a RESPONSE or REFUSAL to whoever waits; late and unknown ones are ignored."""
        future = self._waiting.get(message.call_id)
        if future is None or future.done():
            return
        if message.form is Form.REFUSAL:
            future.set_exception(_refusal(message.body))
        else:
            future.set_result(Answer(sender, message.body))


def _refusal(body: bytes) -> PeerRefused:
    try:
        refusal = _REFUSAL.decode(body)
    except PeerError:
        return PeerRefused(RefusalCode.MALFORMED, "refused, unreadably")
    return PeerRefused(refusal.code, refusal.text[:500])


async def first_successes(
    calls: Sequence[Awaitable[T]], needed: int, *, timeout_seconds: float
) -> list[tuple[int, T]]:
    """Await until `needed` of the calls succeeded, all are done, or the time is up.

    Returns (index, result) of the successes in the order of completion; cancels the rest. Errors
    of the project count as failures, anything else propagates.
    """
    done: asyncio.Queue[tuple[int, T | BaseException]] = asyncio.Queue()

    async def run(index: int, call: Awaitable[T]) -> None:
        try:
            done.put_nowait((index, await call))
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # handed to the waiting side, which raises it
            done.put_nowait((index, error))

    tasks = [asyncio.ensure_future(run(i, c)) for i, c in enumerate(calls)]
    successes: list[tuple[int, T]] = []
    try:
        async with asyncio.timeout(timeout_seconds):
            for _ in tasks:
                if len(successes) >= needed:
                    break
                index, outcome = await done.get()
                if isinstance(outcome, BaseException):
                    _raise_if_ours_is_broken(outcome)
                else:
                    successes.append((index, outcome))
    except TimeoutError:
        pass
    finally:
        for task in tasks:
            task.cancel()
    return successes


def _raise_if_ours_is_broken(error: BaseException) -> None:
    if not isinstance(error, EpostError):
        raise error
