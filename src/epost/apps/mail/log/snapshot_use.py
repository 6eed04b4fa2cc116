"""Snapshots of logs as mail uses them: begun, and taken into the index in place of records."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from epost.apps.mail.contents import content_of
from epost.apps.mail.log.ledger import Ledger
from epost.apps.mail.log.snapshot_rows import ACCOUNT_GROUP, MAIL_PAGE, AccountPage, MailPage
from epost.apps.mail.log.summary import LogSummary
from epost.apps.mail.ports import LogSnapshot, LogSnapshots, Origin
from epost.foundation.errors import (
    AuthenticityError,
    NotFoundError,
    PeerError,
    UnavailableError,
)
from epost.post.app_ids import AppId

PAGES_AT_ONCE = 4
"""Taken together they are one transaction, as a rule."""


@dataclass(frozen=True)
class OwnSnapshot:
    """A snapshot of this device's own log, and the counters that it had."""

    snapshot: LogSnapshot
    account: AccountPage

    @property
    def numbers(self) -> tuple[bytes, int]:
        """Under which incarnation the mails have their numbers, and from which record on."""
        return self.account.incarnation, self.account.numbered_from


class SnapshotUse:
    """What joins snapshots with the ledger."""

    def __init__(
        self, snapshots: LogSnapshots | None, ledger: Ledger, is_live: Callable[[], bool]
    ) -> None:
        """`is_live` says whether the index has all of this device's log."""
        self._snapshots = snapshots
        self._ledger = ledger
        self._is_live = is_live

    def start(self) -> None:
        """Have snapshots made from now on."""
        if self._snapshots is not None:
            self._snapshots.register(AppId.MAIL, self._begin)

    def _begin(self) -> LogSummary | None:
        state = self._ledger.state
        if not self._is_live() or not state.incarnation:
            return None
        return LogSummary(state.incarnation, state.numbered_from, content_of)

    async def own(self) -> OwnSnapshot | None:
        """Return the newest snapshot of the own log, None if there is none to be had."""
        if self._snapshots is None:
            return None
        try:
            snapshot = await self._snapshots.newest(AppId.MAIL)
            if snapshot is not None:
                async for page in snapshot.pages(ACCOUNT_GROUP):
                    account = MAIL_PAGE.decode(page.content)
                    if isinstance(account, AccountPage):
                        return OwnSnapshot(snapshot, account)
        except (AuthenticityError, NotFoundError, PeerError, UnavailableError):
            pass  # the log itself says it all
        return None

    async def take_own(self, own: OwnSnapshot) -> None:
        """Take all of it into the ledger; raises what keeps it from being read."""
        async for pages in _some_pages(own.snapshot):
            self._ledger.take_pages(pages)
            await self._ledger.apply_all()

    async def take_snapshot(self, origin: Origin, after: int, snapshot: LogSnapshot) -> None:
        """Take what another device's log comes to; returns when the index has it.

        Raises UnavailableError if this index does not go on there (any more), and what keeps the
        snapshot from being read: what was taken of it until then is true all the same.
        """
        device = origin.device
        if not self._is_live() or self._ledger.read_to(device) != after:
            raise UnavailableError("the index is made anew")
        async for pages in _some_pages(snapshot):
            await self._ledger.take_pages_of(device, pages)
        await self._ledger.take_of(device, [(snapshot.covered, None)])


async def _some_pages(snapshot: LogSnapshot) -> AsyncIterator[Sequence[MailPage]]:
    """Yield all pages, some at a time."""
    some: list[MailPage] = []
    async for page in snapshot.pages():
        some.append(MAIL_PAGE.decode(page.content))
        if len(some) == PAGES_AT_ONCE:
            yield some
            some = []
    if some:
        yield some
