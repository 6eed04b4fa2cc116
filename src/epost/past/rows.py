"""What two replicas compare: rows of (handle, version, mark), in slices of the ring."""

from __future__ import annotations

from epost.foundation.ids import BlockKind, Id
from epost.foundation.ports import Vault, VaultEntry
from epost.past.messages import MARK_BYTES, Row
from epost.past.shelf import is_held


def row_of(entry: VaultEntry) -> Row:
    """Return what others need to know of a block held here."""
    return Row(entry.handle, entry.version, entry.body_hash[:MARK_BYTES])


def is_newer(row: Row, held: Row | None) -> bool:
    """Is the other node's block one that this node lacks, or has only older?"""
    if held is None:
        return True
    if row.handle.kind in {BlockKind.CONTENT, BlockKind.PENDING}:
        return False
    if row.handle.kind in {BlockKind.CLUSTER, BlockKind.RECEIPT}:
        return row.version > held.version
    return (row.version, row.mark) > (held.version, held.mark)


def held_slice(vault: Vault, start: Id, end: Id, limit: int) -> tuple[list[VaultEntry], Id]:
    """Return the held blocks of a slice that begins after `start`, and where the slice ends.

    It has about `limit` rows, and ends between two places: blocks of one place stay together.
    """
    entries = list(vault.entries_between(start, end, limit=limit))
    if len(entries) == limit:
        last = entries[-1].handle.place
        while len(entries) > 1 and entries[-1].handle.place == last:
            entries.pop()
        end = entries[-1].handle.place
    return [entry for entry in entries if is_held(entry)], end
