"""What every vault has in common: what a write does to a row and to the totals, and the order of
rows along the ring."""

from __future__ import annotations

from dataclasses import dataclass, replace

from epost.foundation.ids import ID_BYTES, Handle, Id
from epost.foundation.ports import (
    HELD,
    DeleteBlock,
    DeleteNote,
    ExtendBlock,
    PutBlock,
    PutNote,
    Role,
    SetRoles,
    SetTicket,
    VaultCounts,
    VaultEntry,
    Write,
)

NOTE_SIZE_MAX = 1024 * 1024
CONTRIBUTED = HELD | Role.TRASH
"""Roles that use up the space contributed to the ring; a mirror is its owner's own affair, and what
is cached gives way."""
WITH_PARTNER = Role.STAND_IN | Role.DIVERTED | Role.POINTER
"""Roles for which a row names another node."""
ENDED_BY_PUT = Role.POINTER | Role.CACHED | Role.TRASH

Position = tuple[bytes, int, bytes]
"""Where a row stands in the order along the ring: place, kind, digest."""

_LAST_PLACE = b"\xff" * ID_BYTES
_BEFORE_ALL: Position = (b"", 0, b"")

BlockWrite = PutBlock | ExtendBlock | SetRoles | SetTicket | DeleteBlock


def handle_of(write: BlockWrite) -> Handle:
    """Return the block that a write is about."""
    return write.entry.handle if isinstance(write, PutBlock | ExtendBlock) else write.handle


def require_valid(write: Write) -> None:
    """Assert what holds for every write whatever the vault contains: sizes, roles of a put."""
    match write:
        case PutBlock(entry, body):
            assert entry.size == len(body), f"{entry.handle}: {entry.size} is not its size"
        case PutNote(table, _, value):
            assert len(value) <= NOTE_SIZE_MAX, f"a note of {len(value)} bytes in {table}"
        case ExtendBlock() | SetRoles() | SetTicket() | DeleteBlock() | DeleteNote():
            pass


def row_after(row: VaultEntry | None, write: BlockWrite) -> VaultEntry | None:
    """Return the row of a block after a write; None if it is gone.

    `row` is what was there, also if its body is damaged: its roles live on in the copy that
    replaces it, while an extension leaves it damaged. Extending what is absent is a bug of the
    caller.
    """
    match write:
        case PutBlock(entry):
            new = _united(row, entry)
            assert new.roles, f"{entry.handle} is put without a role"
            return new
        case ExtendBlock(entry, suffix):
            assert row is not None, f"{entry.handle} is not here to be extended"
            assert entry.size == row.size + len(suffix), f"{entry.handle}: wrong size"
            return _united(row, entry)
        case SetRoles(_, add, remove):
            return None if row is None else _with_roles(row, (row.roles | add) & ~remove)
        case SetTicket(_, ticket):
            return None if row is None else replace(row, ticket=ticket)
        case DeleteBlock():
            return None


def _united(old: VaultEntry | None, new: VaultEntry) -> VaultEntry:
    """A new row keeps the lasting roles of the old one, and for whom that stood in."""
    if old is None:
        return new
    roles = old.roles & ~ENDED_BY_PUT | new.roles
    partner = new.stand_in_for or (old.stand_in_for if roles & WITH_PARTNER else b"")
    if roles == new.roles and partner == new.stand_in_for:
        return new
    return replace(new, roles=roles, stand_in_for=partner)


def _with_roles(row: VaultEntry, roles: Role) -> VaultEntry | None:
    if not roles:
        return None
    stand_in_for = row.stand_in_for if roles & WITH_PARTNER else b""
    return replace(row, roles=roles, stand_in_for=stand_in_for)


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts of sound blocks and the bytes that count against the contributed space."""

    blocks: int = 0
    bytes: int = 0
    replicas: int = 0
    stand_ins: int = 0
    mirrored: int = 0
    unpushed: int = 0
    contributed_bytes: int = 0
    diverted: int = 0
    pointers: int = 0
    cached: int = 0
    cached_bytes: int = 0
    trashed: int = 0
    trashed_bytes: int = 0

    def after(self, old: VaultEntry | None, new: VaultEntry | None) -> Totals:
        """Return the totals after one row was replaced by another."""
        share_of_old, share_of_new = _share_of(old), _share_of(new)
        if share_of_old == share_of_new:
            return self
        each = zip(self._numbers(), share_of_old, share_of_new, strict=True)
        return Totals(*[number - lost + gained for number, lost, gained in each])

    def counts(self) -> VaultCounts:
        """Return what `epost status` shows."""
        return VaultCounts(
            self.blocks,
            self.bytes,
            self.replicas,
            self.stand_ins,
            self.mirrored,
            self.unpushed,
            self.diverted,
            self.pointers,
            self.cached,
            self.cached_bytes,
            self.trashed,
            self.trashed_bytes,
        )

    def _numbers(self) -> _Numbers:
        return (
            *(self.blocks, self.bytes, self.replicas, self.stand_ins, self.mirrored),
            *(self.unpushed, self.contributed_bytes, self.diverted, self.pointers),
            *(self.cached, self.cached_bytes, self.trashed, self.trashed_bytes),
        )


_Numbers = tuple[int, int, int, int, int, int, int, int, int, int, int, int, int]


def _share_of(row: VaultEntry | None) -> _Numbers:
    """Return what one row adds to each of the totals."""
    if row is None:
        return _NOTHING
    size, counts = row.size, _COUNTS[row.roles]
    replica, stand_in, mirror, unpushed, contributed, diverted, pointer, cached, trash = counts
    only_cached = row.roles == Role.CACHED
    return (
        *(1, size, replica, stand_in, mirror, unpushed, contributed * size, diverted, pointer),
        *(cached, only_cached * size, trash, trash * size),
    )


_COUNTED = (
    *(Role.REPLICA, Role.STAND_IN, Role.MIRROR, Role.UNPUSHED, CONTRIBUTED),
    *(Role.DIVERTED, Role.POINTER, Role.CACHED, Role.TRASH),
)
# By roles: each change of a row asks twice.
_COUNTS = tuple(
    tuple(int(bool(Role(roles) & role)) for role in _COUNTED) for roles in range(2 * Role.TRASH)
)
_NOTHING: _Numbers = (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)


def position(handle: Handle) -> Position:
    """Return where a block stands in the order along the ring."""
    return handle.place, handle.kind, handle.digest


def behind_place(place: bytes) -> Position:
    """Return a position behind every block at a place."""
    return place, 0xFF, b""


def arc_ranges(start: Id, end: Id, after: Handle | None) -> list[tuple[Position, Id]]:
    """Cut the clockwise arc (start, end] into ranges that do not wrap.

    A range (position, place) holds what is behind the position, up to and including the place.
    With `after`, what comes up to and including that block is left out.
    """
    wraps = start >= end
    ranges = [(behind_place(start), Id(_LAST_PLACE) if wraps else end)]
    if wraps:
        ranges.append((_BEFORE_ALL, end))
    if after is None:
        return ranges
    if after.place > start:
        return [(position(after), ranges[0][1]), *ranges[1:]]
    return [(position(after), end)] if wraps else []
