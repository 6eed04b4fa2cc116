"""Entries on their way into the log, and what is promised for them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from epost.past.durability import Durability
from epost.post.logs.entries import Entry


@dataclass(frozen=True, slots=True)
class Appended:
    """Entries are in the log, numbered from `first_sequence`; `durability` says how safely."""

    first_sequence: int
    durability: Durability


@dataclass(slots=True)
class Append:
    """Entries that somebody waits for."""

    entries: Sequence[Entry]
    done: asyncio.Future[Appended]
    first_sequence: int = 0
    deadline: asyncio.TimerHandle | None = None

    @property
    def last_sequence(self) -> int:
        """The number of the last of them."""
        return self.first_sequence + len(self.entries) - 1

    def finish(self, durability: Durability) -> None:
        """Tell whoever waits, if nobody has yet."""
        if self.deadline is not None:
            self.deadline.cancel()  # it would keep the entries in memory until then
        if not self.done.done():
            self.done.set_result(Appended(self.first_sequence, durability))
