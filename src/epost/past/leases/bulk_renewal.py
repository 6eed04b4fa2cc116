"""Asking for longer leases of everything that the own vault mirrors, as a story."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from epost.foundation.codec import encode
from epost.foundation.durations import DAY_MS
from epost.foundation.ids import Handle, point
from epost.foundation.ports import Role
from epost.foundation.wire import Application
from epost.past.config import HANDLES_MAX
from epost.past.insertion import Disk
from epost.past.leases.terms import LEASED
from epost.past.messages import Renewal
from epost.past.surroundings import Surroundings

BATCH_PAUSE_SECONDS = 1.0
"""Between two messages of 256 handles: a million blocks take an hour."""
_WHOLE_RING = point(0)


class BulkRenewal:
    """Sends the mirrored handles along the ring (`renewals`)."""

    def __init__(self, around: Surroundings, disk: Disk) -> None:
        self._around = around
        self._disk = disk

    async def run(self) -> int:
        """Ask once for each; return for how many."""
        lease_days = self._around.issuers.policy.lifetimes.lease_days
        until = self._around.clock.wall_ms() + lease_days * DAY_MS
        asked, batch = 0, list[Handle]()
        for handle in self._mirrored():
            batch.append(handle)
            if len(batch) == HANDLES_MAX:
                asked += await self._send(batch, until)
                batch = []
        return asked + await self._send(batch, until)

    async def _send(self, batch: list[Handle], until: int) -> int:
        if batch:
            body = encode(Renewal(tuple(batch), until))
            self._around.overlay.route(batch[0].place, Application.PAST, body)
            self._disk.wake()
            await asyncio.sleep(BATCH_PAUSE_SECONDS)
        return len(batch)

    def _mirrored(self) -> Iterator[Handle]:
        """Yield what is mirrored in the order of the ring; the vault may change meanwhile."""
        after: Handle | None = None
        while True:
            page = self._around.vault.entries_between(
                _WHOLE_RING, _WHOLE_RING, after=after, limit=HANDLES_MAX
            )
            for entry in page:
                after = entry.handle
                if entry.roles & Role.MIRROR and entry.handle.kind in LEASED:
                    yield entry.handle
            if len(page) < HANDLES_MAX:
                return
