"""The index as the loop's thread reads it: what is pending first, the database behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import merge
from itertools import chain, groupby, islice

import apsw

from epost.daemon.vault.database import DISK_ERRORS
from epost.daemon.vault.pending import Pending
from epost.daemon.vault.rows import Row, find_row, rows_in_range, rows_with
from epost.foundation.ids import Handle, Id
from epost.foundation.ports import Role, VaultEntry
from epost.node.vault_rows import Position, arc_ranges, behind_place, position

_NOTE = "SELECT value FROM notes WHERE name = ? AND key = ?"
_NOTES = "SELECT key, value FROM notes WHERE name = ?"


ROWS_REMEMBERED_MAX = 256
"""A put asks ten times for the same few rows."""


class Index:
    """Rows and notes after all commits so far, durable or not."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self.pending = Pending()
        self._read: dict[Handle, Row | None] = {}

    def row(self, handle: Handle) -> Row | None:
        """Return the row of a block, sound or damaged."""
        pending = self.pending.blocks.get(handle)
        if pending is not None:
            return pending.row
        if handle in self._read:
            return self._read[handle]
        with DISK_ERRORS:
            row = find_row(self._connection, handle)
        self._remember(handle, row)
        return row

    def on_changed(self, handle: Handle) -> None:
        """A row is pending: once it is written the database will have another than was read."""
        self._read.pop(handle, None)

    def on_written(self, number: int) -> None:
        """Everything up to this commit is on disk; its rows are likely to be asked for again."""
        for handle, row in self.pending.forget(number):
            self._remember(handle, row)

    def _remember(self, handle: Handle, row: Row | None) -> None:
        if len(self._read) >= ROWS_REMEMBERED_MAX:
            del self._read[next(iter(self._read))]
        self._read[handle] = row

    def between(self, start: Id, end: Id, after: Handle | None, limit: int) -> Sequence[VaultEntry]:
        """Return rows on the clockwise arc (start, end] behind `after`."""
        ranges = arc_ranges(start, end, after)
        parts = (self._in_range(behind, up_to, limit) for behind, up_to in ranges)
        with DISK_ERRORS:
            return list(islice(chain.from_iterable(parts), limit))

    def with_role(self, role: Role, after: Handle | None, limit: int) -> Sequence[VaultEntry]:
        """Return rows that have a role, in handle order behind `after`."""

        def is_meant(entry: VaultEntry) -> bool:
            return bool(entry.roles & role) and (after is None or entry.handle > after)

        with DISK_ERRORS:
            stored = self._stored_with(role, after, self._enough(limit))
            return list(islice(self._over(stored, is_meant, _handle), limit))

    def note(self, table: str, key: bytes) -> bytes | None:
        """Return a note, or None."""
        if (pending := self.pending.note(table, key)) is not None:
            return pending.value
        with DISK_ERRORS:
            for (value,) in self._connection.execute(_NOTE, (table, key)):
                return bytes(value)
        return None

    def notes(self, table: str) -> Sequence[tuple[bytes, bytes]]:
        """Return all notes of a table in key order."""
        with DISK_ERRORS:
            notes: dict[bytes, bytes | None] = dict(self._connection.execute(_NOTES, (table,)))
        notes.update(self.pending.notes(table))
        return sorted((key, value) for key, value in notes.items() if value is not None)

    def _enough(self, limit: int) -> int:
        """Return how many rows to read so that `limit` are left under the pending ones.

        A limit is part of every question, since its answer is read to the end (see `rows`).
        """
        return limit + len(self.pending.blocks)

    def _in_range(self, behind: Position, up_to: Id, limit: int) -> Iterator[VaultEntry]:
        def is_meant(entry: VaultEntry) -> bool:
            return behind < position(entry.handle) < behind_place(up_to)

        stored = rows_in_range(self._connection, behind, up_to, self._enough(limit))
        return self._over(stored, is_meant, _position)

    def _stored_with(self, roles: Role, after: Handle | None, limit: int) -> Iterator[Row]:
        """Each role has an index of its own; what has several of them is yielded once."""
        each = (rows_with(self._connection, role, after, limit) for role in Role if role & roles)
        in_order = merge(*each, key=_handle_of_row)
        return (next(same) for _, same in groupby(in_order, key=_handle_of_row))

    def _over(
        self,
        stored: Iterable[Row],
        is_meant: Callable[[VaultEntry], bool],
        key: Callable[[VaultEntry], Position | Handle],
    ) -> Iterator[VaultEntry]:
        """Lay the pending rows over those of the database, both in the order of the key."""
        blocks = self.pending.blocks
        if not blocks:
            return (row.entry for row in stored)
        untouched = (row.entry for row in stored if row.entry.handle not in blocks)
        entries = (block.row.sound() for block in blocks.values() if block.row is not None)
        pending = sorted((entry for entry in entries if entry and is_meant(entry)), key=key)
        return merge(untouched, pending, key=key)


def _position(entry: VaultEntry) -> Position:
    return position(entry.handle)


def _handle(entry: VaultEntry) -> Handle:
    return entry.handle


def _handle_of_row(row: Row) -> Handle:
    return row.entry.handle
