"""Keeping both bodies where two were signed for one version (crypto 4.2).

Writers who meet learn of each other at once. Where the key has one writer, the two bodies prove to
anybody that she equivocated.
"""

from __future__ import annotations

from epost.crypto.versioned import SINGLE_WRITER_PURPOSES
from epost.foundation.codec import encode
from epost.foundation.ids import BlockKind
from epost.foundation.ports import PutNote, VaultEntry
from epost.past.config import RIVALS_MAX
from epost.past.observed import Equivocated
from epost.past.surroundings import Surroundings

NOTES = "past.rivals"
_SINGLE_WRITER = frozenset(bytes((purpose,)) for purpose in SINGLE_WRITER_PURPOSES)


class Rivals:
    """The body that lost, for each block that has two; a bounded number of them."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._kept: int | None = None
        """How many there are; counted once, since all bodies are read for it."""

    def keep(self, entry: VaultEntry, *, loser: bytes, winner: bytes) -> None:
        """Keep the body that is not stored as the block, and tell of an equivocation."""
        if entry.handle.kind is BlockKind.KEY and entry.proof in _SINGLE_WRITER:
            evidence = Equivocated(entry.handle, entry.version, (winner, loser))
            self._around.observer.record(evidence)
        vault, key = self._around.vault, encode(entry.handle)
        if vault.note(NOTES, key) is None:
            if self._kept is None:
                self._kept = len(vault.notes(NOTES))
            if self._kept >= RIVALS_MAX:
                return
            self._kept += 1
        self._around.outbox.write(PutNote(NOTES, key, loser))
