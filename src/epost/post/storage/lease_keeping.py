"""Keeping the leases of everything that this account refers to from ending (design 8).

Any device of the account does it for what it mirrors, once a month, in bulk. A lease lasts more
than a year: a month that is missed, or a message that is lost, does no harm. Before, it lets go
what nothing refers to any more (`lease_ending`).
"""

from __future__ import annotations

import asyncio

from epost.crypto.hashing import u64
from epost.foundation.ports import PutNote
from epost.post.config import PostConfig
from epost.post.observed import LeasesRenewed
from epost.post.ports import Leases, NodePorts
from epost.post.storage.lease_ending import LeaseEnding

TABLE = "post.leases"
_RENEWED = b"renewed"
_ENDED = b"ended"


class LeaseKeeping:
    """Remembers when each of these was last done, and does it again."""

    def __init__(
        self, leases: Leases, ending: LeaseEnding, ports: NodePorts, config: PostConfig
    ) -> None:
        self._leases = leases
        self._ending = ending
        self._ports = ports
        self._config = config

    async def keep(self) -> None:
        """Look every hour whether it is time: to let go what is not needed, and to renew."""
        while True:
            await asyncio.sleep(self._config.lease_check_seconds)
            if not self._ports.is_clock_sound():
                continue
            if self._is_due(_ENDED, self._config.lease_ending_seconds):
                await self._end()
            if self._is_due(_RENEWED, self._config.lease_renewal_seconds):
                await self._renew()

    def _is_due(self, key: bytes, every_seconds: float) -> bool:
        note = self._ports.disk.note(TABLE, key)
        if note is None:
            return True
        passed_ms = self._ports.clock.wall_ms() - int.from_bytes(note, "big")
        # A clock that was far ahead once must not keep it from ever happening again.
        return not 0 <= passed_ms < 1000 * every_seconds

    async def _end(self) -> None:
        began_ms = self._ports.clock.wall_ms()
        if await self._ending.look():
            await self._ports.disk.durable([PutNote(TABLE, _ENDED, u64(began_ms))])

    async def _renew(self) -> None:
        began_ms = self._ports.clock.wall_ms()
        count = await self._leases.renew_mirrored()
        await self._ports.disk.durable([PutNote(TABLE, _RENEWED, u64(began_ms))])
        self._ports.observer.record(LeasesRenewed(count))
