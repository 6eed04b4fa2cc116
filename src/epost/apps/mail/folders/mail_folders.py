"""The folders of an account, as mail servers see them (`mailbox.AccountMail`; paper 4.4)."""

from __future__ import annotations

import asyncio
import unicodedata
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from weakref import WeakValueDictionary

from epost.apps.mail.chunks import in_chunks
from epost.apps.mail.folders.account_changes import AccountListener
from epost.apps.mail.folders.annotations import Annotations
from epost.apps.mail.folders.folder_rows import FolderRows
from epost.apps.mail.folders.open_folder import OpenFolder
from epost.apps.mail.folders.writing import MailWriter
from epost.apps.mail.index import ROWS_SLICE, MailIndex
from epost.apps.mail.log.fold import INBOX_ID, first_folder_id
from epost.apps.mail.log.journal import Journal
from epost.apps.mail.log.ledger import Ledger
from epost.apps.mail.log.records import (
    NAMES_PER_RECORD_MAX,
    CreateFolder,
    DeleteFolder,
    Expunge,
    Record,
    RenameFolder,
    Subscribe,
    UidValidity,
)
from epost.apps.mail.mailbox import (
    FOLDER_NAME_LENGTH_MAX,
    INBOX,
    SEPARATOR,
    FolderCounters,
    FolderInfo,
    SpecialUse,
)
from epost.foundation.errors import FolderExists, NoSuchFolder, NotPermitted, RefusedError
from epost.foundation.ports import Entropy

FOLDERS_MAX = 10_000
SUBSCRIPTIONS_MAX = 20_000
SPECIAL_USE_NOTE = "/private/specialuse"
"""The note that tells what a folder is for (RFC 6154 section 4)."""
FOLDERS_KEPT_OPEN = 4
"""So many folders stay in memory when the last session has left them."""


class MailFolders:
    """Lists, opens and administers folders."""

    def __init__(
        self,
        *,
        index: MailIndex,
        ledger: Ledger,
        journal: Journal,
        writer: MailWriter,
        entropy: Entropy,
        make_folder: Callable[[FolderRows], OpenFolder],
        next_uid_validity: Callable[[], int],
    ) -> None:
        self._index = index
        self._ledger = ledger
        self._journal = journal
        self._writer = writer
        self._entropy = entropy
        self._make_folder = make_folder
        self._next_uid_validity = next_uid_validity
        self._annotations = Annotations(ledger, journal)
        self._opening = asyncio.Lock()
        self._open: WeakValueDictionary[bytes, OpenFolder] = WeakValueDictionary()
        self._kept: deque[OpenFolder] = deque(maxlen=FOLDERS_KEPT_OPEN)

    async def folders(self) -> Sequence[FolderInfo]:
        """Every folder, INBOX first, the others by name."""
        return [self._info(name, folder) for name, folder in self._ledger.names.items()]

    async def counters(self, name: str) -> FolderCounters:
        """Sums that the index keeps; raises NoSuchFolder."""
        folder = self._writer.folder_named(name)
        row = self._ledger.folders[folder]
        has_recent = row.recent_from < row.uid_next
        return FolderCounters(
            folder_id=folder.hex(),
            uid_validity=row.uid_validity,
            uid_next=row.uid_next,
            highest_modseq=row.highest_modseq,
            messages=row.messages,
            unseen=row.unseen,
            recent=self._index.count_from(folder, row.recent_from) if has_recent else 0,
            deleted=row.deleted,
            size=row.size,
        )

    async def open(self, name: str) -> OpenFolder:
        """Open a folder, read if nobody has it open; raises NoSuchFolder."""
        async with self._opening:
            folder = self._writer.folder_named(name)
            opened = self._open.get(folder)
            if opened is None or opened.is_gone:
                rows = FolderRows(folder)
                self._ledger.listen(folder, rows)
                await rows.load(self._index)
                opened = self._open[folder] = self._make_folder(rows)
            self._kept.append(opened)
            return opened

    async def subscriptions(self) -> frozenset[str]:
        """Subscribed names, also of folders that no longer exist."""
        entries = self._ledger.subscriptions.values()
        return frozenset(entry.name for entry in entries if entry.is_subscribed)

    async def set_subscribed(self, name: str, subscribed: bool) -> None:
        """Subscribe a name or not; raises RefusedError for no name or too many."""
        name = _checked(name)
        known = self._ledger.subscriptions.get(name)
        if (known is not None and known.is_subscribed) == subscribed:
            return
        if known is None and len(self._ledger.subscriptions) >= SUBSCRIPTIONS_MAX:
            raise RefusedError("too many subscriptions")
        async with self._journal.turn:
            record = Subscribe(self._journal.stamp(), name, subscribed)
            written = await self._journal.write([record])
        await written.durable()

    async def annotations(self, name: str | None) -> Mapping[str, bytes]:
        """Notes about a folder, or about the account (None); raises NoSuchFolder."""
        if name is None:
            return self._annotations.of(b"")
        folder = self._writer.folder_named(name)
        use = self._ledger.folders[folder].state.special_use
        shown = {SPECIAL_USE_NOTE: use.encode("ascii")} if _special_use(use) else {}
        return {**self._annotations.of(folder), **shown}

    async def annotate(self, name: str | None, changes: Mapping[str, bytes | None]) -> None:
        """Write and remove (None) notes; raises NoSuchFolder, QuotaExceeded, RefusedError."""
        if SPECIAL_USE_NOTE in changes:
            raise RefusedError("what a folder is for is said when it is made")
        folder = b"" if name is None else self._writer.folder_named(name)
        await self._annotations.change(folder, changes)

    def follow(self, listener: AccountListener) -> Callable[[], None]:
        """Call `listener` on every change in any folder until the returned function is called."""
        return self._ledger.followers.add(listener)

    async def create(self, name: str, special_use: SpecialUse | None = None) -> FolderInfo:
        """Make a folder; raises FolderExists, RefusedError."""
        name = _checked(name)
        async with self._journal.turn:
            self._require_free(name)
            folder, records = self._creation(name, special_use)
            written = await self._journal.write(records)
        await written.durable()
        return FolderInfo(name, folder.hex(), special_use)

    async def delete(self, name: str) -> None:
        """Remove a folder and its mail; raises NoSuchFolder, NotPermitted for INBOX."""
        async with self._journal.turn:
            folder = self._writer.folder_named(name)
            if folder == INBOX_ID:
                raise NotPermitted("INBOX cannot be removed")
            places = await self._places_in(folder)
            expunge = [Expunge(some) for some in in_chunks(places, NAMES_PER_RECORD_MAX)]
            written = await self._journal.write([*expunge, DeleteFolder(folder)])
        await written.durable()

    async def rename(self, name: str, new_name: str) -> None:
        """Rename a folder and those below it; INBOX gives its mail to a new folder instead."""
        new_name = _checked(new_name)
        async with self._journal.turn:
            self._require_free(new_name)
            if name == INBOX:
                target, records = self._creation(new_name, None)
                records += self._writer.moves(await self._places_in(INBOX_ID), target)
            else:
                records = self._renames(name, new_name)
            written = await self._journal.write(records)
        await written.durable()

    def _creation(self, name: str, special_use: SpecialUse | None) -> tuple[bytes, list[Record]]:
        if len(self._ledger.folders) >= FOLDERS_MAX:
            raise RefusedError(f"more than {FOLDERS_MAX} folders")
        folder = first_folder_id(name)
        if folder in self._ledger.folders:  # there was one of this name, and clients may know it
            folder = self._entropy.token(16)
        stamp = self._journal.stamp()
        return folder, [
            CreateFolder(stamp, folder, name, special_use or ""),
            UidValidity(folder, self._next_uid_validity()),
        ]

    def _renames(self, name: str, new_name: str) -> list[Record]:
        """A name that only those below it imply is listed, so it can be renamed like any other."""
        below = name + SEPARATOR
        moving = {
            old: new_name + old[len(name) :]
            for old in self._ledger.names
            if old == name or old.startswith(below)
        }
        if not moving:
            raise NoSuchFolder(name)
        for new in moving.values():
            if _checked(new) not in moving:
                self._require_free(new)
        stamp = self._journal.stamp
        return [RenameFolder(stamp(), self._ledger.names[old], new) for old, new in moving.items()]

    async def _places_in(self, folder: bytes) -> list[bytes]:
        """Return the names of all places in a folder, by UID."""
        names: list[bytes] = []
        after = 0
        while placed := self._index.folder_rows(folder, after, ROWS_SLICE):
            names += (mail.placement.name for mail in placed)
            after = placed[-1].placement.uid
            await asyncio.sleep(0)
        return names

    def _require_free(self, name: str) -> None:
        if name in self._ledger.names:
            raise FolderExists(name)

    def _info(self, name: str, folder: bytes) -> FolderInfo:
        use = self._ledger.folders[folder].state.special_use
        return FolderInfo(name, folder.hex(), _special_use(use))


def _special_use(use: str) -> SpecialUse | None:
    try:
        return SpecialUse(use)
    except ValueError:  # none, or one that only a later version of this program knows
        return None


def _checked(name: str) -> str:
    """Return a folder's name in normal form; raises RefusedError if it cannot be one."""
    name = unicodedata.normalize("NFC", name)
    levels = name.split(SEPARATOR)
    if not all(levels) or len(name) > FOLDER_NAME_LENGTH_MAX:
        raise RefusedError("a folder's name is empty, has an empty level or is too long")
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in name):
        raise RefusedError("a folder's name has control characters")
    if name != INBOX and levels[0].upper() == INBOX:
        levels[0] = INBOX
    return SEPARATOR.join(levels)
