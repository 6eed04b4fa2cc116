"""What the logs told and the index has not taken yet, and how much of it is taken at once.

A transaction costs the pages that it changes, whatever changes in them, and mails have random
names: so where much waits, much is taken at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from epost.apps.mail.log.folding import weight
from epost.apps.mail.log.records import Record
from epost.apps.mail.log.snapshot_rows import MailPage
from epost.foundation.errors import EpostError

WEIGHT_PER_SLICE_MAX = 250
"""Some milliseconds; the weight of a record is how many mails it names."""
BULK_WEIGHT_MIN = 1000
"""Where so much waits, somebody brings or changes very many mails."""
BULK_WEIGHT_PER_SLICE_MAX = 2048
"""Four pages of a snapshot: tens of milliseconds, a third of what small slices of them cost."""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """An entry of a log of this account, or a part of a snapshot of one."""

    sequence: int
    """In the log of the device that wrote it."""
    payload: bytes
    record: Record | None
    """None if it could not be read, or is another application's."""
    device: int | None = None
    """Which other device wrote it; None for this one."""
    page: MailPage | None = None
    """Part of a snapshot, which is worth nothing before its last part: reading goes on behind
    `sequence` until then."""

    @property
    def weight(self) -> int:
        """How much work it is, about."""
        return weight(self.page or self.record)


class WaitingEntries:
    """A queue of entries; who brought those of another device is told when they are taken."""

    def __init__(self) -> None:
        self._entries: deque[LogEntry] = deque()
        self._weight = 0
        self._taken: dict[int, asyncio.Future[None]] = {}

    def __bool__(self) -> bool:
        return bool(self._entries)

    def add(self, entry: LogEntry) -> None:
        """Let an entry wait."""
        self._entries.append(entry)
        self._weight += entry.weight

    def next_slice(self, applied: int) -> list[LogEntry]:
        """Return what is to be taken next; drop what the index has of this device's log already."""
        while self._entries and _is_known(self._entries[0], applied):
            self._drop_first()
        is_much = self._weight >= BULK_WEIGHT_MIN
        limit = BULK_WEIGHT_PER_SLICE_MAX if is_much else WEIGHT_PER_SLICE_MAX
        some: list[LogEntry] = []
        total = 0
        for entry in self._entries:
            total += entry.weight
            if some and total > limit:
                break
            some.append(entry)
        return some

    def on_taken(self, some: Sequence[LogEntry]) -> None:
        """The index has this slice, which is the beginning of the queue."""
        for _ in some:
            self._drop_first()
        left = {entry.device for entry in self._entries} if self._taken else set()
        for device in sorted({entry.device for entry in some if entry.device is not None}):
            taken = self._taken.get(device)
            if taken is not None and device not in left and not taken.done():
                taken.set_result(None)

    async def are_taken(self, device: int) -> None:
        """Wait until all that waits of another device is taken; raises what `forget` is given."""
        taken = self._taken[device] = asyncio.get_running_loop().create_future()
        try:
            await taken
        finally:
            self._taken.pop(device, None)

    def forget(self, error: EpostError) -> None:
        """Forget all: the logs are about to be read again."""
        self._entries.clear()
        self._weight = 0
        for taken in self._taken.values():
            if not taken.done():
                taken.set_exception(error)

    def _drop_first(self) -> None:
        self._weight -= self._entries.popleft().weight


def _is_known(entry: LogEntry, applied: int) -> bool:
    if entry.device is not None or entry.page is not None:
        return False
    return entry.sequence <= applied
