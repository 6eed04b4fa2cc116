"""Snapshots of the own log: made as it grows, and read when an application has lost all else.

They are made in this order: pages, root, the record that announces them.

A machine that dies on the way leaves blocks to which nothing refers, and makes the same ones again:
nothing that a reader could follow exists before the record does.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

from epost.foundation.codec import encode
from epost.foundation.errors import (
    AuthenticityError,
    EpostError,
    LimitExceeded,
    NotFoundError,
    PeerError,
    UnavailableError,
)
from epost.past.log_format import Head
from epost.post.accounts.devices import Device
from epost.post.app_ids import AppId
from epost.post.config import PostConfig
from epost.post.logs.device_log import DeviceLog
from epost.post.logs.entries import Entry
from epost.post.logs.snapshot_finding import Snapshot
from epost.post.logs.snapshot_format import (
    PAGE_BYTES_MAX,
    ROOT,
    ROOT_BYTES_MAX,
    Announced,
    Page,
    PageGroup,
    SnapshotPage,
    SnapshotRoot,
    announcement,
    open_root,
    read_head_note,
)
from epost.post.observed import SnapshotFailed, SnapshotMade
from epost.post.pacing import Pacing
from epost.post.ports import NodePorts
from epost.post.storage.message_store import MessageStore
from epost.post.storage.references import Reference, Secrecy

T = TypeVar("T")

SHARE_OF_ROWS = 4
"""A snapshot is made anew when a quarter as many records as it has rows came after it: then what a
reader folds is at most a quarter more, and what a writer folds some four rows a record."""
GROWTH_IN_BULK = 200
"""Records between two looks from which on a log is being filled: it is summed up when that is over,
or when it has grown by `PATIENCE` times what is due otherwise."""
PATIENCE = 4
RECORDS_PER_SLICE = 100


class Summary(Protocol):
    """What the records of one log come to, as one application sees it."""

    @property
    def rows(self) -> int:
        """How much it holds."""
        ...

    def load(self, page: Page) -> None:
        """Take in a page of the snapshot before; raises PeerError if it is none."""
        ...

    def add(self, sequence: int, cluster: bytes, payload: bytes) -> None:
        """Take in the next record, which stands in this cluster."""
        ...

    def pages(self) -> Iterator[Page]:
        """Yield everything, group by group, so that what did not change gives the same pages."""
        ...

    def said(self) -> Iterator[bytes]:
        """Yield everything in an order that depends on nothing else, least of all on pages."""
        ...


BeginSummary = Callable[[], Summary | None]
"""Returns an empty summary; None if the application cannot make one now."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """What is wrong with a snapshot; or what keeps that from being told, if it `may_be_sound`."""

    root: Reference
    reason: str
    may_be_sound: bool = False


class Snapshots:
    """Sums up one application's records when it is time for it."""

    def __init__(
        self,
        *,
        device: Device,
        log: DeviceLog,
        messages: MessageStore,
        ports: NodePorts,
        config: PostConfig,
    ) -> None:
        self._device = device
        self._log = log
        self._messages = messages
        self._observer = ports.observer
        self._pacing = Pacing(ports.clock)
        self._config = config
        self._begin: dict[AppId, BeginSummary] = {}
        self._has_grown = asyncio.Event()
        self._seen: int | None = None

    def register(self, app: AppId, begin: BeginSummary) -> None:
        """Sum up the records of this application from now on: of one, since a head tells of one."""
        self._begin = {app: begin}
        self.wake()

    def wake(self) -> None:
        """The ring has taken new records."""
        self._has_grown.set()

    async def keep(self) -> None:
        """Look whenever the log has grown, but not more often than every so many seconds."""
        while True:
            await self._has_grown.wait()
            self._has_grown.clear()
            patience = PATIENCE if self._is_filled() else 1
            for app, begin in self._begin.items():
                if self.is_due(patience):
                    await self._try(app, begin)
                elif self.is_due():
                    self.wake()  # once it rests, nothing else will
            await asyncio.sleep(self._config.snapshot_check_seconds)

    def is_due(self, patience: int = 1) -> bool:
        """Has the log grown enough since its newest snapshot, or so many times as much?"""
        end, _ = self._log.archive.end
        note = self._log.archive.announced
        covered, rows = (note.announced.covered, note.announced.rows) if note else (0, 0)
        wanted = max(self._config.snapshot_records_min, rows // SHARE_OF_ROWS)
        return self._log.is_confirmed and end - covered >= wanted * patience

    def _is_filled(self) -> bool:
        """Do records come in bulk, since the last look? At the first one nobody knows."""
        former, (self._seen, _) = self._seen, self._log.archive.end
        return former is not None and self._seen - former >= GROWTH_IN_BULK

    async def newest(self, app: AppId) -> Snapshot | None:
        """Return the newest snapshot of the own log, None if there is none.

        Raises NoSuchBlock, UnavailableError; PeerError if it is of a former incarnation.
        """
        note, log_key = self._log.archive.announced, self._log.archive.log_key
        if note is None or note.announced.app != app:
            return None
        data = await self._messages.fetch(note.announced.root)
        return Snapshot(open_root(data, note.announced, log_key), self._messages)

    def root_of(self, head: Head) -> Reference | None:
        """Return the root of the snapshot that a head of this account tells of."""
        note = read_head_note(head, self._device)
        return None if note is None else note.announced.root

    async def doubt(self) -> Doubt | None:
        """Fold the own log again; return what is wrong with its newest snapshot, None if nothing.

        One of a former incarnation is not looked at: the log of that one is not ours to fold.
        """
        note = self._log.archive.announced
        if note is None or note.announced.app not in self._begin:
            return None
        root = note.announced.root
        try:
            is_sound = await self._says_what_the_log_says(note.announced)
        except UnavailableError as error:
            return Doubt(root, str(error), may_be_sound=True)
        except (AuthenticityError, NotFoundError, PeerError) as error:
            return Doubt(root, str(error))
        return None if is_sound else Doubt(root, "the records of the log come to something else")

    async def renew(self) -> None:
        """Make a snapshot from the first record on, whatever the newest one says.

        Raises EpostError, OSError.
        """
        for app, begin in self._begin.items():
            await self._make(app, begin, is_anew=True)

    async def references(self, head: Head) -> list[Reference]:
        """Return what the snapshot that a log's head tells of is stored in, its root first.

        Raises NoSuchBlock, UnavailableError; AuthenticityError and PeerError if it is none.
        """
        if (reference := self.root_of(head)) is None:
            return []
        root = ROOT.decode(await self._messages.fetch(reference))
        return [reference, *(page for group in root.groups for page in group.pages)]

    async def entry(self, cluster: bytes, sequence: int) -> Entry:
        """Return a record that a snapshot of any of the account's logs names.

        Raises as `LogArchive.entry`.
        """
        return await self._log.archive.entry(cluster, sequence)

    async def _try(self, app: AppId, begin: BeginSummary) -> None:
        try:
            await self._make(app, begin)
        except (EpostError, OSError) as error:
            self._observer.record(SnapshotFailed(error))

    async def _says_what_the_log_says(self, announced: Announced) -> bool:
        """Compare what snapshot and records come to; raises what keeps the snapshot from use."""
        data, log_key = await self._messages.fetch(announced.root), self._log.archive.log_key
        if ROOT.decode(data).log_key != log_key:
            return True
        snapshot = Snapshot(open_root(data, announced, log_key), self._messages)
        app = AppId(announced.app)
        folded, loaded = self._begin[app](), self._begin[app]()
        if folded is None or loaded is None:
            raise UnavailableError("the mail index is not ready yet")
        await self._sum_up(app, folded, 0, announced.covered)
        wanted = [part async for part in self._slowly(folded.said())]
        del folded  # a large one takes much memory
        await self._load(loaded, snapshot)
        found = [part async for part in self._slowly(loaded.said())]
        return found == wanted

    async def _make(self, app: AppId, begin: BeginSummary, *, is_anew: bool = False) -> None:
        archive = self._log.archive
        (covered, tip), log_key = archive.end, archive.log_key
        try:
            summary, after = (begin(), 0) if is_anew else await self._former(app, begin)
        except (AuthenticityError, NotFoundError, PeerError):  # then from the beginning
            summary, after = begin(), 0
        if summary is None:
            return
        await self._sum_up(app, summary, after, covered)
        groups = await self._store(app, summary, log_key)
        root = SnapshotRoot(1, int(app), log_key, covered, tip, groups)
        if archive.log_key != log_key:
            raise UnavailableError("the log goes on in another incarnation")
        reference = await self._put(encode(root), ROOT_BYTES_MAX)
        announced = Announced(int(app), covered, summary.rows, reference)
        await self._log.append([announcement(announced)])
        self._observer.record(SnapshotMade(covered, summary.rows))

    async def _former(self, app: AppId, begin: BeginSummary) -> tuple[Summary | None, int]:
        """Return what the newest snapshot comes to, and up to where; raises as `newest`."""
        summary, snapshot = begin(), await self.newest(app)
        if summary is None or snapshot is None:
            return summary, 0
        await self._load(summary, snapshot)
        return summary, snapshot.covered

    async def _load(self, summary: Summary, snapshot: Snapshot) -> None:
        async for page in snapshot.pages():
            summary.load(page)
            await self._pacing.give_way()

    async def _sum_up(self, app: AppId, summary: Summary, after: int, to: int) -> None:
        read = 0
        async for sequence, cluster, entry in self._log.archive.records(after, to):
            read += 1
            if entry.app == app:
                summary.add(sequence, cluster.digest, entry.payload)
            # One record may name hundreds of mails.
            if read % RECORDS_PER_SLICE == 0 or self._pacing.is_due:
                await self._pacing.give_way()

    async def _store(self, app: AppId, summary: Summary, log_key: bytes) -> tuple[PageGroup, ...]:
        """Store the pages; those that did not change are in the message store already."""
        groups: dict[bytes, list[Reference]] = {}
        async for page in self._slowly(summary.pages()):
            block = SnapshotPage(1, int(app), log_key, page.group, page.content)
            groups.setdefault(page.group, []).append(await self._put(encode(block), PAGE_BYTES_MAX))
        return tuple(PageGroup(name, tuple(pages)) for name, pages in sorted(groups.items()))

    async def _put(self, plaintext: bytes, size_max: int) -> Reference:
        if len(plaintext) > size_max:
            raise LimitExceeded(f"a page or root of {len(plaintext)} bytes")
        stored = await self._messages.store(plaintext, secrecy=Secrecy.ACCOUNT)
        if not stored.durability.ring_durable:
            raise UnavailableError("too few machines to put a snapshot on")
        return stored.reference

    async def _slowly(self, parts: Iterator[T]) -> AsyncIterator[T]:
        for part in parts:
            yield part
            await self._pacing.give_way()
