"""Rows of the index as they lie in the database, and the questions asked about them.

Every answer is read to its end: a question left half-way keeps its connection at what the database
was like when it was asked, and hides all later commits from every other question.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import apsw

from epost.foundation.ids import BlockKind, Handle, Id
from epost.foundation.ports import Role, VaultEntry
from epost.node.vault_rows import Position

_COLUMNS = """kind, digest, size, roles, version, body_hash, proof, ticket, stand_in_for,
  body, parts, is_damaged"""
_ONE = f"SELECT {_COLUMNS} FROM blocks WHERE kind = ? AND digest = ? LIMIT 1"  # noqa: S608
_RANGE = f"""
SELECT {_COLUMNS} FROM blocks
WHERE (place, kind, digest) > (?, ?, ?) AND place <= ? AND NOT is_damaged
ORDER BY place, kind, digest LIMIT ?"""  # noqa: S608
_PUT = f"""
INSERT INTO blocks ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (kind, digest) DO UPDATE SET
  size = excluded.size, roles = excluded.roles, version = excluded.version,
  body_hash = excluded.body_hash, proof = excluded.proof, ticket = excluded.ticket,
  stand_in_for = excluded.stand_in_for, body = excluded.body, parts = excluded.parts,
  is_damaged = excluded.is_damaged"""  # noqa: S608
_DROP = "DELETE FROM blocks WHERE kind = ? AND digest = ?"

_Columns = tuple[int, bytes, int, int, int, bytes, bytes, bytes, bytes, int, int, int]


@dataclass(frozen=True, slots=True)
class Row:
    """An entry and where its body lies: the number of the body and of its parts."""

    entry: VaultEntry
    body: int
    parts: int
    is_damaged: bool = False

    def sound(self) -> VaultEntry | None:
        """Return the entry, None if the body is damaged."""
        return None if self.is_damaged else self.entry


def find_row(connection: apsw.Connection, handle: Handle) -> Row | None:
    """Return the row of a block."""
    for columns in connection.execute(_ONE, (handle.kind, handle.digest)):
        return _row(columns)
    return None


def rows_in_range(
    connection: apsw.Connection, behind: Position, up_to: Id, limit: int
) -> Sequence[Row]:
    """Return the first sound rows behind a position up to and including a place."""
    return [_row(columns) for columns in connection.execute(_RANGE, (*behind, up_to, limit))]


def rows_with(
    connection: apsw.Connection, role: Role, after: Handle | None, limit: int
) -> Sequence[Row]:
    """Return the first sound rows that have one role, in handle order."""
    behind = (0, b"") if after is None else (after.kind, after.digest)
    # The role is written out so that SQLite sees which partial index serves.
    question = f"""
        SELECT {_COLUMNS} FROM blocks
        WHERE roles & {int(role)} AND (kind, digest) > (?, ?) AND NOT is_damaged
        ORDER BY kind, digest LIMIT ?"""  # noqa: S608
    return [_row(columns) for columns in connection.execute(question, (*behind, limit))]


def put_row(connection: apsw.Connection, row: Row) -> None:
    """Write the row of a block."""
    entry = row.entry
    columns: _Columns = (
        *(entry.handle.kind, entry.handle.digest, entry.size, entry.roles, entry.version),
        *(entry.body_hash, entry.proof, entry.ticket, entry.stand_in_for),
        *(row.body, row.parts, row.is_damaged),
    )
    connection.execute(_PUT, columns)


def drop_row(connection: apsw.Connection, handle: Handle) -> None:
    """Remove the row of a block."""
    connection.execute(_DROP, (handle.kind, handle.digest))


def _row(columns: _Columns) -> Row:
    kind, digest, size, roles, version, body_hash, proof, ticket, stand_in_for, *where = columns
    handle = Handle(BlockKind(kind), digest)
    entry = VaultEntry(handle, size, Role(roles), version, body_hash, proof, ticket, stand_in_for)
    body, parts, is_damaged = where
    return Row(entry, body, parts, bool(is_damaged))
