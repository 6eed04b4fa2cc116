"""What a machine may ask for: messages, timers, writes, loads, collected in an outbox.

A machine never performs anything. It puts effects here; the driver performs them after the turn:
`Send` at once, `SendWhenDurable` after the writes of the turn (and all earlier ones) are on disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from epost.foundation.codec import encode
from epost.foundation.ids import Handle, NodeHandle, NodeId
from epost.foundation.ports import Write
from epost.foundation.wire import Application, Form, Refusal, RefusalCode, pack


class Caller(msgspec.Struct, frozen=True):
    """Whom to answer: the node that sent a request, and the id of the call."""

    node: NodeHandle
    application: Application
    call_id: int


class Send(msgspec.Struct, frozen=True):
    """Send at once, best effort."""

    to: NodeHandle
    message: bytes


class SendWhenDurable(msgspec.Struct, frozen=True):
    """Send once every write asked for so far is on disk."""

    to: NodeHandle
    message: bytes


class SetTimer(msgspec.Struct, frozen=True):
    """Call `on_timer(name)` after a delay; a timer of the same name is replaced."""

    application: Application
    name: str
    delay_seconds: float


class Load(msgspec.Struct, frozen=True):
    """Read a block's body off the disk; `on_loaded(purpose, body)` follows."""

    application: Application
    handle: Handle
    purpose: object


Effect = Send | SendWhenDurable | SetTimer | Load | Write


class Outbox:
    """Collects the effects of one turn in order; the driver empties it."""

    def __init__(self) -> None:
        self._effects: list[Effect] = []

    @property
    def is_empty(self) -> bool:
        """Has nothing been asked for?"""
        return not self._effects

    def drain(self) -> Sequence[Effect]:
        """Hand over what has been asked for and start anew."""
        effects, self._effects = self._effects, []
        return effects

    def notify(self, to: NodeHandle, application: Application, body: bytes) -> None:
        """Send a one-way message at once."""
        self._effects.append(Send(to, pack(application, Form.NOTIFY, body)))

    def notify_when_durable(self, to: NodeHandle, application: Application, body: bytes) -> None:
        """Send a one-way message after the writes asked for so far."""
        self._effects.append(SendWhenDurable(to, pack(application, Form.NOTIFY, body)))

    def request(self, to: NodeHandle, application: Application, call_id: int, body: bytes) -> None:
        """Send a request at once; only `Calls` should need this."""
        self._effects.append(Send(to, pack(application, Form.REQUEST, body, call_id)))

    def reply(self, caller: Caller, body: bytes) -> None:
        """Answer a request at once."""
        message = pack(caller.application, Form.RESPONSE, body, caller.call_id)
        self._effects.append(Send(caller.node, message))

    def reply_when_durable(self, caller: Caller, body: bytes) -> None:
        """Answer a request after the writes asked for so far are on disk."""
        message = pack(caller.application, Form.RESPONSE, body, caller.call_id)
        self._effects.append(SendWhenDurable(caller.node, message))

    def refuse(self, caller: Caller, code: RefusalCode, text: str) -> None:
        """Answer a request with a refusal."""
        body = encode(Refusal(int(code), text))
        message = pack(caller.application, Form.REFUSAL, body, caller.call_id)
        self._effects.append(Send(caller.node, message))

    def set_timer(self, application: Application, name: str, delay_seconds: float) -> None:
        """Ask for `on_timer(name)` after a delay."""
        self._effects.append(SetTimer(application, name, delay_seconds))

    def load(self, application: Application, handle: Handle, purpose: object) -> None:
        """Ask for a block's body."""
        self._effects.append(Load(application, handle, purpose))

    def write(self, write: Write) -> None:
        """Ask for a write to the vault; durable before any later *WhenDurable effect."""
        self._effects.append(write)


class Machine(Protocol):
    """Answers other nodes: no clock, socket or randomness of its own, never waits."""

    def on_start(self, now: float) -> None:
        """The node starts (again); `now` is monotonic seconds, here and below."""

    def on_notify(self, sender: NodeHandle, body: bytes, now: float) -> None:
        """A one-way message arrived over an authenticated link."""

    def on_request(self, caller: Caller, body: bytes, now: float) -> None:
        """A request arrived; answer through the outbox, now or in a later turn."""

    def on_timer(self, name: str, now: float) -> None:
        """A timer that this machine set went off."""

    def on_loaded(self, purpose: object, body: bytes | None, now: float) -> None:
        """A load finished; None if the block is gone or damaged."""

    def on_unreachable(self, node: NodeId, now: float) -> None:
        """The transport gave up on a link to this node (one input of failure detection)."""
