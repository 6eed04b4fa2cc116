"""Finds the snapshot that stands for the older part of another device's log, and checks it.

A head may only point at a snapshot. What counts is the record that announces it: it stands in the
chain of the log, in its order. So of a revoked device a snapshot counts if that record does, which
the device wrote while it could have written, or removed, whatever the snapshot says (crypto 2.2).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Protocol

from epost.foundation.errors import (
    AuthenticityError,
    MalformedPacket,
    NotFoundError,
    PeerError,
    UnavailableError,
)
from epost.foundation.ports import Observer
from epost.past.log_format import Head, LogRecord
from epost.post.accounts.devices import Device
from epost.post.logs.entries import Origin
from epost.post.logs.reader import LogReader
from epost.post.logs.snapshot_format import (
    Announced,
    HeadNote,
    Page,
    SnapshotRoot,
    note_in,
    open_root,
    read_head_note,
)
from epost.post.logs.snapshot_pages import pages_of
from epost.post.observed import SnapshotRead, SnapshotRefused
from epost.post.storage.message_store import MessageStore

RECORDS_SPARED_MIN = 500
"""For fewer records the log itself is read as fast."""

RecordsBehind = Callable[[int], AsyncIterator[LogRecord]]
"""Yields the records of a log behind this number, as one verified chain."""


@dataclass(frozen=True)
class Snapshot:
    """What stands for the records of a log up to `covered`, for one application."""

    root: SnapshotRoot
    messages: MessageStore

    @property
    def covered(self) -> int:
        """The last record that it sums up."""
        return self.root.covered

    def pages(self, group: bytes | None = None) -> AsyncIterator[Page]:
        """Yield its pages, or those of one group; raises as `pages_of`."""
        return pages_of(self.root, self.messages, group)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which application wants the records of a log, behind which, and the last that counts."""

    app: int
    after: int
    last: int | None


class SnapshotTaker(Protocol):
    """A follower that takes a snapshot in place of the records which it sums up."""

    async def take_snapshot(self, origin: Origin, after: int, snapshot: Snapshot) -> None:
        """Take all of it; afterwards the follower has read up to what it covers.

        Raises as `Follower.take`, and as the pages.
        """
        ...


class SnapshotFinding:
    """Looks for snapshots in the logs of this account's devices."""

    def __init__(
        self, *, device: Device, reader: LogReader, messages: MessageStore, observer: Observer
    ) -> None:
        self._device = device
        self._reader = reader
        self._messages = messages
        self._observer = observer

    async def give(
        self,
        taker: SnapshotTaker,
        origin: Origin,
        head: Head,
        records_behind: RecordsBehind,
        wanted: Wanted,
    ) -> int:
        """Give an application the snapshot that a log announces, if it helps and counts.

        Returns up to where it has read then. Raises UnavailableError if that cannot be told now; a
        snapshot that is not what it should be is observed, and the log itself says it all.
        """
        note = read_head_note(head, self._device)
        if note is None or not _helps(note, wanted):
            return wanted.after
        announced = note.announced
        try:
            root = await self._verified(note.sequence, announced, records_behind)
            await taker.take_snapshot(origin, wanted.after, Snapshot(root, self._messages))
        except (AuthenticityError, NotFoundError, PeerError) as error:
            self._observer.record(SnapshotRefused(announced.covered, error))
            return wanted.after
        self._observer.record(SnapshotRead(origin.device, announced.covered))
        return announced.covered

    async def _verified(
        self, sequence: int, announced: Announced, records_behind: RecordsBehind
    ) -> SnapshotRoot:
        """Return the root if the log itself announces it and goes on where it ends."""
        previous: bytes | None = None
        async for record in records_behind(announced.covered):
            previous = record.previous if previous is None else previous
            if record.sequence < sequence:
                continue
            if record.sequence > sequence or note_in(self._reader.entry(record)) != announced:
                raise MalformedPacket("no record of the log announces this snapshot")
            root = open_root(await self._messages.fetch(announced.root), announced, record.log_key)
            if root.tip != previous:
                raise MalformedPacket("a snapshot of another branch of the log")
            return root
        raise UnavailableError("a replica gave a log that was cut short")


def _helps(note: HeadNote, wanted: Wanted) -> bool:
    """Does it count, and is reading all rows less work than reading the records?"""
    announced = note.announced
    if announced.app != wanted.app or (wanted.last is not None and note.sequence > wanted.last):
        return False
    spared = announced.covered - wanted.after
    return spared >= RECORDS_SPARED_MIN and 2 * spared >= announced.rows
