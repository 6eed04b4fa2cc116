"""Keeping the leases of everything that this account refers to from ending (design 8).

Any device of the account does it for what it mirrors, once a month, in bulk. A lease lasts more
than a year: a month that is missed, or a message that is lost, does no harm.
"""

from __future__ import annotations

import asyncio

from epost.crypto.hashing import u64
from epost.foundation.ports import PutNote
from epost.post.config import PostConfig
from epost.post.observed import LeasesRenewed
from epost.post.ports import Leases, NodePorts

TABLE = "post.leases"
_KEY = b"renewed"


class LeaseKeeping:
    """Remembers when the leases were last renewed, and does it again."""

    def __init__(self, leases: Leases, ports: NodePorts, config: PostConfig) -> None:
        self._leases = leases
        self._ports = ports
        self._config = config

    async def keep(self) -> None:
        """Look every hour whether it is time."""
        while True:
            await asyncio.sleep(self._config.lease_check_seconds)
            if self._is_due() and self._ports.is_clock_sound():
                await self._renew()

    def _is_due(self) -> bool:
        note = self._ports.disk.note(TABLE, _KEY)
        if note is None:
            return True
        passed_ms = self._ports.clock.wall_ms() - int.from_bytes(note, "big")
        # A clock that was far ahead once must not keep it from ever happening again.
        return not 0 <= passed_ms < 1000 * self._config.lease_renewal_seconds

    async def _renew(self) -> None:
        began_ms = self._ports.clock.wall_ms()
        count = await self._leases.renew_mirrored()
        await self._ports.disk.durable([PutNote(TABLE, _KEY, u64(began_ms))])
        self._ports.observer.record(LeasesRenewed(count))
