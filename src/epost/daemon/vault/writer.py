"""The thread that writes: whatever was committed during the last flush goes to disk as one.

Group commit makes many small commits as cheap as a large one, and nobody waits for a timer: what
finds the thread idle is written at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue

import apsw
import msgspec

from epost.daemon.checkpoints import Checkpoints
from epost.daemon.vault.bodies import BodyFiles, drop_body, put_part
from epost.daemon.vault.database import CHECKPOINT_PAGES, DISK_ERRORS, LOG_PAGES_MAX
from epost.daemon.vault.rows import Row, drop_row, put_row
from epost.foundation.errors import DiskFull
from epost.foundation.ids import Handle
from epost.foundation.ports import DeleteNote, PutNote
from epost.node.vault_rows import Totals

GROUP_COMMITS_MAX = 2000
FREE_PAGES_KEPT = 4096
"""Pages of 4 KiB that stay in the file for what is written next: 16 MiB."""
VACUUM_PAGES_MAX = 1024
"""Given back at a time: 4 MiB, some ten milliseconds."""
GROUPS_PER_VACUUM = 16
"""To look for free pages costs a tenth of a group of commits: only every so many look."""

_PUT_NOTE = """
INSERT INTO notes (name, key, value) VALUES (?, ?, ?)
ON CONFLICT (name, key) DO UPDATE SET value = excluded.value"""
_DROP_NOTE = "DELETE FROM notes WHERE name = ? AND key = ?"
_PUT_TOTALS = "INSERT OR REPLACE INTO totals (only, value) VALUES (1, ?)"
_TOTALS = "SELECT value FROM totals"


@dataclass(frozen=True, slots=True)
class PutRow:
    """Write a row of the index."""

    row: Row


@dataclass(frozen=True, slots=True)
class DropRow:
    """Remove a row of the index."""

    handle: Handle


@dataclass(frozen=True, slots=True)
class PutPart:
    """Write a part of a body under its key."""

    key: int
    body: bytes


@dataclass(frozen=True, slots=True)
class DropBody:
    """Remove all parts of a body."""

    body: int


Change = PutRow | DropRow | PutPart | DropBody | PutNote | DeleteNote


@dataclass(frozen=True, slots=True)
class Commit:
    """Changes to be written all or none, and the totals after them."""

    number: int
    changes: Sequence[Change]
    totals: Totals

    def size_bytes(self) -> int:
        """Return roughly how much room the disk needs for it."""
        return sum(len(change.body) for change in self.changes if isinstance(change, PutPart))


def stored_totals(connection: apsw.Connection) -> Totals:
    """Return the totals after the last commit."""
    for (value,) in connection.execute(_TOTALS):
        return msgspec.msgpack.decode(value, type=Totals)
    return Totals()


class Writer:
    """Owns the writing connection. `on_written(number, error)` is called on the thread, for the
    last commit of each group; after an error nothing is written any more."""

    def __init__(
        self,
        connection: apsw.Connection,
        files: BodyFiles,
        checkpoints: Checkpoints,
        on_written: Callable[[int, OSError | DiskFull | None], None],
    ) -> None:
        self._connection = connection
        self._files = files
        self._checkpoints = checkpoints
        self._has_asked = False
        connection.set_wal_hook(self._on_wal)
        self._on_written = on_written
        self._queue: SimpleQueue[Sequence[Commit]] = SimpleQueue()
        self._groups = 0
        self._thread = threading.Thread(target=self._run, name="vault writer", daemon=True)
        self._thread.start()

    def submit(self, commits: Sequence[Commit]) -> None:
        """Have commits written, at least one, as soon as the last group is."""
        self._queue.put(commits)

    def finish(self) -> None:
        """Write what was submitted and end the thread; waits for it."""
        self._queue.put(())
        self._thread.join()

    def _run(self) -> None:
        failure: OSError | DiskFull | None = None
        while group := self._next_group():
            try:
                if failure is None:
                    self._write(group)
            except (OSError, DiskFull) as error:
                failure = error
            self._on_written(group[-1].number, failure)

    def _next_group(self) -> list[Commit]:
        """Wait for commits and take all that are there by then; empty at the end."""
        group = list(self._queue.get())
        while group and len(group) < GROUP_COMMITS_MAX:
            try:
                more = self._queue.get_nowait()
            except Empty:
                break
            if not more:
                self._queue.put(more)  # seen too early: the group comes first
                break
            group += more
        return group

    def _write(self, group: Sequence[Commit]) -> None:
        with DISK_ERRORS:
            # An error ends all writing, so nothing is rolled back here: closing does that.
            self._connection.execute("BEGIN IMMEDIATE")
            dropped, has_new_files = self._apply(group)
            if has_new_files:
                self._files.flush()
            self._connection.execute("COMMIT")
            for key in dropped:
                self._files.remove(key)
            self._groups += 1
            if self._groups % GROUPS_PER_VACUUM == 0:
                self._give_back_space()

    def _on_wal(self, connection: apsw.Connection, _name: str, pages: int) -> int:
        """Have most of the log moved beside the commits, and do the rest: then it begins anew."""
        if pages >= LOG_PAGES_MAX:
            with suppress(apsw.Error):  # one is under way; or the next commit fails, too
                connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        elif pages < CHECKPOINT_PAGES:
            self._has_asked = False
        elif not self._has_asked:
            self._has_asked = True
            self._checkpoints.ask()
        return apsw.SQLITE_OK

    def _give_back_space(self) -> None:
        """Give pages that were freed back to the disk, some at a time; some stay for later."""
        free = self._connection.pragma("freelist_count")
        if free > FREE_PAGES_KEPT:
            pages = min(free - FREE_PAGES_KEPT, VACUUM_PAGES_MAX)
            self._connection.execute(f"PRAGMA incremental_vacuum({pages})").fetchall()

    def _apply(self, group: Sequence[Commit]) -> tuple[list[int], bool]:
        connection = self._connection
        dropped: list[int] = []
        has_new_files = False
        for commit in group:
            for change in commit.changes:
                match change:
                    case PutRow(row):
                        put_row(connection, row)
                    case DropRow(handle):
                        drop_row(connection, handle)
                    case PutPart(key, body):
                        has_new_files |= put_part(connection, self._files, key, body)
                    case DropBody(body_number):
                        dropped += drop_body(connection, body_number)
                    case PutNote(table, key_of_note, value):
                        connection.execute(_PUT_NOTE, (table, key_of_note, value))
                    case DeleteNote(table, key_of_note):
                        connection.execute(_DROP_NOTE, (table, key_of_note))
        totals = msgspec.msgpack.encode(group[-1].totals)
        connection.execute(_PUT_TOTALS, (totals,))
        return dropped, has_new_files
