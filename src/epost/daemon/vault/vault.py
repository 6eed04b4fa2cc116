"""The Vault port over SQLite: the index on the loop's thread, the disk on threads of their own.

A read asks what is pending first, then the database, through a connection that only reads. So a
commit keeps the loop waiting for no disk, and what it wrote is seen at once.
"""

from __future__ import annotations

import asyncio
import errno
import shutil
from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from epost.daemon.checkpoints import Checkpoints
from epost.daemon.files import locked
from epost.daemon.vault.bodies import BodyFiles, next_body
from epost.daemon.vault.database import (
    DATABASE_FILE,
    config_errors,
    open_to_checkpoint,
    open_to_read,
    open_to_write,
)
from epost.daemon.vault.index import Index
from epost.daemon.vault.planning import Planner
from epost.daemon.vault.reader import BodyReader
from epost.daemon.vault.rows import Row
from epost.daemon.vault.writer import Change, Commit, Writer, stored_totals
from epost.foundation.errors import DiskFull
from epost.foundation.ids import Handle, Id
from epost.foundation.ports import Fingerprint, Observer, Role, VaultCounts, VaultEntry, Write
from epost.node.fingerprints import Fingerprints
from epost.node.observed import BlockDamaged
from epost.node.vault_rows import require_valid

RESERVE_BYTES = 1 << 30
"""Left free on the disk for everything else on the machine."""
UNAWAITED_SECONDS = 0.5
"""For so long a commit may lie unwritten that nobody waits for."""
UNAWAITED_COMMITS_MAX = 256
ROWS_COUNTED_AT_ONCE = 200
COUNTING_PAUSE_SECONDS = 0.005
"""With it 100,000 blocks are counted in some 4 s after the start, at half of the loop's time."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A commit that is not on disk yet."""

    number: int
    size_bytes: int
    done: asyncio.Future[None]


class SqliteVault:
    """One node's blocks in a folder that no other process may use meanwhile.

    Made inside a running loop, which it keeps waiting while it opens. Raises ConfigError if the
    folder is in use or does not hold a sound vault of ours.
    """

    def __init__(
        self,
        folder: Path,
        *,
        contributed_bytes_max: int,
        observer: Observer,
        reserve_bytes: int = RESERVE_BYTES,
    ) -> None:
        self._folder = folder
        self._contributed_bytes_max = contributed_bytes_max
        self._reserve_bytes = reserve_bytes
        self._observer = observer
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[_Waiting] = deque()
        self._bytes_waiting = 0
        self._number = 0
        self._unwritten: list[Commit] = []
        self._writing_later: asyncio.TimerHandle | None = None
        self._failure: OSError | DiskFull | None = None
        with ExitStack() as opened:
            self._open(opened)
            self._opened = opened.pop_all()

    def _open(self, opened: ExitStack) -> None:
        path = self._folder / DATABASE_FILE
        with config_errors(path):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            opened.enter_context(locked(self._folder / "vault.lock"))
            connection = open_to_write(path)
            opened.callback(connection.close)
            files = BodyFiles(self._folder / "bodies")
            files.sweep(connection)
            reading = open_to_read(path)
            opened.callback(reading.close)
            self._index = Index(reading)
            self._fingerprints = Fingerprints(self._index.between)
            self._planner = Planner(
                self._index, self._fingerprints, stored_totals(connection), next_body(connection)
            )
        self._loop.call_soon(self._count_more)
        self._reader = BodyReader(path, files)
        opened.callback(self._reader.finish)
        checkpoints = Checkpoints(partial(open_to_checkpoint, path), name="vault checkpoints")
        opened.callback(checkpoints.close)
        self._writer = Writer(connection, files, checkpoints, self._tell_written)
        opened.callback(self._writer.finish)

    def entry(self, handle: Handle) -> VaultEntry | None:
        """Return the row of a block, or None."""
        row = self._index.row(handle)
        return None if row is None else row.sound()

    def entries_between(
        self, start: Id, end: Id, *, after: Handle | None = None, limit: int = 1000
    ) -> Sequence[VaultEntry]:
        """Return rows on the clockwise arc (start, end] by (place from start, handle)."""
        return self._index.between(start, end, after, limit)

    def entries_with(
        self, role: Role, *, after: Handle | None = None, limit: int = 1000
    ) -> Sequence[VaultEntry]:
        """Return rows that have a role, in handle order."""
        return self._index.with_role(role, after, limit)

    def is_damaged(self, handle: Handle) -> bool:
        """Was its body found not to be what was written?"""
        row = self._index.row(handle)
        return row is not None and row.is_damaged

    def note(self, table: str, key: bytes) -> bytes | None:
        """Return a note, or None."""
        return self._index.note(table, key)

    def notes(self, table: str) -> Sequence[tuple[bytes, bytes]]:
        """Return all notes of a table in key order."""
        return self._index.notes(table)

    def fingerprint(self, start: Id, end: Id) -> Fingerprint | None:
        """Return the fingerprint of an arc; None until everything was counted after the start."""
        return self._fingerprints.between(start, end)

    def load(self, handle: Handle) -> asyncio.Future[bytes | None]:
        """Read a body; None if absent or if it fails its own checksum (then reported)."""
        body: asyncio.Future[bytes | None] = self._loop.create_future()
        self._load(handle, body)
        return body

    def commit(self, writes: Sequence[Write]) -> asyncio.Future[None]:
        """Write all or nothing; done when durable."""
        return self._commit(writes, is_awaited=True)

    def commit_soon(self, writes: Sequence[Write]) -> asyncio.Future[None]:
        """As `commit`, with the next one or after a moment."""
        return self._commit(writes, is_awaited=False)

    def _commit(self, writes: Sequence[Write], *, is_awaited: bool) -> asyncio.Future[None]:
        for write in writes:
            require_valid(write)
        if self._failure is not None:
            done: asyncio.Future[None] = self._loop.create_future()
            done.set_exception(self._failure)
            return done
        self._number += 1
        return self._submit(self._planner.changes(self._number, writes), is_awaited=is_awaited)

    def counts(self) -> VaultCounts:
        """Return totals."""
        return self._planner.totals.counts()

    def free_bytes(self) -> int:
        """Return how much more may be stored here."""
        contributed = self._contributed_bytes_max - self._planner.totals.contributed_bytes
        gives_way = self._planner.totals.cached_bytes
        return max(0, min(contributed, self.room_bytes() + gives_way - self._reserve_bytes))

    def room_bytes(self) -> int:
        """Return how much the disk still takes."""
        return max(0, shutil.disk_usage(self._folder).free - self._bytes_waiting)

    async def close(self) -> None:
        """Finish pending commits and loads; then others may use the folder."""
        self._failure = self._failure or _closed()
        self._write_now()
        await self._loop.run_in_executor(None, self._opened.close)

    def _count_more(self) -> None:
        """Build the fingerprints a slice at a time, so that the loop is never kept for long."""
        if self._failure is None and not self._fingerprints.is_whole:
            self._fingerprints.count_more(ROWS_COUNTED_AT_ONCE)
            self._loop.call_later(COUNTING_PAUSE_SECONDS, self._count_more)

    def _submit(
        self, changes: Sequence[Change], *, is_awaited: bool = True
    ) -> asyncio.Future[None]:
        commit = Commit(self._number, changes, self._planner.totals)
        done: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append(_Waiting(commit.number, commit.size_bytes(), done))
        self._bytes_waiting += self._waiting[-1].size_bytes
        self._unwritten.append(commit)
        if is_awaited or len(self._unwritten) >= UNAWAITED_COMMITS_MAX:
            self._write_now()
        elif self._writing_later is None:
            self._writing_later = self._loop.call_later(UNAWAITED_SECONDS, self._write_now)
        return done

    def _write_now(self) -> None:
        """Hand over what was committed, in one piece: the writer flushes it as one."""
        if self._writing_later is not None:
            self._writing_later.cancel()
            self._writing_later = None
        if self._unwritten:
            commits, self._unwritten = self._unwritten, []
            self._writer.submit(commits)

    def _tell_written(self, number: int, error: OSError | DiskFull | None) -> None:
        """On the writer's thread: have the loop told, unless it was closed before us."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._on_written, number, error)

    def _on_written(self, number: int, error: OSError | DiskFull | None) -> None:
        self._failure = self._failure or error
        if error is None:
            self._index.on_written(number)
        while self._waiting and self._waiting[0].number <= number:
            waiting = self._waiting.popleft()
            self._bytes_waiting -= waiting.size_bytes
            if waiting.done.done():
                continue  # cancelled: the commit goes on, nobody wants to know
            if error is None:
                waiting.done.set_result(None)
            else:
                waiting.done.set_exception(error)

    def _load(self, handle: Handle, body: asyncio.Future[bytes | None]) -> None:
        row = self._index.row(handle)
        if row is None or row.is_damaged:
            body.set_result(None)
            return
        on_disk, tail = row.parts, b""
        if pending := self._index.pending.blocks.get(handle):
            on_disk, tail = pending.first_part, b"".join(pending.parts)
        if on_disk == 0:
            body.set_result(tail)
            return
        reading = self._reader.read(row.body, on_disk)
        reading.add_done_callback(partial(self._on_read, row, tail, body))

    def _on_read(
        self,
        row: Row,
        tail: bytes,
        body: asyncio.Future[bytes | None],
        reading: asyncio.Future[Sequence[bytes] | None],
    ) -> None:
        if body.done():
            return  # cancelled
        if error := reading.exception():
            body.set_exception(error)
        elif (parts := reading.result()) is not None:
            body.set_result(b"".join((*parts, tail)))
        elif self._failure is not None:
            body.set_exception(self._failure)
        else:
            self._on_not_found(row, body)

    def _on_not_found(self, row: Row, body: asyncio.Future[bytes | None]) -> None:
        """The body was replaced while it was being read, or it is damaged."""
        handle = row.entry.handle
        now = self._index.row(handle)
        if now is not None and now.body == row.body and not now.is_damaged:
            self._number += 1
            self._submit(self._planner.mark_damaged(self._number, now))
            self._observer.record(BlockDamaged(handle))
        self._load(handle, body)


def _closed() -> OSError:
    return OSError(errno.EBADF, "the vault is closed")
