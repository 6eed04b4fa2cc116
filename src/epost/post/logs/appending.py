"""Entries on their way into the log, and what is promised for them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from epost.foundation.errors import Overloaded
from epost.past.durability import Durability
from epost.post.logs.entries import Entry

ENTRIES_WAITING_MAX = 10_000
ENTRIES_PER_COMMIT_MAX = 256
GATHERING_PAUSES_MAX = 5
RECORDS_GATHERED_MAX = 64
"""Records that nobody waits for gather for so many pauses, and so many of them, at most."""

OnItsWay = Callable[[], None] | None
"""Called when the own disk has the entries and the ring is in reach; None if somebody waits until
the ring has them."""


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
    on_its_way: OnItsWay = None
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


class WaitingAppends:
    """Appends that wait for the disk, in order, and not too many."""

    def __init__(self) -> None:
        self._appends: deque[Append] = deque()
        self._entries = 0

    def __bool__(self) -> bool:
        return bool(self._appends)

    def add(self, append: Append) -> None:
        """Let an append wait; raises Overloaded."""
        if self._entries + len(append.entries) > ENTRIES_WAITING_MAX:
            raise Overloaded("too many log entries wait for the disk")
        self._appends.append(append)
        self._entries += len(append.entries)

    def take_batch(self) -> list[Append]:
        """Return those that share the next commit: at least one, if any waits."""
        batch: list[Append] = []
        room = ENTRIES_PER_COMMIT_MAX
        while self._appends and (not batch or len(self._appends[0].entries) <= room):
            batch.append(self._appends.popleft())
            room -= len(batch[-1].entries)
            self._entries -= len(batch[-1].entries)
        return batch


async def have_gathered(count: Callable[[], int], pause_seconds: float) -> None:
    """Return when no more records come within a pause, or when many have; `count` counts them."""
    for _ in range(GATHERING_PAUSES_MAX):
        before = count()
        await asyncio.sleep(pause_seconds)
        if not before < count() < RECORDS_GATHERED_MAX:
            return
