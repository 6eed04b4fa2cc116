"""Puts the mail application together and keeps its index in step with the device's log."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import msgspec

from epost.apps.mail.contents import content_of
from epost.apps.mail.delivery.inbox import MailInbox
from epost.apps.mail.delivery.moved_names import MovedNames
from epost.apps.mail.delivery.reports import DeliveryReports
from epost.apps.mail.delivery.submission import MailSubmission
from epost.apps.mail.folders.folder_rows import FolderRows
from epost.apps.mail.folders.mail_folders import MailFolders
from epost.apps.mail.folders.open_folder import OpenFolder
from epost.apps.mail.folders.writing import MailWriter
from epost.apps.mail.index import IndexState, MailIndex
from epost.apps.mail.log.backlog import Backlog
from epost.apps.mail.log.journal import MODSEQS_RESERVED, Journal
from epost.apps.mail.log.ledger import Ledger
from epost.apps.mail.log.records import ModseqRange, Numbering, Record, decode_record, encode_record
from epost.apps.mail.log.snapshot_use import OwnSnapshot, SnapshotUse
from epost.apps.mail.mail_store import MailStore
from epost.apps.mail.observed import MailIndexCaughtUp, MailIndexStuck
from epost.apps.mail.ports import (
    Offload,
    Origin,
    ReadFile,
    in_the_loop,
    read_nothing,
)
from epost.apps.mail.references import MailReferences, SentContents
from epost.apps.mail.renditions.file_texts import FileTexts
from epost.apps.mail.services import MailServices
from epost.foundation.errors import EpostError, PeerError, UnavailableError
from epost.post.app_ids import AppId
from epost.post.logs.entries import Entry

REPLAYED_PER_SLICE = 100
LIVE_WAITING_MAX = 10_000
RETRY_SECONDS = 10.0
FIRST_MODSEQ = 2
"""An empty folder reports 1, and what changes must be newer than what was reported."""
SHORT_RECORD_BYTES = 64
"""No `ModseqRange` or `Numbering` is longer."""


@dataclass(frozen=True, slots=True)
class _Logged:
    sequence: int
    payload: bytes
    origin: Origin


@dataclass(slots=True)
class _Scanned:
    """What the log says of this device's numbers."""

    modseq_end: int
    incarnation: bytes
    numbered_from: int


class MailService:
    """Mail for the account of this device; `start` before anything is used."""

    writer_type = MailWriter
    """Who changes mails; simulations put a twin in its place that does it wrong."""
    inbox_type = MailInbox
    """Who takes mails in; the same."""

    def __init__(
        self,
        services: MailServices,
        index: MailIndex,
        *,
        offload: Offload = in_the_loop,
        read_file: ReadFile = read_nothing,
    ) -> None:
        """`offload` runs what takes long on a thread, where there are any."""
        self.index = index
        self.spool = services.spool
        self._services = services
        self._offload = offload
        self._log = services.log
        self._observer = services.observer
        self._store = MailStore(services.messages, offload, services.snapshots, services.spool)
        self._ledger = Ledger(
            index,
            open_notice=content_of,
            observer=services.observer,
            reading=services.reading,
        )
        self._journal = Journal(services.log, self._ledger)
        self._snapshots = SnapshotUse(services.snapshots, self._ledger, lambda: self._is_live)
        self._backlog = self._make_backlog()
        self._file_texts = FileTexts(
            index=index,
            ledger=self._ledger,
            store=self._store,
            read_file=read_file,
            offload=offload,
            observer=services.observer,
        )
        self.mailbox = self._make_mailbox()
        self.moved = MovedNames(
            names=services.names,
            log=services.log,
            index=index,
            ledger=self._ledger,
            clock=services.clock,
        )
        self.submission = MailSubmission(
            names=services.names,
            store=self._store,
            sending=services.sending,
            moved=self.moved,
            offload=offload,
            clock=services.clock,
            run_story=services.run_story,
        )
        self.inbox = self._make_inbox()
        self._seen: dict[bytes, asyncio.Future[_Logged]] = {}
        self._live: deque[_Logged] = deque()
        self._is_live = False
        self._here: Origin | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def _make_backlog(self) -> Backlog:
        return Backlog(
            index=self.index,
            ledger=self._ledger,
            journal=self._journal,
            store=self._store,
            offload=self._offload,
            clock=self._services.clock,
            observer=self._observer,
        )

    def _make_mailbox(self) -> MailFolders:
        writer = self.writer_type(
            index=self.index,
            ledger=self._ledger,
            journal=self._journal,
            store=self._store,
            offload=self._offload,
            clock=self._services.clock,
            entropy=self._services.entropy,
        )

        def make_folder(rows: FolderRows) -> OpenFolder:
            return OpenFolder(
                rows,
                index=self.index,
                ledger=self._ledger,
                store=self._store,
                backlog=self._backlog,
                writer=writer,
            )

        return MailFolders(
            index=self.index,
            ledger=self._ledger,
            journal=self._journal,
            writer=writer,
            entropy=self._services.entropy,
            make_folder=make_folder,
            next_uid_validity=self._backlog.next_uid_validity,
        )

    def _make_inbox(self) -> MailInbox:
        reports = DeliveryReports(
            names=self._services.names,
            store=self._store,
            ledger=self._ledger,
            clock=self._services.clock,
            offload=self._offload,
        )
        return self.inbox_type(
            names=self._services.names,
            store=self._store,
            ledger=self._ledger,
            reports=reports,
            offload=self._offload,
            clock=self._services.clock,
            observer=self._observer,
        )

    def references(self, sent: SentContents) -> MailReferences:
        """Return what the mails of this account, and those that it sent, refer to."""
        return MailReferences(self.index, sent, lambda: self._here if self._is_live else None)

    async def start(self) -> None:
        """Bring the index up to the log, then follow it; raises DiskFull, MailIndexDamaged."""
        self._log.register(AppId.MAIL, self._on_logged)
        await self._catch_up()
        self._run(self._backlog.run())
        self._run(self._file_texts.run())
        self._services.siblings.take_snapshots(AppId.MAIL, self._snapshots)
        self._services.siblings.register(AppId.MAIL, self)
        self._snapshots.start()

    async def stop(self) -> None:
        """Stop following, and close the index; the log may still tell, nobody listens."""
        self._is_live = False
        await self.submission.stop()
        for task in tuple(self._tasks):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        self.index.close()

    def _run(self, story: Coroutine[Any, Any, None]) -> None:
        task = self._services.run_story(story)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # Following the logs of the account's other devices.

    def read_to(self, device: int) -> int:
        """Return up to which sequence the index has another device's log."""
        return self._ledger.read_to(device)

    async def take(self, origin: Origin, after: int, entries: Sequence[tuple[int, Entry]]) -> None:
        """Take what another device logged behind `after`; returns when the index has it.

        Raises UnavailableError if this index does not go on there (any more).
        """
        if not self._is_live or self.read_to(origin.device) != after:
            raise UnavailableError("the index is made anew")
        await self._ledger.take_of(
            origin.device,
            [
                (sequence, bytes(entry.payload) if entry.app == AppId.MAIL else None)
                for sequence, entry in entries
            ],
        )

    # Following the log.

    def _on_logged(self, sequence: int, entry: Entry, origin: Origin) -> None:
        logged = _Logged(sequence, bytes(entry.payload), origin)
        if seen := self._seen.pop(logged.payload, None):
            seen.set_result(logged)
        here = self._here
        if here and origin.device == here.device and origin.incarnation != here.incarnation:
            self._begin_again(origin)
        if self._is_live:
            self._take(logged)
        elif len(self._live) <= LIVE_WAITING_MAX:
            self._live.append(logged)

    def _take(self, logged: _Logged) -> None:
        self._ledger.take(logged.sequence, logged.payload)

    def _begin_again(self, origin: Origin) -> None:
        """This device exists twice: its log goes on in a new incarnation, and so do its UIDs."""
        self._here = origin
        if self._is_live:
            self._is_live = False
            self._ledger.drop_waiting()
            self._run(self._catch_up_again())

    async def _catch_up_again(self) -> None:
        while True:
            try:
                return await self._catch_up()
            except EpostError as error:
                self._observer.record(MailIndexStuck(error))
                await asyncio.sleep(RETRY_SECONDS)

    async def _catch_up(self) -> None:
        while not await self._has_caught_up():
            pass  # the log went on in another incarnation meanwhile
        self._ledger.release(self._backlog.wake, self._file_texts.wake)
        await self._backlog.number_everything()
        self._ledger.tidy()
        self._backlog.wake()

    async def _has_caught_up(self) -> bool:
        """Apply what the index lacks; False if that turned out to be another log's."""
        self._is_live = False
        state = self._usable_state()
        own = await self._snapshots.own() if state is None else None
        scanned = await self._scan(state, own)
        first_modseq = scanned.modseq_end
        probe = await self._write(ModseqRange(first_modseq + MODSEQS_RESERVED))
        here = self._here = probe.origin
        self._journal.write_as(here.device)
        # A log behind its index was restored from a backup: its next UIDs were given before.
        is_behind = state is not None and probe.sequence <= state.applied
        if is_behind or scanned.incarnation != here.incarnation:
            numbering = await self._write(Numbering(here.incarnation))
            scanned.numbered_from = numbering.sequence
        numbers = (here.incarnation, scanned.numbered_from)
        is_new = state is None or (state.incarnation, state.numbered_from) != numbers
        if state is None or is_new:
            last = state.uid_validity_last if state else 0
            state = IndexState(*numbers, uid_validity_last=last)
        self._ledger.open(state, first_modseq, is_new=is_new)
        if own is not None and own.numbers == numbers:
            await self._begin_with(own, state)
        entries = await self._replay()
        if self._here != here:
            return False
        for logged in self._live:
            self._take(logged)
        self._live.clear()
        self._is_live = True
        self._observer.record(MailIndexCaughtUp(entries, is_new))
        return True

    def _usable_state(self) -> IndexState | None:
        """Return how far the index is; None as well if a snapshot was not taken to its end."""
        state = self.index.state()
        return state if state is not None and state.incarnation else None

    async def _begin_with(self, own: OwnSnapshot, state: IndexState) -> None:
        """Have the index begin with a snapshot of this device's log in place of its records.

        Until all of it is in there, the index is of no incarnation, and so of no use.
        """
        partial = msgspec.structs.replace(state, incarnation=b"")
        self._ledger.open(partial, self._ledger.state.modseq_next, is_new=True)
        await self._snapshots.take_own(own)
        whole = msgspec.structs.replace(
            self._ledger.state, incarnation=state.incarnation, applied=own.snapshot.covered
        )
        self._ledger.open(whole, whole.modseq_next, is_new=False)

    async def _scan(self, state: IndexState | None, own: OwnSnapshot | None) -> _Scanned:
        """Look what numbers the log has reserved and not told the index yet."""
        scanned, after = _Scanned(FIRST_MODSEQ, b"", 0), 0
        if state is not None:
            end = max(state.modseq_next, state.modseq_end)
            scanned = _Scanned(end, state.incarnation, state.numbered_from)
            after = state.applied
        elif own is not None:
            scanned = _Scanned(max(own.account.modseq_end, FIRST_MODSEQ), *own.numbers)
            after = own.snapshot.covered
        read = 0
        async for sequence, payload in self._log.replay(AppId.MAIL, after):
            read += 1
            if read % REPLAYED_PER_SLICE == 0:
                await asyncio.sleep(0)
            if len(payload) > SHORT_RECORD_BYTES:
                continue
            with suppress(PeerError):
                record = decode_record(payload)
                if isinstance(record, ModseqRange):
                    scanned.modseq_end = max(scanned.modseq_end, record.end)
                elif isinstance(record, Numbering):
                    scanned.incarnation, scanned.numbered_from = record.incarnation, sequence
        return scanned

    async def _replay(self) -> int:
        """Read the log from where the index is, until what came meanwhile is not too much."""
        entries = 0
        while True:
            self._live.clear()
            after = self._ledger.state.applied
            async for sequence, payload in self._log.replay(AppId.MAIL, after):
                self._ledger.take(sequence, payload)
                entries += 1
                if entries % REPLAYED_PER_SLICE == 0:
                    await self._ledger.apply_all()
            await self._ledger.apply_all()
            if len(self._live) <= LIVE_WAITING_MAX:
                return entries

    async def _write(self, record: Record) -> _Logged:
        """Log a record of this device; return when it is on the own disk, and as what."""
        payload = encode_record(record)
        append = self._log.submit([Entry(AppId.MAIL, payload)])
        seen: asyncio.Future[_Logged] = asyncio.get_running_loop().create_future()
        self._seen[payload] = seen

        def fail(done: asyncio.Future[Any]) -> None:
            if not done.cancelled() and (error := done.exception()) and not seen.done():
                seen.set_exception(error)

        append.add_done_callback(fail)
        return await seen
