"""Changing the mails of a folder: from what a client asks for to records in the log."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from epost.apps.mail.chunks import in_chunks
from epost.apps.mail.delivery.notice import INLINE_BYTES_MAX
from epost.apps.mail.folders.folder_rows import FolderRows
from epost.apps.mail.index import SLICE, MailIndex
from epost.apps.mail.log.journal import Journal, Written
from epost.apps.mail.log.ledger import Ledger
from epost.apps.mail.log.records import (
    FIRST,
    FLAG_LENGTH_MAX,
    NAMES_PER_RECORD_MAX,
    ChangeFlags,
    CopiedMail,
    Copy,
    Expunge,
    Inline,
    Insert,
    Move,
    Record,
    Save,
    Stamp,
    Stored,
)
from epost.apps.mail.mail_store import MailStore
from epost.apps.mail.mailbox import (
    DELETED,
    MAIL_SIZE_BYTES_MAX,
    AppendOutcome,
    CopyOutcome,
    Durability,
    FlagChange,
    FlagsOutcome,
    MailTime,
    MessageRow,
    NewMail,
    Replaced,
)
from epost.apps.mail.mime.headers import HEADER_BYTES_READ_MAX
from epost.apps.mail.ports import Offload
from epost.apps.mail.renditions.rendition import read_mail
from epost.foundation.errors import MessageTooLarge, NoSuchFolder, RefusedError
from epost.foundation.ports import Clock, Entropy
from epost.past.durability import Durability as Machines

LONG_HEADER_BYTES_MAX = 64 * 1024 * 1024
"""Headers are read in memory: in mails larger than this they must be of ordinary length."""
COPIED_BYTES_MAX = 48 * 1024
"""Encoded size of the mails of one Copy record, about."""


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A mail ready to be logged, and how safe its parts are (None: they are in the record)."""

    record: Insert
    machines: Machines | None


class _Change:
    """What is to be done to flags; for REPLACE, `remove` grows with the mails that have more."""

    def __init__(self, kind: FlagChange, flags: frozenset[str]) -> None:
        self._kind = kind
        self._flags = flags
        self.add = frozenset[str]() if kind is FlagChange.REMOVE else flags
        self.remove = flags if kind is FlagChange.REMOVE else frozenset[str]()

    def takes(self, row: MessageRow) -> bool:
        """Would it change this mail?"""
        match self._kind:
            case FlagChange.ADD:
                return not self._flags <= row.flags
            case FlagChange.REMOVE:
                return bool(self._flags & row.flags)
            case FlagChange.REPLACE:
                self.remove |= row.flags - self._flags
                return row.flags != self._flags


class MailWriter:
    """Changes mails for all open folders of an account."""

    def __init__(
        self,
        *,
        index: MailIndex,
        ledger: Ledger,
        journal: Journal,
        store: MailStore,
        offload: Offload,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._index = index
        self._ledger = ledger
        self._journal = journal
        self._store = store
        self._offload = offload
        self._clock = clock
        self._entropy = entropy

    async def append(
        self, rows: FolderRows, mails: Sequence[NewMail], replaced: Replaced | None = None
    ) -> AppendOutcome:
        """Add mails that a client brings; all or none. One that they replace goes with it."""
        for mail in mails:
            _require_fitting(mail, rows)
        prepared: list[_Prepared] = []
        for mail in mails:
            prepared.append(await self._prepare(rows, mail))
            if len(mails) > 1:
                await asyncio.sleep(0)
        records: list[Record] = [mail.record for mail in prepared]
        records += self._saves([mail.record.email for mail in prepared], rows.folder, FIRST)
        if replaced is not None:
            records += self._expunges(replaced)
        written = await self._journal.write(records)
        machines = await written.durable()
        stored = [mail.machines for mail in prepared if mail.machines is not None]
        return AppendOutcome(
            uid_validity=self._ledger.folders[rows.folder].uid_validity,
            uids=await self._uids_of([mail.record.email for mail in prepared]),
            durability=promise(machines.combine(*stored)),
        )

    def _saves(self, places: Sequence[bytes], folder: bytes, since: Stamp) -> Iterator[Record]:
        """Note when mails came to a folder."""
        seconds = self._clock.wall_ms() // 1000
        for some in in_chunks(places, NAMES_PER_RECORD_MAX):
            yield Save(folder, since, seconds, some)

    def _expunges(self, replaced: Replaced) -> Iterator[Record]:
        """Remove a message, if it is still there."""
        folder = bytes.fromhex(replaced.folder_id)
        for placed in self._index.folder_rows(folder, replaced.uid - 1, 1):
            if placed.placement.uid == replaced.uid:
                yield Expunge((placed.placement.name,))

    async def _prepare(self, rows: FolderRows, mail: NewMail) -> _Prepared:
        octets, email = mail.octets, self._entropy.token(16)
        structure, rendition = await read_mail(octets, self._offload)
        if len(structure.header) > HEADER_BYTES_READ_MAX and len(octets) > LONG_HEADER_BYTES_MAX:
            raise RefusedError("a header this long in a mail this large")
        content: Inline | Stored = Inline(octets[:INLINE_BYTES_MAX])
        machines = None
        if len(octets) > INLINE_BYTES_MAX:
            put = await self._store.put(octets, structure)
            content, machines = put.content, put.durability
        self._ledger.prepare(email, rendition)
        date = mail.internal_date or MailTime(self._clock.wall_ms() // 1000)
        flags = tuple(sorted(rows.spelled(mail.flags)))
        record = Insert(
            email, rows.folder, flags, date.seconds, date.zone_minutes, len(octets), content
        )
        return _Prepared(record, machines)

    async def change_flags(
        self,
        rows: FolderRows,
        uids: Sequence[int],
        change_kind: FlagChange,
        flags: frozenset[str],
        unchanged_since: int | None,
    ) -> FlagsOutcome:
        """Add, remove or replace flags of those mails that did not change since."""
        if change_kind is not FlagChange.REMOVE:
            _require_flags(flags, rows)
        change = _Change(change_kind, rows.spelled(flags))
        failed: list[int] = []
        passed: list[int] = []
        differing: list[bytes] = []
        async with self._journal.turn:
            async for present in rows.in_slices(uids):
                for row in present:
                    if unchanged_since is not None and row.modseq > unchanged_since:
                        failed.append(row.uid)
                        continue
                    passed.append(row.uid)
                    if change.takes(row):
                        differing.append(rows.placement(row.uid))
            written = await self._write_change(differing, change)
        if written is not None:
            await written.durable()
        changed = [row async for some in rows.in_slices(passed) for row in some]
        return FlagsOutcome(changed, failed)

    async def _write_change(self, names: Sequence[bytes], change: _Change) -> Written | None:
        if not names:
            return None
        add, remove = tuple(sorted(change.add)), tuple(sorted(change.remove))
        return await self._journal.write(
            [
                ChangeFlags(self._journal.stamp(), some, add, remove)
                for some in in_chunks(names, NAMES_PER_RECORD_MAX)
            ]
        )

    async def expunge(self, rows: FolderRows, uids: Sequence[int] | None) -> list[int]:
        r"""Remove those of `uids`, or of all, that carry \Deleted."""
        doomed: list[int] = []
        names: list[bytes] = []
        async with self._journal.turn:
            async for present in rows.in_slices(rows.uids() if uids is None else uids):
                marked = [row.uid for row in present if DELETED in row.flags]
                doomed += marked
                names += map(rows.placement, marked)
            if not doomed:
                return []
            chunks = in_chunks(names, NAMES_PER_RECORD_MAX)
            written = await self._journal.write([Expunge(some) for some in chunks])
        await written.durable()
        return doomed

    async def copy(self, rows: FolderRows, uids: Sequence[int], target: str) -> CopyOutcome:
        """Copy mails with flags and internal date."""
        sources: list[int] = []
        copies: list[CopiedMail] = []
        async with self._journal.turn:
            folder = self.folder_named(target)
            async for present in rows.in_slices(uids):
                sources += (row.uid for row in present)
                copies += map(self._copy_of, present)
            if not copies:
                return CopyOutcome(self._ledger.folders[folder].uid_validity, ())
            records: list[Record] = [Copy(some, folder) for some in _by_size(copies)]
            records += self._saves([copy.placement for copy in copies], folder, FIRST)
            written = await self._journal.write(records)
        numbers = await self._uids_of([copy.placement for copy in copies])
        await written.durable()
        return self._outcome(folder, sources, numbers)

    def _copy_of(self, row: MessageRow) -> CopiedMail:
        email, name = bytes.fromhex(row.email_id), self._entropy.token(16)
        return CopiedMail(email, name, tuple(sorted(row.flags)))

    async def move(self, rows: FolderRows, uids: Sequence[int], target: str) -> CopyOutcome:
        """Move mails: each slice of them is gone here and there at the same moment."""
        sources: list[int] = []
        names: list[bytes] = []
        async with self._journal.turn:
            folder = self.folder_named(target)
            async for present in rows.in_slices(uids):
                here = [row.uid for row in present]
                sources += here
                names += map(rows.placement, here)
            if not names:
                return CopyOutcome(self._ledger.folders[folder].uid_validity, ())
            written = await self._journal.write(self.moves(names, folder))
        numbers = await self._uids_of(names)
        await written.durable()
        return self._outcome(folder, sources, numbers)

    def moves(self, placements: Sequence[bytes], folder: bytes) -> list[Record]:
        """Return the records that move these places."""
        records: list[Record] = []
        for some in in_chunks(placements, NAMES_PER_RECORD_MAX):
            move = Move(self._journal.stamp(), some, folder)
            records += [move, *self._saves(some, folder, move.stamp)]
        return records

    def folder_named(self, name: str) -> bytes:
        """Return the id of a folder; raises NoSuchFolder."""
        folder = self._ledger.names.get(name)
        if folder is None:
            raise NoSuchFolder(name)
        return folder

    def _outcome(
        self, folder: bytes, sources: Sequence[int], numbers: Sequence[int]
    ) -> CopyOutcome:
        pairs = zip(sources, numbers, strict=True)
        # A mail that another device removed meanwhile has no number and is left out.
        shown = [(source, number) for source, number in pairs if number]
        return CopyOutcome(self._ledger.folders[folder].uid_validity, shown)

    async def _uids_of(self, names: Sequence[bytes]) -> list[int]:
        """Return the present UIDs of places, 0 for those that are gone."""
        uids: list[int] = []
        for some in in_chunks(names, SLICE):
            known = self._index.placements(some)
            uids += (known[name][0].uid for name in some)
            if len(names) > SLICE:
                await asyncio.sleep(0)
        return uids


def promise(machines: Machines) -> Durability:
    """Return the word for it that mail clients get to see."""
    return Durability.RING_DURABLE if machines.ring_durable else Durability.HELD_LOCALLY


def _require_fitting(mail: NewMail, rows: FolderRows) -> None:
    if len(mail.octets) > MAIL_SIZE_BYTES_MAX:
        raise MessageTooLarge(f"{len(mail.octets)} bytes, at most {MAIL_SIZE_BYTES_MAX}")
    _require_flags(mail.flags, rows)


def _require_flags(flags: frozenset[str], rows: FolderRows) -> None:
    if not rows.may_have(flags):
        raise RefusedError("too many different keywords in this folder")
    if any(len(flag) > FLAG_LENGTH_MAX for flag in flags):
        raise RefusedError(f"a keyword of more than {FLAG_LENGTH_MAX} characters")


def _by_size(copies: Sequence[CopiedMail]) -> Iterator[tuple[CopiedMail, ...]]:
    """Cut copies into lists that fit into a record each, however many keywords they have."""
    some: list[CopiedMail] = []
    size = 0
    for copy in copies:
        copy_size = 48 + sum(len(flag) + 2 for flag in copy.flags)
        if len(some) == NAMES_PER_RECORD_MAX or (some and size + copy_size > COPIED_BYTES_MAX):
            yield tuple(some)
            some, size = [], 0
        some.append(copy)
        size += copy_size
    yield tuple(some)
