"""Going through the leases of what is kept here: trash, then space really freed (design 8).

Off unless the operator turns it on. A content block or a cluster whose lease is over for a day goes
to the trash: its bytes stay, and count, but it is no copy of the ring's any more. Inserting the
block again, or a renewal, brings it back; nothing ends of a member whom the authority holds. After
its time in the trash it is removed, at most a twentieth of the store in a day, and nothing at all
while a clock may be wrong. Key blocks and certificates have no end; notices and receipts have their
own times (`notice_keeping`); a replica kept for a neighbour ends when that neighbour no longer asks
for it (`space.keeping`).
"""

from __future__ import annotations

from collections.abc import Callable

from epost.crypto.hashing import u64
from epost.foundation.codec import encode
from epost.foundation.durations import DAY_MS
from epost.foundation.ports import DeleteNote, PutNote, Role, SetRoles, VaultEntry
from epost.past.leases.steadiness import SteadyClock
from epost.past.leases.terms import LEASE_NOTES, LEASED, leased_until
from epost.past.observed import BlockFreed, LeaseEnded
from epost.past.shelf import TRASH_NOTES, Shelf
from epost.past.surroundings import Surroundings
from epost.past.tickets import recall_inserter
from epost.past.walk import RoleWalk

FREED_NOTES = "past.freed"
GRACE_MS = DAY_MS
"""Clocks differ, and a renewal may be under way."""
PAGE_ROWS = 64
_NUMBER_BYTES = 8


class LeaseSweep:
    """Looks at one page of rows at a time."""

    def __init__(
        self, around: Surroundings, shelf: Shelf, *, is_clock_sound: Callable[[], bool]
    ) -> None:
        self._around = around
        self._vault = around.vault
        self._shelf = shelf
        self._is_clock_sound = is_clock_sound
        self._clock = SteadyClock(around.config.steady_clock_seconds)
        self._walk = RoleWalk(around.vault, (Role.REPLICA, Role.STAND_IN, Role.TRASH), PAGE_ROWS)

    def next_page(self, now: float) -> bool:
        """Look at one page; return whether there are more in this pass."""
        wall_ms = self._around.clock.wall_ms()
        is_steady = self._clock.is_steady(now, wall_ms, is_sound=self._is_clock_sound())
        if not self._around.config.frees_expired or not is_steady:
            return False
        page, has_more = self._walk.next_page()
        freed = self._freed_today(wall_ms)
        before = freed
        for entry in page:
            if entry.handle.kind not in LEASED or not self._is_over(entry, wall_ms):
                continue
            if entry.roles & (Role.REPLICA | Role.STAND_IN):
                self._end(entry, wall_ms)
            elif entry.roles & Role.TRASH:
                freed += self._free(entry, wall_ms, freed)
        if freed > before:
            day = u64(wall_ms // DAY_MS)
            self._around.outbox.write(PutNote(FREED_NOTES, b"today", day + u64(freed)))
        return has_more

    def _is_over(self, entry: VaultEntry, wall_ms: int) -> bool:
        if not entry.ticket or entry.roles & Role.UNPUSHED:
            return False
        if leased_until(self._vault, entry) + GRACE_MS >= wall_ms:
            return False
        return not self._around.issuers.is_held(recall_inserter(entry.ticket))

    def _end(self, entry: VaultEntry, wall_ms: int) -> None:
        self._shelf.trash(entry, wall_ms)
        self._around.observer.record(LeaseEnded(entry.handle))

    def _free(self, entry: VaultEntry, wall_ms: int, freed: int) -> int:
        """Remove what was in the trash for its time; return how many octets that were."""
        key = encode(entry.handle)
        note = self._vault.note(TRASH_NOTES, key)
        if note is None:
            self._around.outbox.write(PutNote(TRASH_NOTES, key, u64(wall_ms)))
            return 0
        config = self._around.config
        if wall_ms - int.from_bytes(note, "big") < 1000 * config.trash_seconds:
            return 0
        freed_max = config.freed_part_per_day * self._vault.counts().bytes
        if freed and freed + entry.size > freed_max:  # one block at least, or a small store stays
            return 0  # tomorrow
        self._around.outbox.write(SetRoles(entry.handle, remove=Role.TRASH))
        self._around.outbox.write(DeleteNote(TRASH_NOTES, key))
        self._around.outbox.write(DeleteNote(LEASE_NOTES, key))
        self._around.observer.record(BlockFreed(entry.handle, entry.size))
        return entry.size

    def _freed_today(self, wall_ms: int) -> int:
        note = self._vault.note(FREED_NOTES, b"today")
        if note is None or int.from_bytes(note[:_NUMBER_BYTES], "big") != wall_ms // DAY_MS:
            return 0
        return int.from_bytes(note[_NUMBER_BYTES:], "big")
