"""The rows of one open folder in memory: what a mail server lists without reading any mail."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import AsyncIterator, Callable, Iterable, Sequence

from epost.apps.mail.folders.row_table import RowTable
from epost.apps.mail.index import ROWS_SLICE, PlacedMail, RowColumns, ViewIndex
from epost.apps.mail.log.difference import FolderChange
from epost.apps.mail.log.folding import UID_MAX
from epost.apps.mail.mailbox import (
    KEYWORDS_PER_FOLDER_MAX,
    Appended,
    ChangeListener,
    Expunged,
    FlagsChanged,
    FolderGone,
    MessageColumns,
    MessageRow,
)
from epost.apps.mail.mailbox import FolderChange as Announced


class FolderRows:
    """One folder's rows by UID, kept up to date by the ledger; listeners hear what changes."""

    def __init__(self, folder: bytes) -> None:
        self.folder = folder
        self.is_gone = False
        self._flag_sets: list[frozenset[str]] = []
        self._table = RowTable(self._flag_sets)
        self._uids: array[int] | None = None
        self._keywords: dict[str, str] = {}
        self._shown: dict[frozenset[str], int] = {}
        self._set_places: dict[frozenset[str], int] = {}
        self._listeners: list[ChangeListener] = []
        self._loaded_to = 0

    async def load(self, index: ViewIndex) -> None:
        """Read all rows, some at a time; changes meanwhile are taken in as they come."""
        while self._loaded_to < UID_MAX:
            rows = index.folder_columns(self.folder, self._loaded_to, ROWS_SLICE)
            self._load(rows)
            is_last = len(rows.uids) < ROWS_SLICE
            self._loaded_to = UID_MAX if is_last else rows.uids[-1]
            await asyncio.sleep(0)

    def _load(self, rows: RowColumns) -> None:
        self._uids = None
        self._table.extend(rows, list(map(self._shown_flags, rows.flags)))

    # Reading.

    @property
    def keywords(self) -> tuple[str, ...]:
        """Keywords in the spelling and order in which they were first seen here."""
        return tuple(self._keywords.values())

    def uids(self) -> array[int]:
        """All uids, ascending: a copy that all callers share until mails come or go."""
        if self._uids is None:
            self._uids = self._table.uids[:]
        return self._uids

    def rows(self, uids: Sequence[int]) -> list[MessageRow]:
        """Return the rows of those mails that are there."""
        return self._table.rows(uids)

    def columns(self, uids: Sequence[int], *, facts: bool = True) -> MessageColumns:
        """Return the same by columns, `facts` only if wanted; `uids` ascend."""
        return self._table.columns(uids, facts=facts)

    def positions(self, uids: Sequence[int]) -> dict[int, int]:
        """Return the positions in the index of those mails that are there."""
        return self._table.positions(uids)

    def email(self, uid: int) -> bytes | None:
        """Return the id of a mail, None if it is gone."""
        place = self._table.place(uid)
        return None if place is None else self._table.email(place)

    def first_without(self, flag: str) -> int | None:
        """Return the lowest uid of a mail that does not carry a flag."""
        return self._table.first_of(lambda flags: flag not in flags)

    async def in_slices(self, uids: Sequence[int]) -> AsyncIterator[list[MessageRow]]:
        """Yield the rows of those mails that are there, some between two turns of the loop."""
        for start in range(0, len(uids), ROWS_SLICE):
            yield self.rows(uids[start : start + ROWS_SLICE])
            if start + ROWS_SLICE < len(uids):
                await asyncio.sleep(0)

    def placement(self, uid: int) -> bytes:
        """Return the name of the place of a mail that is there."""
        place = self._table.place(uid)
        assert place is not None
        return self._table.name(place)

    def placements(self, uids: Sequence[int]) -> dict[int, bytes]:
        """Return the names of the places of those mails that are there."""
        places = ((uid, self._table.place(uid)) for uid in uids)
        return {uid: self._table.name(place) for uid, place in places if place is not None}

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
        expunged = [uid for uid in change.expunged if self._has(uid)]
        appended = [mail for mail in change.appended if mail.placement.uid <= self._loaded_to]
        changed = [mail for mail in change.changed if self._has(mail.placement.uid)]
        if expunged or appended:
            self._uids = None
        if expunged:
            self._table.remove(expunged)
        for mail in appended:
            self._put(mail)
        self._table.change_flags(changed, self._all_shown_flags(changed))
        if expunged:
            self._announce(Expunged(expunged, modseq))
        if appended:
            self._announce(Appended([mail.placement.uid for mail in appended]))
        if changed:
            uids = [mail.placement.uid for mail in changed]
            self._announce(FlagsChanged(self.rows(uids)))

    def on_rendered(self, mail: PlacedMail) -> None:
        """Take in when a mail was sent."""
        if self._has(mail.placement.uid):
            self._put(mail)

    def on_gone(self) -> None:
        """The folder is no more, or its UIDs have lost their meaning."""
        self.is_gone = True
        self._announce(FolderGone())

    def _announce(self, change: Announced) -> None:
        for listener in tuple(self._listeners):
            listener(change)

    def _has(self, uid: int) -> bool:
        return self._table.place(uid) is not None

    def _put(self, mail: PlacedMail) -> None:
        self._table.put(mail, self._shown_flags(mail.placement.set_flags))

    def _all_shown_flags(self, mails: Sequence[PlacedMail]) -> list[int]:
        return [self._shown_flags(mail.placement.set_flags) for mail in mails]

    def _shown_flags(self, flags: frozenset[str]) -> int:
        """Return the place among the sets of these flags as they are spelled here."""
        if (known := self._shown.get(flags)) is not None:
            return known
        shown: set[str] = set()
        for flag in sorted(flags):
            key = flag.lower()
            if flag.startswith("\\"):
                shown.add(flag)
            elif key in self._keywords or len(self._keywords) < KEYWORDS_PER_FOLDER_MAX:
                shown.add(self._keywords.setdefault(key, flag))
        place = self._set_places.setdefault(frozenset(shown), len(self._flag_sets))
        if place == len(self._flag_sets):
            self._flag_sets.append(frozenset(shown))
        self._shown[flags] = place
        return place
