"""Changing the mails of a folder: from what a client asks for to records in the log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from epost.apps.mail.folder_rows import FolderRows
from epost.apps.mail.index import SLICE, MailIndex
from epost.apps.mail.journal import Journal, in_chunks
from epost.apps.mail.ledger import Ledger
from epost.apps.mail.mail_store import OFFLOAD_BYTES_MIN, MailStore
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
)
from epost.apps.mail.mime.structure import parse_structure
from epost.apps.mail.notice import INLINE_BYTES_MAX
from epost.apps.mail.ports import Offload
from epost.apps.mail.records import (
    FLAG_LENGTH_MAX,
    NAMES_PER_RECORD_MAX,
    ChangeFlags,
    CopiedMail,
    Copy,
    Expunge,
    Inline,
    Insert,
    Move,
    Stored,
)
from epost.apps.mail.rendition import make_rendition
from epost.foundation.errors import MessageTooLarge, NoSuchFolder, RefusedError
from epost.foundation.ports import Clock, Entropy
from epost.past.durability import Durability as Machines

COPIED_BYTES_MAX = 48 * 1024
"""Encoded size of the mails of one Copy record, about."""


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A mail ready to be logged, and how safe its parts are (None: they are in the record)."""

    record: Insert
    machines: Machines | None


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

    async def append(self, rows: FolderRows, mails: Sequence[NewMail]) -> AppendOutcome:
        """Add mails that a client brings; all or none."""
        for mail in mails:
            _require_fitting(mail, rows)
        prepared = [await self._prepare(rows, mail) for mail in mails]
        written = await self._journal.write([mail.record for mail in prepared])
        machines = await written.durable()
        stored = [mail.machines for mail in prepared if mail.machines is not None]
        return AppendOutcome(
            uid_validity=self._ledger.folders[rows.folder].uid_validity,
            uids=self._uids_of([mail.record.email for mail in prepared]),
            durability=promise(machines.combine(*stored)),
        )

    async def _prepare(self, rows: FolderRows, mail: NewMail) -> _Prepared:
        octets, email = mail.octets, self._entropy.token(16)
        if len(octets) < OFFLOAD_BYTES_MIN:
            structure = parse_structure(octets)
            rendition = make_rendition(octets, structure)
        else:
            structure = await self._offload(lambda: parse_structure(octets))
            rendition = await self._offload(lambda: make_rendition(octets, structure))
        content: Inline | Stored = Inline(b"")
        machines = None
        if len(octets) > INLINE_BYTES_MAX:
            put = await self._store.put(octets, structure)
            content, machines = put.content, put.durability
        else:
            content = Inline(octets)
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
        change: FlagChange,
        flags: frozenset[str],
        unchanged_since: int | None,
    ) -> FlagsOutcome:
        """Add, remove or replace flags of those mails that did not change since."""
        if change is not FlagChange.REMOVE:
            _require_flags(flags, rows)
        flags = rows.spelled(flags)
        async with self._journal.turn:
            present = rows.rows(uids)
            failed = [
                row.uid
                for row in present
                if unchanged_since is not None and row.modseq > unchanged_since
            ]
            may_change = [row for row in present if row.uid not in frozenset(failed)]
            records = list(self._flag_records(rows, may_change, change, flags))
            written = await self._journal.write(records) if records else None
        if written is not None:
            await written.durable()
        return FlagsOutcome(rows.rows(row.uid for row in may_change), failed)

    def _flag_records(
        self,
        rows: FolderRows,
        present: Sequence[MessageRow],
        change: FlagChange,
        flags: frozenset[str],
    ) -> Iterator[ChangeFlags]:
        add = remove = frozenset[str]()
        if change is FlagChange.REMOVE:
            differing = [row for row in present if row.flags & flags]
            remove = flags
        elif change is FlagChange.ADD:
            differing = [row for row in present if not flags <= row.flags]
            add = flags
        else:
            differing = [row for row in present if row.flags != flags]
            add, remove = flags, frozenset[str]().union(*(row.flags for row in differing)) - flags
        for some in in_chunks(rows.placement(row.uid) for row in differing):
            yield ChangeFlags(
                self._journal.stamp(), some, tuple(sorted(add)), tuple(sorted(remove))
            )

    async def expunge(self, rows: FolderRows, uids: Sequence[int] | None) -> list[int]:
        r"""Remove those of `uids`, or of all, that carry \Deleted."""
        async with self._journal.turn:
            named = rows.all_rows() if uids is None else rows.rows(uids)
            doomed = sorted(row.uid for row in named if DELETED in row.flags)
            if not doomed:
                return []
            names = in_chunks(rows.placement(uid) for uid in doomed)
            written = await self._journal.write([Expunge(some) for some in names])
        await written.durable()
        return doomed

    async def copy(self, rows: FolderRows, uids: Sequence[int], target: str) -> CopyOutcome:
        """Copy mails with flags and internal date."""
        async with self._journal.turn:
            folder = self.folder_named(target)
            present = rows.rows(uids)
            copies = [
                CopiedMail(
                    bytes.fromhex(row.email_id), self._entropy.token(16), tuple(sorted(row.flags))
                )
                for row in present
            ]
            if not copies:
                return CopyOutcome(self._ledger.folders[folder].uid_validity, ())
            written = await self._journal.write([Copy(some, folder) for some in _by_size(copies)])
        numbers = self._uids_of([copy.placement for copy in copies])
        await written.durable()
        return self._outcome(folder, present, numbers)

    async def move(self, rows: FolderRows, uids: Sequence[int], target: str) -> CopyOutcome:
        """Move mails: each slice of them is gone here and there at the same moment."""
        async with self._journal.turn:
            folder = self.folder_named(target)
            present = rows.rows(uids)
            if not present:
                return CopyOutcome(self._ledger.folders[folder].uid_validity, ())
            names = [rows.placement(row.uid) for row in present]
            written = await self._journal.write(self.moves(names, folder))
        numbers = self._uids_of(names)
        await written.durable()
        return self._outcome(folder, present, numbers)

    def moves(self, placements: Sequence[bytes], folder: bytes) -> list[Move]:
        """Return the records that move these places."""
        return [Move(self._journal.stamp(), some, folder) for some in in_chunks(placements)]

    def folder_named(self, name: str) -> bytes:
        """Return the id of a folder; raises NoSuchFolder."""
        folder = self._ledger.names.get(name)
        if folder is None:
            raise NoSuchFolder(name)
        return folder

    def _outcome(
        self, folder: bytes, sources: Sequence[MessageRow], numbers: Sequence[int]
    ) -> CopyOutcome:
        pairs = zip((row.uid for row in sources), numbers, strict=True)
        # A mail that another device removed meanwhile has no number and is left out.
        shown = [(source, number) for source, number in pairs if number]
        return CopyOutcome(self._ledger.folders[folder].uid_validity, shown)

    def _uids_of(self, names: Sequence[bytes]) -> list[int]:
        """Return the present UIDs of places, 0 for those that are gone."""
        uids: list[int] = []
        for some in in_chunks(names, SLICE):
            known = self._index.placements(some)
            uids += (known[name][0].uid if name in known else 0 for name in some)
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
