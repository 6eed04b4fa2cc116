"""What the mail application needs of the POST services, as it sees them."""

from __future__ import annotations

import asyncio
from collections.abc import (
    AsyncIterator,
    Callable,
    Coroutine,
    Generator,
    Iterable,
    Iterator,
    Sequence,
)
from typing import Any, Protocol, TypeVar

from epost.apps.mail.attached.kinds import FileKind
from epost.crypto.certificates import AccountCert
from epost.past.durability import Durability
from epost.post.accounts.contacts import Contact
from epost.post.app_ids import AppId
from epost.post.logs.entries import Entry
from epost.post.logs.snapshot_format import Page

T = TypeVar("T")


RunStory = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]
"""Runs what goes on in the background; whoever gives it hears of bugs in there."""


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


class Appending(Protocol):
    """An append that is under way: a future."""

    def add_done_callback(self, fn: Callable[[asyncio.Future[Any]], object], /) -> None:
        """Call `fn` when it is as durable as can be said, or has failed."""

    def __await__(self) -> Generator[Any, None, Appended]: ...


class DeviceLog(Protocol):
    """This device's log (paper 3.4)."""

    def submit(self, entries: Sequence[Entry]) -> Appending:
        """Append; listeners hear of it when it is locally durable, the caller when it is more.

        Raises at once if nothing is appended; what stands in the way later, the future tells.
        """
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


class LogSnapshot(Protocol):
    """What stands for the older records of a log (paper 3.4)."""

    @property
    def covered(self) -> int:
        """The last record that it sums up."""
        ...

    def pages(self, group: bytes | None = None) -> AsyncIterator[Page]:
        """Yield its pages, or those of one group; raises what keeps them from being read."""
        ...


class SnapshotTaker(Protocol):
    """Whoever takes a snapshot in place of records."""

    async def take_snapshot(self, origin: Origin, after: int, snapshot: LogSnapshot) -> None:
        """Take all of it; returns when that is durable."""


class Siblings(Protocol):
    """The logs of the account's other devices (design 6)."""

    def register(self, app: AppId, follower: Follower) -> None:
        """Bring a follower what those devices logged and it does not have, from now on."""

    def take_snapshots(self, app: AppId, taker: SnapshotTaker) -> None:
        """Bring it snapshots of those logs as well, where they spare work."""


class Summary(Protocol):
    """What the records of one log come to."""

    @property
    def rows(self) -> int:
        """How much it holds."""
        ...

    def load(self, page: Page) -> None:
        """Take in a page of the snapshot before."""

    def add(self, sequence: int, cluster: bytes, payload: bytes) -> None:
        """Take in the next record, and which cluster it stands in."""

    def pages(self) -> Iterator[Page]:
        """Yield everything."""
        ...

    def said(self) -> Iterator[bytes]:
        """Yield everything in an order that does not depend on pages."""
        ...


class LogSnapshots(Protocol):
    """Snapshots of this device's log, and single records of any of the account's logs."""

    def register(self, app: AppId, begin: Callable[[], Summary | None]) -> None:
        """Make snapshots from now on, of what `begin` begins."""

    async def newest(self, app: AppId) -> LogSnapshot | None:
        """Return the newest one; raises what keeps it from being read."""
        ...

    async def entry(self, cluster: bytes, sequence: int) -> Entry:
        """Return a record; raises what keeps it from being read."""
        ...


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


class ReadFile(Protocol):
    """Reads attached files for their text, where a hostile one does no harm."""

    async def __call__(self, kind: FileKind, octets: bytes) -> str:
        """Return the text, as far as it could be read; empty if there is none.

        Takes seconds at most. Raises UnavailableError if no file can be read at present.
        """
        ...


async def read_nothing(kind: FileKind, octets: bytes) -> str:
    """Say that no file has a text."""
    return ""


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


class Reading(Protocol):
    """Tells senders that their mails were read, if the user wishes."""

    @property
    def are_awaited(self) -> bool:
        """Is there any mail whose reading is to be told?"""
        ...

    def read(self, tags: Iterable[bytes]) -> None:
        """These were read, by the tags given when they were accepted."""


class Names(Protocol):
    """Who may use which names."""

    @property
    def me(self) -> AccountCert:
        """This account, as certified."""
        ...

    async def resolve(self, name: str) -> Contact:
        """Return who a name is; raises NoSuchUser, UnavailableError, RefusedError."""
        ...

    def remembered(self, name: str) -> Contact | None:
        """Return what was looked up of a canonical name lately, without asking anybody."""
        ...

    async def present(self, contact: Contact) -> Contact:
        """Return who has a former name under the present one; raises as `resolve`."""
        ...
