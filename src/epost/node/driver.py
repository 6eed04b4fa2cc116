"""The driver of a node: gives events to machines and performs what they ask for, in turns.

A turn gives one event to its machine and drains the outbox: plain sends leave at once, the writes
become one commit, and a durable send leaves after it (`commits`). The next turn does not wait for
the disk, but it reads what this one wrote. A failed commit, or an error that no peer can be blamed
for, stops the node; what was not yet durable is then never acknowledged.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Protocol

from epost.foundation.calls import Calls
from epost.foundation.effects import (
    Caller,
    Load,
    Machine,
    Outbox,
    Send,
    SendWhenDurable,
    SetTimer,
)
from epost.foundation.errors import (
    EpostError,
    MalformedPacket,
    NotFoundError,
    Overloaded,
    UnavailableError,
)
from epost.foundation.ids import NodeHandle, NodeId
from epost.foundation.ports import Clock, Entropy, Observer, Transport, Vault, Write
from epost.foundation.wire import REFUSAL_TEXT_MAX, Application, Form, Message, unpack
from epost.node.background import Background
from epost.node.commits import Commits
from epost.node.loads import Loads
from epost.node.observed import CallAnswered, MessageRejected, NodeFailed
from epost.node.refusals import refusal_code
from epost.node.timers import Timers

TURNS_IN_A_ROW_MAX = 64
SECONDS_IN_A_ROW_MAX = 0.005
"""After so many turns, or so long, the loop gets to do something else."""
EVENTS_WAITING_MAX = 10_000
BYTES_HELD_MAX = 128 * 1024 * 1024
"""Bytes of peers' messages that wait for their turn, its commit, or the end of its story."""
LOADS_WAITING_MAX = 4096
HANDLERS_RUNNING_MAX = 512
HANDLERS_OF_PEER_MAX = 64
"""Of these; a sender offers as many notices at once."""

Event = Callable[[float], None]


class AsyncHandler(Protocol):
    """Answers messages of an application whose answers take a story (they wait)."""

    async def on_request(self, sender: NodeHandle, body: bytes) -> bytes:
        """Return the answer; an EpostError becomes a refusal."""
        ...

    async def on_notify(self, sender: NodeHandle, body: bytes) -> None:
        """Take a one-way message."""


class Driver:
    """Runs the machines, handlers and stories of one node over its ports.

    Made inside a running loop. `stopped` is done after `stop()`, or carries the error that made
    the node stop by itself: its owner must then close the ports and start a new node from the
    vault. The driver closes neither vault nor transport.
    """

    def __init__(
        self,
        me: NodeHandle,
        *,
        clock: Clock,
        entropy: Entropy,
        observer: Observer,
        vault: Vault,
        transport: Transport,
    ) -> None:
        self._me = me
        self._clock = clock
        self._observer = observer
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self.outbox = Outbox()
        self.calls = Calls(
            outbox=self.outbox,
            entropy=entropy,
            clock=clock,
            wake=self.wake,
            on_answered=lambda seconds: observer.record(CallAnswered(me.id, seconds)),
        )
        self.stopped: asyncio.Future[None] = self._loop.create_future()
        self._machines: dict[Application, Machine] = {}
        self._handlers: dict[Application, AsyncHandler] = {}
        self._heard_from: Callable[[NodeHandle, float], object] = lambda _sender, _now: None
        self._heard: dict[NodeId, NodeHandle] = {}
        self._stories = Background(self._loop, observer, on_bug=self._fail)
        self._answers = Background(self._loop, observer, on_bug=self._fail)
        self._answers_to: Counter[NodeId] = Counter()
        self._timers = Timers(self._loop, self._enqueue_timer)
        self._events: deque[Event] = deque()
        self._commits = Commits(
            vault,
            send=lambda send: transport.send(send.to, send.message),
            on_done=self._on_committed,
        )
        self._loads = Loads(vault, on_loaded=self._enqueue_loaded, on_failed=self._fail)
        self._bytes_held = 0
        self._bytes_in_turn = 0
        self._turns_are_due = False
        self._takes_events = False

    def register(self, application: Application, machine: Machine) -> None:
        """Let a machine answer the messages, timers and loads of an application."""
        assert application not in self._machines, f"{application.name} has a machine"
        self._machines[application] = machine

    def serve(self, application: Application, handler: AsyncHandler) -> None:
        """Let stories answer the messages of an application, a bounded number at a time."""
        assert application not in self._handlers, f"{application.name} has a handler"
        self._handlers[application] = handler

    def tell_heard_from(self, heard_from: Callable[[NodeHandle, float], object]) -> None:
        """Call this, before the turns, for every node that sent anything: a sign of life."""
        self._heard_from = heard_from

    def start(self) -> None:
        """Start the transport and, in the first turn, every machine."""
        self._takes_events = True
        self._transport.start(self)
        for _, machine in sorted(self._machines.items()):
            self._enqueue(machine.on_start)

    async def stop(self) -> None:
        """Take nothing more, cancel the stories, finish the writes and the sends behind them."""
        self._take_no_more()
        await self._answers.cancel_all()
        await self._stories.cancel_all()
        if self.stopped.done():
            return
        self._perform()
        await self._written()
        self._timers.cancel_all()
        if not self.stopped.done():
            self.stopped.set_result(None)

    def _take_no_more(self) -> None:
        self._takes_events = False
        self._events.clear()
        self._heard.clear()
        self._loads.forget_waiting()
        self._timers.cancel_all()

    def _fail(self, error: BaseException) -> None:
        if self.stopped.done():
            return
        self._take_no_more()
        self.stopped.set_exception(error)
        self.stopped.exception()  # seen: the observer is told, whether or not anybody awaits it
        self._observer.record(NodeFailed(error))
        self._answers.cancel_soon()
        self._stories.cancel_soon()

    def wake(self) -> None:
        """Have the outbox performed soon: a story has put effects there."""
        if not self._turns_are_due:
            self._turns_are_due = True
            self._loop.call_soon(self._take_turns)

    async def durable(self, writes: Sequence[Write]) -> None:
        """Return when these writes, and all that were asked for earlier, are on disk.

        Raises DiskFull or OSError, after which the node stops, and UnavailableError once it has.
        Cancelling the wait does not take the writes back.
        """
        if self.stopped.done():
            raise UnavailableError("the node has stopped")
        for write in writes:
            self.outbox.write(write)
        self._perform(is_awaited=True)
        await self._commits.written()

    def write_later(self, writes: Sequence[Write]) -> None:
        """Write soon what nobody is ever told of: no send and no story waits for it."""
        if self.stopped.done():
            return
        self._perform()
        self._commits.write_later(writes)

    def run_story(self, story: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a story in the background; its failure is observed, its bugs stop the node."""
        task = self._stories.run(story)
        if self.stopped.done():
            task.cancel()
        return task

    def on_message(self, sender: NodeHandle, message: bytes) -> None:
        """Queue a message for a turn; an answer goes to its call at once: it ends work."""
        if not self._takes_events:
            return
        try:
            parsed = unpack(message)
        except MalformedPacket as error:
            self._observer.record(MessageRejected(sender, None, error))
            return
        if sender.node_id != self._me.node_id:
            self._heard[sender.id] = sender
            self.wake()
        if parsed.form is Form.RESPONSE or parsed.form is Form.REFUSAL:
            self.calls.on_answer(sender, parsed)
        elif self.is_overloaded():
            self._reject(sender, parsed, Overloaded("too much is waiting here"))
            self.wake()
        else:
            self._bytes_held += len(parsed.body)
            self._enqueue(partial(self._deliver, sender, parsed))

    def on_unreachable(self, node: NodeId) -> None:
        """Tell every machine that the transport gave up on a link."""
        for _, machine in sorted(self._machines.items()):
            self._enqueue(partial(machine.on_unreachable, node))

    @property
    def waiting_events(self) -> int:
        """How many messages, timers and loads wait for their turn."""
        return len(self._events)

    def is_overloaded(self) -> bool:
        """Return whether requests are turned away now; a transport may then pause reading."""
        return (
            len(self._events) >= EVENTS_WAITING_MAX
            or self._bytes_held >= BYTES_HELD_MAX
            or self._loads.waiting >= LOADS_WAITING_MAX
        )

    def _enqueue(self, event: Event) -> None:
        if self._takes_events:
            self._events.append(event)
            self.wake()

    def _take_turns(self) -> None:
        self._turns_are_due = False
        if self.stopped.done():
            return
        start = now = self._clock.now()
        try:
            if self._heard:
                self._tell_who_was_heard(now)
            self._perform()
            for _ in range(min(len(self._events), TURNS_IN_A_ROW_MAX)):
                self._turn(self._events.popleft(), now)
                now = self._clock.now()
                if now - start > SECONDS_IN_A_ROW_MAX:
                    break
        except Exception as error:  # whatever it is, it is our own bug
            self._fail(error)
        if self._events:
            self.wake()

    def _tell_who_was_heard(self, now: float) -> None:
        heard, self._heard = self._heard, {}
        for sender in heard.values():
            self._heard_from(sender, now)

    def _turn(self, event: Event, now: float) -> None:
        event(now)
        self._perform()
        self._bytes_held -= self._bytes_in_turn  # unless a commit or a story has taken them over
        self._bytes_in_turn = 0

    def _deliver(self, sender: NodeHandle, message: Message, now: float) -> None:
        self._bytes_in_turn = len(message.body)
        try:
            if machine := self._machines.get(message.application):
                self._give(machine, sender, message, now)
            elif handler := self._handlers.get(message.application):
                self._answer_later(handler, sender, message)
            else:
                raise NotFoundError(f"no {message.application.name} here")
        except EpostError as error:
            self._reject(sender, message, error)

    @staticmethod
    def _give(machine: Machine, sender: NodeHandle, message: Message, now: float) -> None:
        if message.form is Form.NOTIFY:
            machine.on_notify(sender, message.body, now)
        else:
            machine.on_request(_caller(sender, message), message.body, now)

    def _answer_later(self, handler: AsyncHandler, sender: NodeHandle, message: Message) -> None:
        is_greedy = self._answers_to[sender.id] >= HANDLERS_OF_PEER_MAX
        if is_greedy or len(self._answers) >= HANDLERS_RUNNING_MAX:
            raise Overloaded("too many requests are being answered")
        self._answers_to[sender.id] += 1
        self._bytes_in_turn = 0
        self._answers.run(self._answer(handler, sender, message))

    async def _answer(self, handler: AsyncHandler, sender: NodeHandle, message: Message) -> None:
        try:
            if message.form is Form.NOTIFY:
                await handler.on_notify(sender, message.body)
            else:
                body = await handler.on_request(sender, message.body)
                self.outbox.reply_when_durable(_caller(sender, message), body)
        except EpostError as error:
            self._reject(sender, message, error)
        finally:
            self._bytes_held -= len(message.body)
            self._answers_to[sender.id] -= 1
            if not self._answers_to[sender.id]:
                del self._answers_to[sender.id]
        self.wake()

    def _reject(self, sender: NodeHandle, message: Message, error: EpostError) -> None:
        self._observer.record(MessageRejected(sender, message.application, error))
        if message.form is Form.REQUEST:
            text = str(error)[:REFUSAL_TEXT_MAX]
            self.outbox.refuse(_caller(sender, message), refusal_code(error), text)

    def _enqueue_timer(self, application: Application, name: str) -> None:
        self._enqueue(partial(self._fire, application, name))

    def _fire(self, application: Application, name: str, now: float) -> None:
        if self._timers.take_due(application, name):
            self._machines[application].on_timer(name, now)

    def _enqueue_loaded(self, load: Load, body: bytes | None) -> None:
        self._enqueue(partial(self._give_loaded, load, body))

    def _give_loaded(self, load: Load, body: bytes | None, now: float) -> None:
        self._loads.done()
        self._machines[load.application].on_loaded(load.purpose, body, now)

    def _perform(self, *, is_awaited: bool = False) -> None:
        """Perform what the outbox holds; `is_awaited`: somebody waits until it is on disk."""
        if self.outbox.is_empty:
            return
        writes: list[Write] = []
        durable_sends: list[SendWhenDurable] = []
        loads: list[Load] = []
        for effect in self.outbox.drain():
            match effect:
                case Send():
                    self._transport.send(effect.to, effect.message)
                case SendWhenDurable():
                    durable_sends.append(effect)
                case SetTimer(application, name, delay_seconds):
                    self._timers.set(application, name, delay_seconds)
                case Load():
                    loads.append(effect)
                case write:
                    writes.append(write)
        if writes:
            self._commit(writes, is_awaited=is_awaited or bool(durable_sends))
        self._commits.send_after(durable_sends)
        for load in loads:
            self._loads.ask(load)

    def _commit(self, writes: Sequence[Write], *, is_awaited: bool) -> None:
        self._commits.write(writes, self._bytes_in_turn, is_awaited=is_awaited)
        self._bytes_in_turn = 0

    def _on_committed(self, bytes_held: int, error: BaseException | None) -> bool:
        self._bytes_held -= bytes_held
        if error is not None:
            self._fail(error)
        return not self._has_failed()

    def _has_failed(self) -> bool:
        return self.stopped.done() and self.stopped.exception() is not None

    async def _written(self) -> None:
        while not (self._commits.are_done or self._has_failed()):
            try:
                await self._commits.all_written()
            except (EpostError, OSError):
                return  # the callback of the failed commit has stopped the node
            # It is taken off the list by a callback, which may be due only now.
            await asyncio.sleep(0)


def _caller(sender: NodeHandle, message: Message) -> Caller:
    return Caller(sender, message.application, message.call_id)
