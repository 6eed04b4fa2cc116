"""Until when a block is leased: by the ticket of its last insertion, or by a renewal since.

A renewal names nobody and needs no ticket, so it is only a time: whoever asks for more, gets it,
up to 401 days ahead. It is noted beside the block, since the ticket is signed, and whoever gives
the block to another replica says it too.
"""

from __future__ import annotations

from epost.crypto.hashing import u64
from epost.foundation.codec import encode
from epost.foundation.ids import BlockKind, Handle
from epost.foundation.ports import PutNote, Vault, VaultEntry
from epost.past.tickets import recall_lease

LEASE_NOTES = "past.leases"
LEASED = frozenset({BlockKind.CONTENT, BlockKind.CLUSTER})
"""Kinds of blocks whose lease ends; the others have no end, or times of their own."""


def leased_until(vault: Vault, entry: VaultEntry) -> int:
    """Return when the lease of a block that has a ticket ends, in ms since 1970."""
    return max(recall_lease(entry.ticket), renewed_until(vault, entry.handle))


def renewed_until(vault: Vault, handle: Handle) -> int:
    """Return until when a block was renewed, in ms since 1970; 0 if it never was."""
    note = vault.note(LEASE_NOTES, encode(handle))
    return 0 if note is None else int.from_bytes(note, "big")


def noted(handle: Handle, until: int) -> PutNote:
    """Return the write that notes a renewal."""
    return PutNote(LEASE_NOTES, encode(handle), u64(until))
