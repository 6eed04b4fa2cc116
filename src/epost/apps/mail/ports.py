"""What the mail application needs of the POST services, as it sees them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Protocol, TypeVar

from epost.crypto.certificates import AccountCert
from epost.past.durability import Durability
from epost.post.accounts import Contact
from epost.post.app_ids import AppId
from epost.post.log_records import Entry

T = TypeVar("T")


class Origin(Protocol):
    """Who wrote a record."""

    @property
    def device(self) -> int:
        """The device's number."""
        ...

    @property
    def incarnation(self) -> bytes:
        """Which of that device's logs, one after the other, it stands in."""
        ...


LogListener = Callable[[int, Entry, Origin], None]


class Appended(Protocol):
    """What the log says about entries that it took."""

    @property
    def durability(self) -> Durability:
        """How safely they are stored."""
        ...


class DeviceLog(Protocol):
    """This device's log (paper 3.4)."""

    async def append(self, entries: Sequence[Entry]) -> Appended:
        """Append; listeners hear of it when it is locally durable, the caller when it is more."""
        ...

    def register(self, app: AppId, listener: LogListener) -> None:
        """Call `listener` for every further entry of an application, in the order of the log."""

    def replay(self, app: AppId, after_sequence: int) -> AsyncIterator[tuple[int, bytes]]:
        """Yield (sequence, payload) of this device's own log behind a sequence."""
        ...


class Follower(Protocol):
    """Whoever folds the records of all of the account's devices."""

    def read_to(self, device: int) -> int:
        """Return up to which sequence another device's log was taken."""
        ...

    async def take(self, origin: Origin, after: int, entries: Sequence[tuple[int, Entry]]) -> None:
        """Take the entries behind `after`; returns when that is durable."""


class Siblings(Protocol):
    """The logs of the account's other devices (design 6)."""

    def register(self, app: AppId, follower: Follower) -> None:
        """Bring a follower what those devices logged and it does not have, from now on."""


OFFLOAD_BYTES_MIN = 256 * 1024
"""Mails from this size on are read, cut and put together off the event loop."""


class Offload(Protocol):
    """Runs work that takes tens of milliseconds where it does not hold the event loop."""

    async def __call__(self, work: Callable[[], T]) -> T:
        """Return what `work` returns."""
        ...


async def in_the_loop(work: Callable[[], T]) -> T:
    """Run it here: for simulations, which know no threads."""
    return work()


async def work_on(size: int, work: Callable[[], T], offload: Offload) -> T:
    """Do what takes the longer the larger a mail is; `size` is in bytes."""
    return await offload(work) if size >= OFFLOAD_BYTES_MIN else work()


class Sent(Protocol):
    """What is promised for something sent."""

    @property
    def message_key(self) -> bytes:
        """What names it in the outbox and in a trace."""
        ...

    @property
    def durability(self) -> Durability:
        """How safely it is on its way."""
        ...


class Sending(Protocol):
    """Sends notifications (paper 3.3)."""

    async def send(
        self,
        app: AppId,
        content: bytes,
        recipients: Sequence[str],
        *,
        memo: bytes = b"",
        not_before_ms: int = 0,
    ) -> Sent:
        """Leave a notice for each recipient; returns when it is durable in the sense said.

        `memo` comes back with every report; before `not_before_ms` nothing leaves this machine.
        """
        ...


class Names(Protocol):
    """Who may use which names."""

    @property
    def me(self) -> AccountCert:
        """This account, as certified."""
        ...

    async def resolve(self, name: str) -> Contact:
        """Return who a name is; raises NoSuchUser, UnavailableError, RefusedError."""
        ...
