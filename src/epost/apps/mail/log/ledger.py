"""The ledger: carries what the log tells into the index, in order, and announces it.

Entries wait in a queue and are taken in slices of a few milliseconds; each slice is one
transaction of the index. Memory follows the index, never the other way round: if a transaction
fails, nothing has happened and the entries are tried again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol
from weakref import WeakValueDictionary

import msgspec

from epost.apps.mail.contents import OpenNotice
from epost.apps.mail.folders.account_changes import AccountReset
from epost.apps.mail.index import (
    VANISHED_KEPT_MAX,
    Batch,
    FolderRow,
    IndexState,
    MailIndex,
    PlacedMail,
    Rendition,
)
from epost.apps.mail.log import fold
from epost.apps.mail.log.difference import FolderChange, seen_mails
from epost.apps.mail.log.fold import Annotation, Subscription
from epost.apps.mail.log.folding import Folded, Folding, new_folder_row
from epost.apps.mail.log.followers import (
    Followers,
    changed_annotations,
    changed_messages,
    changed_subscriptions,
    renamings,
)
from epost.apps.mail.log.prepared import Making, Prepared
from epost.apps.mail.log.records import Record, decode_record
from epost.apps.mail.log.snapshot_rows import MailPage
from epost.apps.mail.log.waiting import LogEntry, WaitingEntries
from epost.apps.mail.observed import MailIndexStuck, MailRecordSkipped
from epost.apps.mail.ports import Reading
from epost.foundation.errors import EpostError, PeerError, UnavailableError
from epost.foundation.ports import Observer

MODSEQS_LEFT_MIN = 1 << 19
TURNS_LEFT_TO_OTHERS = 8
"""Of the loop, before an entry is taken in that nobody here waits for: what the ring and others are
to get about it leaves first, and more may come meanwhile."""


class Audience(Protocol):
    """Whoever has a folder open."""

    def on_change(self, change: FolderChange, modseq: int) -> None:
        """Mails came, changed or went; the index has it already."""

    def on_rendered(self, mail: PlacedMail) -> None:
        """It is known now when a mail was sent; nobody needs to be told."""

    def on_gone(self) -> None:
        """The folder is no more."""


class Ledger:
    """The folders of one account as this device has them."""

    def __init__(
        self,
        index: MailIndex,
        *,
        open_notice: OpenNotice,
        observer: Observer,
        reading: Reading | None = None,
    ) -> None:
        """`reading` is told of mails that get the flag \\Seen, whichever device sets it."""
        self._reading = reading
        self._index = index
        self._open_notice = open_notice
        self._observer = observer
        self._waiting = WaitingEntries()
        self._expected: dict[bytes, asyncio.Future[None]] = {}
        self._to_be_told: list[Callable[[], None]] = []
        self._prepared = Prepared()
        self._audiences: WeakValueDictionary[bytes, Audience] = WeakValueDictionary()
        self.followers = Followers()
        self._is_held = True
        self._is_scheduled = False
        self._on_backlog: Callable[[], None] = lambda: None
        self._on_files: Callable[[], None] = lambda: None
        self.open(IndexState(b"", 0), 2, is_new=False)

    def open(self, state: IndexState, first_modseq: int, *, is_new: bool) -> None:
        """Begin with what the index has (nothing, if it is new), and with this MODSEQ."""
        if is_new:
            self._index.clear()
            for folder in sorted(self._audiences.keys()):
                if audience := self._audiences.pop(folder, None):
                    audience.on_gone()
            self.followers.tell([AccountReset()])
        self._is_held = True
        self.state = msgspec.structs.replace(state, modseq_next=first_modseq)
        self.folders: dict[bytes, FolderRow] = {
            folder.folder: new_folder_row(folder, first_modseq) for folder in fold.DEFAULT_FOLDERS
        }
        self.folders.update((row.state.folder, row) for row in self._index.folders())
        self.subscriptions = {entry.name: entry for entry in fold.DEFAULT_SUBSCRIPTIONS}
        self.subscriptions.update((entry.name, entry) for entry in self._index.subscriptions())
        self.annotations: dict[bytes, dict[str, Annotation]] = {}
        self._note(self._index.annotations())
        self._names: Mapping[str, bytes] | None = None

    # What is.

    @property
    def names(self) -> Mapping[str, bytes]:
        """The folders that show, by name, INBOX first."""
        if self._names is None:
            shown = (row.state for row in self.folders.values() if _shows(row))
            self._names = fold.shown_names(shown)
        return self._names

    def listen(self, folder: bytes, audience: Audience) -> None:
        """Tell an audience of every change, for as long as somebody keeps it."""
        self._audiences[folder] = audience

    def claim_recent(self, folder: bytes) -> int:
        """Return the first UID that was not claimed yet, and claim everything there is."""
        row = self.folders[folder]
        if row.recent_from != row.uid_next:
            self._write_folder(msgspec.structs.replace(row, recent_from=row.uid_next))
        return row.recent_from

    def prepare(self, email: bytes, rendition: Rendition) -> None:
        """Keep a rendition for the record of this mail, which is about to be written."""
        self._prepared.add(email, rendition)

    def prepare_later(self, email: bytes, make: Making, octets: int) -> None:
        """Have a rendition made, of a mail of so many octets, when its record is taken in."""
        self._prepared.add_later(email, make, octets)

    def put_renditions(self, made: Sequence[tuple[bytes, Rendition]]) -> None:
        """Enter renditions made later; open folders learn when the mails were sent."""
        if not made:
            return
        self._index.commit(Batch(self.state, renditions=list(made)))
        self._tell_of_files(made)
        emails = [email for email, _ in made]
        facts = self._index.facts(emails)
        placed = self._index.placements(self._index.places_of(emails))
        for placement, modseq in placed.values():
            known = facts.get(placement.email) if placement.email else None
            audience = self._audiences.get(placement.folder)
            if known and placement.uid and audience:
                audience.on_rendered(PlacedMail(placement, modseq, known))

    def put_file_text(self, email: bytes, text: str) -> None:
        """Enter what was read of the files of a mail; raises DiskFull and the like."""
        self._index.commit(Batch(self.state, file_texts=[(email, text)]))

    def _tell_of_files(self, made: Sequence[tuple[bytes, Rendition]]) -> None:
        if any(rendition.brings_files for _, rendition in made):
            self._on_files()

    # What the log tells.

    def take(self, sequence: int, payload: bytes) -> None:
        """Queue an entry of this device's log; it may come twice."""
        self._queue(LogEntry(sequence, payload, self._decoded(sequence, payload)))

    async def take_of(self, device: int, entries: Sequence[tuple[int, bytes | None]]) -> None:
        """Take (sequence, payload) of another device's log; returns when the index has them.

        A payload of None is another application's. Raises UnavailableError if this device's log is
        read again meanwhile: then these are to be brought again, from `read_to`.
        """
        for sequence, payload in entries:
            record = None if payload is None else self._decoded(sequence, payload)
            self._queue(LogEntry(sequence, payload or b"", record, device))
        await self._waiting.are_taken(device)

    async def take_pages_of(self, device: int, pages: Sequence[MailPage]) -> None:
        """Take parts of a snapshot of another device's log; raises as `take_of`."""
        for page in pages:
            self._queue(LogEntry(self.read_to(device), b"", None, device, page))
        await self._waiting.are_taken(device)

    def take_pages(self, pages: Sequence[MailPage]) -> None:
        """Queue parts of a snapshot of this device's log."""
        for page in pages:
            self._queue(LogEntry(self.state.applied, b"", None, None, page))

    def read_to(self, device: int) -> int:
        """Return up to which sequence another device's log is in the index."""
        return dict(self.state.others).get(device, 0)

    def _decoded(self, sequence: int, payload: bytes) -> Record | None:
        try:
            return decode_record(payload)
        except PeerError as error:
            self._observer.record(MailRecordSkipped(sequence, error))
            return None

    def _queue(self, logged: LogEntry) -> None:
        self._waiting.add(logged)
        if not self._is_held and not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._go_on_after, TURNS_LEFT_TO_OTHERS)

    def _go_on_after(self, turns: int) -> None:
        if turns and not self._expected:
            asyncio.get_running_loop().call_soon(self._go_on_after, turns - 1)
        else:
            self._go_on()

    def when_shown(self, tell: Callable[[], None]) -> None:
        """Call this once the index has all that was taken so far, and open folders know."""
        if self._waiting:
            self._to_be_told.append(tell)
        else:
            tell()

    def drop_waiting(self) -> None:
        """Forget what is queued: the log is about to be read again."""
        self._to_be_told.clear()
        self._waiting.forget(UnavailableError("this device's log is read again"))

    def expect(self, payload: bytes) -> asyncio.Future[None]:
        """Return what is done when the index has this record of our own, or fails with it."""
        if payload not in self._expected:
            self._expected[payload] = asyncio.get_running_loop().create_future()
        return self._expected[payload]

    def forget_expected(self, payload: bytes, error: BaseException) -> None:
        """The record will not come: it was not written."""
        if future := self._expected.pop(payload, None):
            future.set_exception(error)
            future.exception()  # seen: nobody may be waiting any more

    def release(
        self, on_backlog: Callable[[], None], on_files: Callable[[], None] = lambda: None
    ) -> None:
        """Apply what comes from now on as it comes.

        `on_backlog` is called when mails of other devices wait for numbers or renditions, or when
        this device's MODSEQs run low; `on_files` when files of mails wait to be read.
        """
        self._on_backlog = on_backlog
        self._on_files = on_files
        self._is_held = False
        self._go_on()

    def apply_slice(self) -> bool:
        """Take in some waiting entries; return whether more wait. Raises DiskFull and the like."""
        some = self._waiting.next_slice(self.state.applied)
        if not some:
            self._tell_of_shown()
            return False
        try:
            folded = self._fold(some)
            self._index.commit(folded.batch)
        except BaseException as error:
            for logged in some:
                self.forget_expected(logged.payload, error)
            raise
        self._waiting.on_taken(some)
        self._adopt(folded)
        for logged in some:
            if future := self._expected.pop(logged.payload, None):
                future.set_result(None)
        if not self._waiting:
            self._tell_of_shown()
        return bool(self._waiting)

    def _tell_of_shown(self) -> None:
        told, self._to_be_told = self._to_be_told, []
        for tell in told:
            tell()

    async def apply_all(self) -> None:
        """Take in everything that waits, a slice between two turns of the event loop."""
        has_more = True
        while has_more:
            has_more = self.apply_slice()
            await asyncio.sleep(0)

    def _go_on(self) -> None:
        self._is_scheduled = False
        try:
            has_more = self.apply_slice()
        except EpostError as error:
            # Whoever waits has been told; the entries stay, and the next one tries again.
            self._observer.record(MailIndexStuck(error))
            return
        if has_more:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._go_on)

    def tidy(self) -> None:
        """Forget what expunged UIDs are beyond the limit."""
        for folder, row in self.folders.items():
            kept_from = self._index.forget_vanished(folder, VANISHED_KEPT_MAX)
            if kept_from > row.vanished_from:
                self._write_folder(msgspec.structs.replace(row, vanished_from=kept_from))

    def _fold(self, some: Sequence[LogEntry]) -> Folded:
        folding = Folding(
            self._index,
            state=self.state,
            folders=self.folders,
            subscriptions=self.subscriptions,
            annotations=self.annotations,
            prepared=self._prepared,
            open_notice=self._open_notice,
        )
        applied, others = self.state.applied, {}
        for logged in some:
            if logged.device is None:
                applied = max(applied, logged.sequence)
            else:
                others[logged.device] = logged.sequence
            is_own = logged.device is None and logged.sequence >= self.state.numbered_from
            if logged.page is not None:
                folding.join(logged.page, is_own=logged.device is None)
            try:
                if logged.record is not None:
                    folding.apply(logged.record, is_own=is_own)
            except PeerError as error:
                self._observer.record(MailRecordSkipped(logged.sequence, error))
        return folding.finish(applied, others)

    def _adopt(self, folded: Folded) -> None:
        """Follow the index, then tell whoever has the folders open."""
        batch = folded.batch
        was_shown = {row.state.folder for row in batch.folders if self._is_shown(row.state.folder)}
        old_names = self.names if self.followers else {}
        self.state = batch.state
        for row in batch.folders:
            self._put_row(row)
        subscribed = [entry for entry in batch.subscriptions if self._is_news(entry)]
        self.subscriptions.update((entry.name, entry) for entry in batch.subscriptions)
        self._note(batch.annotations)
        for email, _ in batch.renditions:
            self._prepared.drop(email)
        self._tell_of_files(batch.renditions)
        for folder, change in folded.changes.items():
            if audience := self._audiences.get(folder):
                audience.on_change(change, folded.modseq)
        for folder in sorted(was_shown):
            if not self._is_shown(folder) and (audience := self._audiences.pop(folder, None)):
                audience.on_gone()
        if self._reading is not None and self._reading.are_awaited:
            self._reading.read(seen_mails(folded.changes.values()))
        if self.followers:
            self.followers.tell(renamings(old_names, self.names))
            self.followers.tell(changed_subscriptions(subscribed))
            self.followers.tell(changed_annotations(batch.annotations, self.names))
            self.followers.tell(changed_messages(folded.changes, self.names))
        is_low = self.state.modseq_end - self.state.modseq_next < MODSEQS_LEFT_MIN
        if not self._is_held and (folded.needs_numbers or folded.unrendered or is_low):
            self._on_backlog()

    def _is_news(self, entry: Subscription) -> bool:
        known = self.subscriptions.get(entry.name)
        return entry.is_subscribed != (known is not None and known.is_subscribed)

    def _note(self, annotations: Iterable[Annotation]) -> None:
        for annotation in annotations:
            folder, name = annotation.key
            self.annotations.setdefault(folder, {})[name] = annotation

    def _is_shown(self, folder: bytes) -> bool:
        return folder in self.folders and _shows(self.folders[folder])

    def _put_row(self, row: FolderRow) -> None:
        known = self.folders.get(row.state.folder)
        if known is None or known.state != row.state or _shows(known) != _shows(row):
            self._names = None
        self.folders[row.state.folder] = row

    def _write_folder(self, row: FolderRow) -> None:
        self._index.commit(Batch(self.state, folders=[row]))
        self.folders[row.state.folder] = row


def _shows(row: FolderRow) -> bool:
    """A folder shows once it is numbered, until it is removed and has no mail any more."""
    is_gone = row.state.is_deleted and not row.messages and row.state.folder != fold.INBOX_ID
    return bool(row.state.name and row.uid_validity and not is_gone)
