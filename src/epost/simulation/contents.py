"""What is on a simulated disk: rows with bodies, their order on the ring, notes, totals."""

from __future__ import annotations

import zlib
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from heapq import nsmallest

from epost.foundation.ids import BlockKind, Handle, Id
from epost.foundation.ports import (
    DeleteNote,
    ExtendBlock,
    PutBlock,
    PutNote,
    Role,
    VaultEntry,
    Write,
)
from epost.node.vault_rows import (
    BlockWrite,
    Position,
    Totals,
    arc_ranges,
    behind_place,
    handle_of,
    position,
    row_after,
)


@dataclass(frozen=True, slots=True)
class Stored:
    """One block as it lies on the disk."""

    entry: VaultEntry
    body: bytes
    checksum: int
    is_damaged: bool = False

    def is_sound(self) -> bool:
        """Return whether the body is what was written."""
        return zlib.crc32(self.body) == self.checksum


class Contents:
    """A disk's contents at one moment; `apply` takes them to the next."""

    def __init__(self) -> None:
        self.blocks: dict[Handle, Stored] = {}
        self._order: list[Position] = []
        self._by_role: dict[int, dict[Handle, None]] = {int(role): {} for role in Role if role}
        self.notes: dict[str, dict[bytes, bytes]] = {}
        self.totals = Totals()

    @classmethod
    def holding(cls, entries: Sequence[VaultEntry], body: bytes) -> Contents:
        """Return contents of replicas that all have one body: a large store that is cheap."""
        assert all(e.roles == Role.REPLICA and e.size == len(body) for e in entries)
        contents, checksum = cls(), zlib.crc32(body)
        contents.blocks = {e.handle: Stored(e, body, checksum) for e in entries}
        contents._order = sorted(position(e.handle) for e in entries)
        contents._by_role[Role.REPLICA] = dict.fromkeys(contents.blocks)
        count, octets = len(entries), len(entries) * len(body)
        contents.totals = Totals(
            blocks=count, bytes=octets, replicas=count, contributed_bytes=octets
        )
        return contents

    def copy(self) -> Contents:
        """Return the same contents, to go another way from here."""
        other = Contents()
        other.blocks = dict(self.blocks)
        other._order = list(self._order)
        other._by_role = {role: dict(handles) for role, handles in self._by_role.items()}
        other.notes = {table: dict(notes) for table, notes in self.notes.items()}
        other.totals = self.totals
        return other

    def entry(self, handle: Handle) -> VaultEntry | None:
        """Return the row of a sound block."""
        stored = self.blocks.get(handle)
        return None if stored is None or stored.is_damaged else stored.entry

    def apply(self, writes: Sequence[Write]) -> None:
        """Perform the writes in order."""
        for write in writes:
            match write:
                case PutNote(table, key, value):
                    self.notes.setdefault(table, {})[key] = value
                case DeleteNote(table, key):
                    self.notes.get(table, {}).pop(key, None)
                case _:
                    self._apply_to_block(write)

    def _apply_to_block(self, write: BlockWrite) -> None:
        handle = handle_of(write)
        old = self.blocks.get(handle)
        old_row = old.entry if old else None
        row = row_after(old_row, write)
        if row is None:
            self._store(handle, None)
            return
        match write:
            case PutBlock(_, body):
                self._store(handle, Stored(row, body, zlib.crc32(body)))
            case ExtendBlock(_, suffix):
                assert old is not None, "row_after has asserted it"
                checksum = zlib.crc32(suffix, old.checksum)
                body = old.body + suffix
                self._store(handle, replace(old, entry=row, body=body, checksum=checksum))
            case _:
                assert old is not None, "no row comes from nothing"
                self._store(handle, replace(old, entry=row))

    def mark_damaged(self, handle: Handle) -> None:
        """Let a block count as absent until it is put again."""
        if stored := self.blocks.get(handle):
            self._store(handle, replace(stored, is_damaged=True))

    def flip_bit(self, handle: Handle, bit: int) -> None:
        """Let a bit of a body rot; nothing notices until it is read."""
        stored = self.blocks[handle]
        rotten = bytearray(stored.body)
        rotten[bit // 8 % len(rotten)] ^= 1 << bit % 8
        self._store(handle, replace(stored, body=bytes(rotten)))

    def walk(self, start: Id, end: Id, after: Handle | None) -> Iterator[VaultEntry]:
        """Yield rows on the clockwise arc (start, end], continuing behind `after`."""
        for behind, up_to in arc_ranges(start, end, after):
            index = bisect_right(self._order, behind)
            last = bisect_right(self._order, behind_place(up_to))
            while index < last:
                _, kind, digest = self._order[index]
                if entry := self.entry(Handle(BlockKind(kind), digest)):
                    yield entry
                index += 1

    def entries_with(self, role: Role, after: Handle | None, limit: int) -> list[VaultEntry]:
        """Return rows that have a role, in handle order, continuing behind `after`."""
        having = [handles for one, handles in self._by_role.items() if one & int(role)]
        handles = {h for handles in having for h in handles if after is None or h > after}
        return [self.blocks[handle].entry for handle in nsmallest(limit, handles)]

    def _store(self, handle: Handle, new: Stored | None) -> None:
        old_entry = self.entry(handle)
        where = position(handle)
        if new is not None:
            if handle not in self.blocks:
                insort(self._order, where)
            self.blocks[handle] = new
        elif self.blocks.pop(handle, None):
            del self._order[bisect_left(self._order, where)]
        self._count(handle, old_entry, self.entry(handle))

    def _count(self, handle: Handle, old: VaultEntry | None, new: VaultEntry | None) -> None:
        self.totals = self.totals.after(old, new)
        old_roles = old.roles if old else Role.NONE
        new_roles = new.roles if new else Role.NONE
        if old_roles != new_roles:
            for role, handles in self._by_role.items():
                if role & new_roles:
                    handles[handle] = None
                else:
                    handles.pop(handle, None)
