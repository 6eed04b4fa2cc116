"""Pushing what is held locally until the ring has it (design 4): for ever, a few at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from epost.foundation.errors import DiskFull, EpostError
from epost.foundation.ids import BlockKind, Handle
from epost.foundation.ports import Role, SetRoles, VaultEntry
from epost.past.blocks import Proven
from epost.past.insertion import Insertions, put_parcel
from epost.past.pending import PENDING_MARK
from epost.past.replica import Replica
from epost.past.surroundings import Surroundings

PAGE_ROWS = 100
LOOK_SECONDS = 1.0
"""How often the ring is looked at while the pusher waits: its return ends the wait."""


class Pusher:
    """Retries every block that is marked as not yet pushed."""

    def __init__(self, around: Surroundings, replica: Replica, insertions: Insertions) -> None:
        self._around = around
        self._replica = replica
        self._insertions = insertions

    async def run(self) -> None:
        """Push for ever; after a pass in which something failed, wait longer each time."""
        config = self._around.config
        pause = config.push_backoff_seconds_min
        while True:
            failed = await self.push_all()
            if not failed:
                pause = config.push_backoff_seconds_min
                await asyncio.sleep(pause)
            elif await self._ring_changes_within(pause):
                pause = config.push_backoff_seconds_min
            else:
                pause = min(2 * pause, config.push_backoff_seconds_max)

    async def push_all(self) -> int:
        """Try every block once; return how many are still held locally only."""
        failed, after = 0, None
        if not self._around.vault.counts().unpushed:
            return 0
        while page := self._page(after):
            for at in range(0, len(page), self._around.config.push_parallel):
                batch = page[at : at + self._around.config.push_parallel]
                failed += await self._push_batch(batch)
            after = page[-1].handle
        return failed

    def _page(self, after: Handle | None) -> Sequence[VaultEntry]:
        return self._around.vault.entries_with(Role.UNPUSHED, after=after, limit=PAGE_ROWS)

    async def _push_batch(self, batch: Sequence[VaultEntry]) -> int:
        resting = [entry for entry in batch if not self._insertions.is_in_flight(entry.handle)]
        results = await asyncio.gather(*(self._push(entry) for entry in resting))
        return sum(not is_pushed for is_pushed in results)

    async def _push(self, entry: VaultEntry) -> bool:
        """Return whether the ring has the block now, or will never take it."""
        body = await self._around.vault.load(entry.handle)
        current = self._around.vault.entry(entry.handle)
        if current is None or current != entry:
            return True  # pushed, dropped or replaced meanwhile; the next pass sees
        if self._is_over(entry):
            self._around.outbox.write(SetRoles(entry.handle, remove=Role.UNPUSHED))
            return True
        if body is None:
            self._replica.on_rotten(entry.handle)
            return False
        proven = Proven(entry.handle, entry.size, entry.version, entry.body_hash, proof=entry.proof)
        voucher = self._insertions.voucher([(entry.handle, entry.size)])
        try:
            pushed = await self._insertions.push(
                put_parcel(proven, body, voucher), is_promised=True
            )
        except DiskFull:
            raise
        except EpostError:
            return False
        return pushed.durability.ring_durable

    def _is_over(self, entry: VaultEntry) -> bool:
        """Is it a notice that no node would take any more?"""
        if entry.handle.kind is not BlockKind.PENDING:
            return False
        return PENDING_MARK.decode(entry.proof).expires_at <= self._around.clock.wall_ms()

    async def _ring_changes_within(self, seconds: float) -> bool:
        view = self._replica.membership.view
        waited = 0.0
        while waited < seconds:
            await asyncio.sleep(LOOK_SECONDS)
            waited += LOOK_SECONDS
            if self._replica.membership.view != view:
                return True
        return False
