"""Finding the pending notices and receipts held here again: after a start, and past their time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from epost.foundation.durations import DAY_MS
from epost.foundation.ids import BlockKind, Handle
from epost.foundation.ports import HELD, Role, VaultEntry
from epost.foundation.wire import Application
from epost.past.pending import PENDING_MARK, RECEIPT_KEPT_MS, RECEIPT_MARK
from epost.past.shelf import Shelf
from epost.past.surroundings import Surroundings

EXPIRY_GRACE_MS = DAY_MS
"""A sender bounces at expiry; a holder waits a day longer, since clocks differ."""

PAGE_ROWS = 64
_BEFORE_NOTICES = Handle(BlockKind.CLUSTER, b"\xff" * 32)


@dataclass(frozen=True, slots=True)
class FindingPending:
    """Purpose of a load: a notice that was held before the start."""

    handle: Handle


class NoticeKeeping:
    """Goes through the notices and receipts held here, a page at a time."""

    def __init__(
        self, around: Surroundings, shelf: Shelf, *, is_clock_sound: Callable[[], bool]
    ) -> None:
        """Nothing expires while `is_clock_sound` says no (crypto 7.2)."""
        self._around = around
        self._shelf = shelf
        self._is_clock_sound = is_clock_sound
        self._role = Role.REPLICA
        self._after: Handle | None = None
        self._is_first_pass = True

    def next_page(self) -> bool:
        """Look at one page; return whether there are more in this pass."""
        after = self._after or _BEFORE_NOTICES
        page = self._around.vault.entries_with(self._role, after=after, limit=PAGE_ROWS)
        for entry in page:
            self._look_at(entry)
        if len(page) == PAGE_ROWS:
            self._after = page[-1].handle
            return True
        self._after = None
        if self._role is Role.REPLICA:
            self._role = Role.STAND_IN
            return True
        self._role, self._is_first_pass = Role.REPLICA, False
        return False

    def on_loaded(self, purpose: FindingPending, body: bytes | None) -> None:
        """Hand a notice found after the start to the delegation."""
        if body is not None:
            self._shelf.found_pending(purpose.handle, body)

    def _look_at(self, entry: VaultEntry) -> None:
        if self._role is Role.STAND_IN and entry.roles & Role.REPLICA:
            return  # was looked at as a replica
        if self._is_over(entry):
            self._drop(entry)
        elif self._is_first_pass and entry.handle.kind is BlockKind.PENDING:
            self._around.outbox.load(Application.PAST, entry.handle, FindingPending(entry.handle))

    def _is_over(self, entry: VaultEntry) -> bool:
        if not self._is_clock_sound():
            return False
        now_ms = self._around.clock.wall_ms()
        if entry.handle.kind is BlockKind.PENDING:
            return now_ms > PENDING_MARK.decode(entry.proof).expires_at + EXPIRY_GRACE_MS
        return now_ms > RECEIPT_MARK.decode(entry.proof).at + RECEIPT_KEPT_MS

    def _drop(self, entry: VaultEntry) -> None:
        if entry.handle.kind is BlockKind.PENDING:
            self._shelf.drop_pending(entry)
        else:
            self._shelf.release(entry, entry.roles & HELD)
