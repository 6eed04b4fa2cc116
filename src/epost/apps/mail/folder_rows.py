"""The rows of one open folder in memory: what a mail server lists without reading any mail."""

from __future__ import annotations

import asyncio
from array import array
from bisect import bisect_left
from collections.abc import AsyncIterator, Callable, Iterable, Sequence

from epost.apps.mail.difference import FolderChange
from epost.apps.mail.folding import UID_MAX
from epost.apps.mail.index import ROWS_SLICE, PlacedMail, ViewIndex
from epost.apps.mail.mailbox import (
    KEYWORDS_PER_FOLDER_MAX,
    Appended,
    ChangeListener,
    Expunged,
    FlagsChanged,
    FolderGone,
    MessageRow,
)
from epost.apps.mail.mailbox import FolderChange as Announced


class FolderRows:
    """One folder's rows by UID, kept up to date by the ledger; listeners hear what changes."""

    def __init__(self, folder: bytes) -> None:
        self.folder = folder
        self.is_gone = False
        self._rows: dict[int, MessageRow] = {}
        self._placements: dict[int, bytes] = {}
        self._uids = array("I")
        self._keywords: dict[str, str] = {}
        self._flag_sets: dict[frozenset[str], frozenset[str]] = {}
        self._listeners: list[ChangeListener] = []
        self._loaded_to = 0

    async def load(self, index: ViewIndex) -> None:
        """Read all rows, some at a time; changes meanwhile are taken in as they come."""
        while self._loaded_to < UID_MAX:
            placed = index.folder_rows(self.folder, self._loaded_to, ROWS_SLICE)
            for mail in placed:
                self._add(mail)
            is_last = len(placed) < ROWS_SLICE
            self._loaded_to = UID_MAX if is_last else placed[-1].placement.uid
            await asyncio.sleep(0)

    # Reading.

    @property
    def keywords(self) -> tuple[str, ...]:
        """Keywords in the spelling and order in which they were first seen here."""
        return tuple(self._keywords.values())

    def uids(self) -> array[int]:
        """All uids, ascending: a copy."""
        return self._uids[:]

    def row(self, uid: int) -> MessageRow | None:
        """Return a row, None if the mail is gone."""
        return self._rows.get(uid)

    def rows(self, uids: Iterable[int]) -> list[MessageRow]:
        """Return the rows of those mails that are there."""
        return [self._rows[uid] for uid in uids if uid in self._rows]

    async def in_slices(self, uids: Sequence[int]) -> AsyncIterator[list[MessageRow]]:
        """Yield the rows of those mails that are there, some between two turns of the loop."""
        for start in range(0, len(uids), ROWS_SLICE):
            yield self.rows(uids[start : start + ROWS_SLICE])
            if start + ROWS_SLICE < len(uids):
                await asyncio.sleep(0)

    def placement(self, uid: int) -> bytes:
        """Return the name of the place of a mail that is there."""
        return self._placements[uid]

    def spelled(self, flags: Iterable[str]) -> frozenset[str]:
        """Return flags in the spelling that is in use here (keywords are equal without case)."""
        return frozenset(self._keywords.get(flag.lower(), flag) for flag in flags)

    def may_have(self, flags: Iterable[str]) -> bool:
        """Would the folder with these flags keep within the limit of keywords?"""
        new = {flag.lower() for flag in flags if not flag.startswith("\\")} - self._keywords.keys()
        return len(self._keywords) + len(new) <= KEYWORDS_PER_FOLDER_MAX

    # Changing.

    def subscribe(self, listener: ChangeListener) -> Callable[[], None]:
        """Call a listener on every change until the returned function is called."""
        self._listeners.append(listener)

        def unsubscribe() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return unsubscribe

    def on_change(self, change: FolderChange, modseq: int) -> None:
        """Take in what the index has already; what is not loaded yet is read with the rest."""
        expunged = [uid for uid in change.expunged if uid in self._rows]
        appended = [mail for mail in change.appended if mail.placement.uid <= self._loaded_to]
        changed = [mail for mail in change.changed if mail.placement.uid in self._rows]
        self._remove(expunged)
        for mail in appended:
            self._add(mail)
        rows = [self._put(mail) for mail in changed]
        if expunged:
            self._announce(Expunged(expunged, modseq))
        if appended:
            self._announce(Appended([mail.placement.uid for mail in appended]))
        if rows:
            self._announce(FlagsChanged(rows))

    def on_rendered(self, mail: PlacedMail) -> None:
        """Take in when a mail was sent."""
        if mail.placement.uid in self._rows:
            self._put(mail)

    def on_gone(self) -> None:
        """The folder is no more, or its UIDs have lost their meaning."""
        self.is_gone = True
        self._announce(FolderGone())

    def _announce(self, change: Announced) -> None:
        for listener in tuple(self._listeners):
            listener(change)

    def _add(self, mail: PlacedMail) -> None:
        uid = mail.placement.uid
        if uid not in self._rows:
            if not self._uids or uid > self._uids[-1]:
                self._uids.append(uid)
            else:  # only after a rebuild that lacked another device's log for a while
                self._uids.insert(bisect_left(self._uids, uid), uid)
        self._placements[uid] = mail.placement.name
        self._put(mail)

    def _put(self, mail: PlacedMail) -> MessageRow:
        placement, facts = mail.placement, mail.facts
        row = MessageRow(
            uid=placement.uid,
            modseq=mail.modseq,
            flags=self._shown_flags(placement.set_flags),
            size=facts.size,
            internal_date=facts.date,
            email_id=facts.email.hex(),
            sent=facts.sent,
        )
        self._rows[row.uid] = row
        return row

    def _shown_flags(self, flags: frozenset[str]) -> frozenset[str]:
        """Return flags as they are spelled here; equal sets share one object."""
        if (known := self._flag_sets.get(flags)) is not None:
            return known
        shown: set[str] = set()
        for flag in sorted(flags):
            key = flag.lower()
            if flag.startswith("\\"):
                shown.add(flag)
            elif key in self._keywords or len(self._keywords) < KEYWORDS_PER_FOLDER_MAX:
                shown.add(self._keywords.setdefault(key, flag))
        return self._flag_sets.setdefault(flags, frozenset(shown))

    def _remove(self, uids: Sequence[int]) -> None:
        """Cut out uids, which ascend."""
        remaining = array("I")
        copied_to = 0
        for uid in uids:
            del self._rows[uid], self._placements[uid]
            place = bisect_left(self._uids, uid)
            remaining += self._uids[copied_to:place]
            copied_to = place + 1
        if uids:
            self._uids = remaining + self._uids[copied_to:]
