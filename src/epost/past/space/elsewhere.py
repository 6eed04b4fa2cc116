"""Both ends of replicas that lie elsewhere than they belong, as one part of the replica machine."""

from __future__ import annotations

from typing import assert_never

from epost.foundation.effects import Caller
from epost.foundation.ids import NodeHandle
from epost.foundation.ports import VaultEntry
from epost.past.admission import Admission, Admitted
from epost.past.ring_view import Membership
from epost.past.shelf import Shelf, is_held, is_pointer
from epost.past.space.diversion import Diversion
from epost.past.space.keeping import Keeping
from epost.past.space.words import AskRoom, Check, Divert, Diverted, Lost, Point, Room, SpaceWord
from epost.past.surroundings import Surroundings


class Elsewhere:
    """Diverts what does not fit, keeps what others divert, looks after both."""

    def __init__(
        self, around: Surroundings, membership: Membership, admission: Admission, shelf: Shelf
    ) -> None:
        self._clock = around.clock
        self._diversion = Diversion(around, membership, admission, shelf)
        self._keeping = Keeping(around, membership, admission, shelf)

    def divert(self, admitted: Admitted, block: bytes, caller: Caller | None = None) -> None:
        """Have a neighbour keep a block; then, or when none does, the caller is answered."""
        self._diversion.begin(admitted, block, caller, self._clock.now())

    def holder(self, entry: VaultEntry) -> NodeHandle | None:
        """Return the node to which a pointer leads, if it is live."""
        return self._keeping.holder(entry)

    def holds(self, entry: VaultEntry | None) -> bool:
        """Does this row stand for one of the ring's copies, here or with a live neighbour?"""
        if entry is None or not is_held(entry):
            return False
        return not is_pointer(entry) or self.holder(entry) is not None

    def on_word(self, sender: NodeHandle, word: SpaceWord, now: float) -> None:
        """Take a notification of a neighbour."""
        match word:
            case AskRoom():
                self._keeping.on_ask_room(sender)
            case Room():
                self._diversion.on_room(sender.id, word, now)
            case Divert():
                self._keeping.on_divert(sender, word, now)
            case Diverted():
                self._diversion.on_diverted(sender.id, word)
            case Point():
                self._keeping.on_point(sender, word)
            case Check():
                self._keeping.on_check(sender, word, now)
            case Lost():
                self._keeping.on_lost(sender, word)
            case _:
                assert_never(word)

    def tick(self, now: float) -> None:
        """Give up what waited too long; look after pointers and what is kept for others."""
        self._diversion.tick(now)
        self._keeping.tick(now)
