"""What an application gets to see of notifications, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from epost.post.logs.entries import Entry


@dataclass(frozen=True, slots=True)
class Notification:
    """A verified notification; `sent_at_ms` is by the sender's clock.

    `signed` is the sender's signed notice with her certificates: to be kept verbatim, it proves to
    others what she wrote. `is_vouched` is False if the sending device was revoked since: what a
    thief sent cannot be told from what she sent.
    """

    id: bytes
    sender_name: str
    sender_account: bytes
    sent_at_ms: int
    app: int
    content: bytes
    signed: bytes
    is_vouched: bool = True


Tell = Callable[[], None]


def _at_once(tell: Tell) -> None:
    tell()


@dataclass(frozen=True, slots=True)
class Accepted:
    """These entries go to the device log before the sender hears of it.

    `tag` is the application's name for it, by which it says later that it was read; or empty.
    `when_shown` is given, once they are in the log, what to call when its user can see them.
    """

    entries: Sequence[Entry]
    tag: bytes = b""
    when_shown: Callable[[Tell], None] = field(default=_at_once, compare=False)


@dataclass(frozen=True, slots=True)
class Refused:
    """Not wanted, for ever; the sender is told so, not why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Deferred:
    """Cannot be judged now; it will be offered again."""


Answer = Accepted | Refused | Deferred


@dataclass(frozen=True, slots=True)
class Dispatched:
    """One notice of ours, when something is to be told of it.

    `memo` is what the application gave with it; `reason` is for people. `receipt` is the block that
    the recipient's device signed, verified; empty as long as there is none.
    """

    message_key: bytes
    content: bytes
    recipient: str
    sent_at_ms: int = 0
    memo: bytes = b""
    reason: str = ""
    receipt: bytes = b""


class NotificationHandler(Protocol):
    """An application, as notifications see it."""

    async def accept(self, notification: Notification) -> Answer:
        """Judge a notification; called once for each, but for crashes before the answer is safe."""
        ...

    async def delivered(self, notice: Dispatched) -> Sequence[Entry]:
        """Return what to log because a notice arrived; asked only if it has a memo."""
        ...

    async def undeliverable(self, notice: Dispatched) -> Sequence[Entry]:
        """Return what to log (a bounce) because a notice was given up."""
        ...

    async def delayed(self, notice: Dispatched) -> Sequence[Entry]:
        """Return what to log because a notice has not arrived yet; it is offered again."""
        ...
