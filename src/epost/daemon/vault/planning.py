"""What a commit means for the tables: rows, parts of bodies, notes and totals to be written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from epost.daemon.vault.bodies import part_id
from epost.daemon.vault.index import Index
from epost.daemon.vault.rows import Row
from epost.daemon.vault.writer import Change, DropBody, DropRow, PutPart, PutRow
from epost.foundation.ids import Handle
from epost.foundation.ports import (
    DeleteNote,
    ExtendBlock,
    PutBlock,
    PutNote,
    VaultEntry,
    Write,
)
from epost.node.fingerprints import Fingerprints
from epost.node.vault_rows import BlockWrite, Totals, handle_of, row_after


class Planner:
    """Turns writes into changes, noting in the index what will be; counts the totals."""

    def __init__(
        self, index: Index, fingerprints: Fingerprints, totals: Totals, next_body: int
    ) -> None:
        self._index = index
        self._fingerprints = fingerprints
        self._next_body = next_body
        self.totals = totals

    def changes(self, number: int, writes: Sequence[Write]) -> Sequence[Change]:
        """Return the changes of a commit, which is pending from now on."""
        self._index.pending.begin(number)
        changes: list[Change] = []
        for write in writes:
            match write:
                case PutNote(table, key, value):
                    self._index.pending.put_note(table, key, value)
                    changes.append(write)
                case DeleteNote(table, key):
                    self._index.pending.put_note(table, key, None)
                    changes.append(write)
                case _:
                    changes += self._to_block(write)
        return changes

    def mark_damaged(self, number: int, row: Row) -> Sequence[Change]:
        """Return the change that lets a block count as absent."""
        self._index.pending.begin(number)
        return self._with_row(row, replace(row, is_damaged=True))

    def _to_block(self, write: BlockWrite) -> Sequence[Change]:
        handle = handle_of(write)
        old = self._index.row(handle)
        entry = row_after(old.entry if old else None, write)
        match write:
            case _ if entry is None:
                return self._without(handle, old)
            case PutBlock(_, body):
                return self._with_body(old, entry, body)
            case ExtendBlock(_, suffix):
                assert old is not None, "row_after has asserted it"
                return self._with_part(old, entry, suffix)
            case _:
                assert old is not None, "no row comes from nothing"
                return self._with_row(old, replace(old, entry=entry))

    def _without(self, handle: Handle, old: Row | None) -> Sequence[Change]:
        if old is None:
            return ()
        self._index.pending.drop(handle)
        self._account(handle, old, None)
        return DropRow(handle), DropBody(old.body)

    def _with_body(self, old: Row | None, entry: VaultEntry, body: bytes) -> Sequence[Change]:
        new = Row(entry, self._next_body, parts=1)
        self._next_body += 1
        self._index.pending.put(new, body)
        self._account(entry.handle, old, new)
        dropped = () if old is None else (DropBody(old.body),)
        return *dropped, PutPart(part_id(new.body, 0), body), PutRow(new)

    def _with_part(self, old: Row, entry: VaultEntry, suffix: bytes) -> Sequence[Change]:
        new = replace(old, entry=entry, parts=old.parts + 1)
        self._index.pending.extend(new, suffix)
        self._account(entry.handle, old, new)
        return PutPart(part_id(new.body, old.parts), suffix), PutRow(new)

    def _with_row(self, old: Row, new: Row) -> Sequence[Change]:
        self._index.pending.put_row(new)
        self._account(new.entry.handle, old, new)
        return (PutRow(new),)

    def _account(self, handle: Handle, old: Row | None, new: Row | None) -> None:
        """Tell whoever counts of a change that is pending by now."""
        self._index.on_changed(handle)
        before = None if old is None else old.sound()
        after = None if new is None else new.sound()
        self.totals = self.totals.after(before, after)
        self._fingerprints.replace(before, after)
