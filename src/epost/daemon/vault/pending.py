"""What was committed but is not on disk yet: it is read before the database."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from epost.daemon.vault.rows import Row
from epost.foundation.ids import Handle

NoteName = tuple[str, bytes]


@dataclass(slots=True)
class PendingBlock:
    """A block after its newest commit: its row (None: gone) and the parts from `first_part` on."""

    number: int
    row: Row | None
    first_part: int
    parts: list[bytes] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class PendingNote:
    """A note after its newest commit (None: gone)."""

    number: int
    value: bytes | None


@dataclass(frozen=True, slots=True)
class _Touched:
    number: int
    handles: list[Handle] = field(default_factory=list)
    notes: list[NoteName] = field(default_factory=list)


class Pending:
    """Blocks and notes with the number of their newest commit; forgotten when that is on disk."""

    def __init__(self) -> None:
        self.blocks: dict[Handle, PendingBlock] = {}
        self._notes: dict[NoteName, PendingNote] = {}
        self._touched: deque[_Touched] = deque()

    def begin(self, number: int) -> None:
        """Count what follows to this commit."""
        self._touched.append(_Touched(number))

    def put(self, row: Row, body: bytes) -> None:
        """A block is new as a whole."""
        block = self._touch(row.entry.handle, row, first_part=0)
        block.first_part, block.parts = 0, [body]

    def extend(self, row: Row, suffix: bytes) -> None:
        """A block has a new row and one more part."""
        self._touch(row.entry.handle, row, first_part=row.parts - 1).parts.append(suffix)

    def put_row(self, row: Row) -> None:
        """A block has a new row."""
        self._touch(row.entry.handle, row, first_part=row.parts)

    def drop(self, handle: Handle) -> None:
        """A block is gone."""
        self._touch(handle, None, first_part=0).parts.clear()

    def put_note(self, table: str, key: bytes, value: bytes | None) -> None:
        """A note has a new value; None: it is gone."""
        touched = self._touched[-1]
        touched.notes.append((table, key))
        self._notes[table, key] = PendingNote(touched.number, value)

    def note(self, table: str, key: bytes) -> PendingNote | None:
        """Return a note if it is pending."""
        return self._notes.get((table, key))

    def notes(self, table: str) -> Iterator[tuple[bytes, bytes | None]]:
        """Yield the pending notes of a table; None: it is gone."""
        return ((key, note.value) for (name, key), note in self._notes.items() if name == table)

    def forget(self, number: int) -> list[tuple[Handle, Row | None]]:
        """Everything up to this commit is on disk; return the rows that are there by now."""
        written: list[tuple[Handle, Row | None]] = []
        while self._touched and self._touched[0].number <= number:
            touched = self._touched.popleft()
            for handle in touched.handles:
                block = self.blocks.get(handle)
                if block is not None and block.number == touched.number:
                    del self.blocks[handle]
                    written.append((handle, block.row))
            for name in touched.notes:
                note = self._notes.get(name)
                if note is not None and note.number == touched.number:
                    del self._notes[name]
        return written

    def _touch(self, handle: Handle, row: Row | None, *, first_part: int) -> PendingBlock:
        touched = self._touched[-1]
        touched.handles.append(handle)
        block = self.blocks.get(handle)
        if block is None or block.row is None:
            block = self.blocks[handle] = PendingBlock(touched.number, row, first_part)
        block.number, block.row = touched.number, row
        return block
