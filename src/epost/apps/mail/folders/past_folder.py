"""What a folder held at a time: the fold of what all devices had logged by then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from epost.apps.mail.contents import content_of
from epost.apps.mail.log import fold
from epost.apps.mail.log.fold import FolderState
from epost.apps.mail.log.summary import LogSummary
from epost.apps.mail.mailbox import MailTime
from epost.foundation.errors import NoSuchMail
from epost.post.app_ids import AppId
from epost.post.logs.history import PastEntry

FOLDED_PER_SLICE = 50
NO_NUMBERS = 1 << 62
"""No record has this number: what was numbered then is of no matter."""


class Past(Protocol):
    """What was logged by a time (`post.history`)."""

    def until(self, app: AppId, at_ms: int) -> AsyncIterator[PastEntry]:
        """Yield an application's entries of all devices that were written by then."""
        ...


@dataclass(frozen=True, slots=True)
class PastMail:
    """A mail as it lay in the folder then."""

    email_id: str
    flags: frozenset[str]
    size: int
    date: MailTime


@dataclass(frozen=True, slots=True)
class PastFolder:
    """A folder as it was, its mails in the order in which they came.

    `undated` counts records of former versions, which do not say when they were written: they are
    taken to be older than the time that was asked for.
    """

    name: str
    mails: Sequence[PastMail]
    undated: int


async def folder_at(past: Past, name: str, at_ms: int) -> PastFolder:
    """Return what the folder of this name held at a time.

    Raises NoSuchMail if there was none of this name, and what keeps the logs from being read.
    """
    summary, undated, folded = LogSummary(bytes(16), NO_NUMBERS, content_of), 0, 0
    async for logged in past.until(AppId.MAIL, at_ms):
        summary.add(logged.sequence, bytes(32), logged.entry.payload)
        undated += not logged.at_ms
        folded += 1
        if folded % FOLDED_PER_SLICE == 0:
            await asyncio.sleep(0)
    folder = _named(summary, name)
    return PastFolder(name, _mails(summary, folder), undated)


def _named(summary: LogSummary, name: str) -> bytes:
    states: dict[bytes, FolderState] = {state.folder: state for state in fold.DEFAULT_FOLDERS}
    states.update((row.state.folder, row.state) for row in summary.folders() if row.state.name)
    known = fold.shown_names(state for state in states.values() if not state.is_deleted)
    wanted = next((known[shown] for shown in known if _same(shown, name)), None)
    if wanted is None:
        raise NoSuchMail(f"there was no folder {name!r} then")
    return wanted


def _same(shown: str, name: str) -> bool:
    return shown == name or (shown == "INBOX" and name.upper() == "INBOX")


def _mails(summary: LogSummary, folder: bytes) -> Sequence[PastMail]:
    mails = []
    for placement in summary.placed_in(folder):
        assert placement.email is not None, "it is alive"
        facts = summary.facts((placement.email,)).get(placement.email)
        if facts is not None:
            mails.append(
                PastMail(placement.email.hex(), placement.set_flags, facts.size, facts.date)
            )
    return mails
