"""The past of an account: what all of its devices had logged at a time (design 6).

Each log says now and then what time it is by its device's clock; a record was written at the last
time said before it, or until the next one. What a device logged before its log told the time is
taken to be older than all that.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from epost.post.app_ids import AppId
from epost.post.logs.entries import Entry
from epost.post.logs.snapshot_format import TimeMark, note_in

OWN = 0
"""No device has this number: the own log, before it says whose it is."""


@dataclass(frozen=True, slots=True)
class PastEntry:
    """An entry that was in a log then; `at_ms` is 0 if that does not say when it was written."""

    sequence: int
    entry: Entry
    at_ms: int


class History:
    """Reads all logs of the account from their beginnings."""

    def __init__(
        self,
        own: Callable[[], AsyncIterator[tuple[int, Entry]]],
        others: Callable[[], AsyncIterator[tuple[int, int, Entry]]],
    ) -> None:
        """`own` yields (sequence, entry) of this device, `others` (device, sequence, entry)."""
        self._own = own
        self._others = others

    async def until(self, app: AppId, at_ms: int) -> AsyncIterator[PastEntry]:
        """Yield an application's entries of all devices, log by log, that were written by then.

        Raises UnavailableError if it cannot be told now which devices there are; a log of another
        device that cannot be read now is left out.
        """
        said: dict[int, int] = {}
        async for device, sequence, entry in self._all():
            if isinstance(note := note_in(entry), TimeMark):
                said[device] = note.at
            now_ms = said.get(device, 0)
            if entry.app == app and now_ms <= at_ms:
                yield PastEntry(sequence, entry, now_ms)

    async def _all(self) -> AsyncIterator[tuple[int, int, Entry]]:
        async for sequence, entry in self._own():
            yield OWN, sequence, entry
        async for other in self._others():
            yield other
