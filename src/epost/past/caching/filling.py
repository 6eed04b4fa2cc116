"""Fetching what look-ups that passed asked for repeatedly, as a story: one at a time, slowly."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress

from epost.foundation.errors import EpostError
from epost.foundation.ids import Handle
from epost.past.caching.route_cache import RouteCache
from epost.past.config import FILLS_WAITING_MAX
from epost.past.insertion import Disk
from epost.past.lookup import Lookups
from epost.past.surroundings import Surroundings


class CacheFilling:
    """Fills the cache of this node from the replicas, never from another cache."""

    def __init__(
        self, around: Surroundings, cache: RouteCache, lookups: Lookups, disk: Disk
    ) -> None:
        self._around = around
        self._cache = cache
        self._lookups = lookups
        self._disk = disk
        self._waiting: deque[Handle] = deque()
        self._has_some = asyncio.Event()
        cache.want = self._want

    async def run(self) -> None:
        """Fetch for ever, within the cap of octets a second."""
        while True:
            await self._has_some.wait()
            size = await self._fill(self._waiting.popleft())
            if not self._waiting:
                self._has_some.clear()
            await asyncio.sleep(size / self._around.config.cache_bytes_per_second)

    async def _fill(self, handle: Handle) -> int:
        """Return how many octets came."""
        if self._around.vault.entry(handle) is not None or not self._around.may_copy():
            return 0
        with suppress(EpostError):  # whoever asked is answered by others
            fetched = await self._lookups.fetch_replica(handle)
            if self._cache.keep(fetched.proven, fetched.block):
                self._disk.wake()
            return len(fetched.block)
        return 0

    def _want(self, handle: Handle) -> None:
        if len(self._waiting) < FILLS_WAITING_MAX and handle not in self._waiting:
            self._waiting.append(handle)
            self._has_some.set()
