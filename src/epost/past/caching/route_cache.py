"""What this node keeps in spare space of blocks that look-ups asked for on their way through it.

Only content blocks, which never change and prove themselves. A cached copy is none of the ring's:
replicas do not compare it, nobody counts on it, and it gives way before anything else needs its
room. It ends the query of a look-up, so that popular blocks are found sooner and their replicas
asked less. Bytes do not pass through the nodes of a route here (blocks go from node to node
directly), so a node on the way fetches what was asked for repeatedly, at a bounded rate
(`filling`); docs/decisions/0024.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from epost.foundation.bounded import BoundedDict
from epost.foundation.ids import BlockKind, Handle
from epost.foundation.ports import Observer, PutBlock, Role, SetRoles, VaultEntry, Write
from epost.past.blocks import Proven
from epost.past.caching.greedy_dual import GreedyDual
from epost.past.config import CACHED_BLOCKS_MAX, PASSED_MAX, PastConfig
from epost.past.observed import BlockCached, CacheHit, CacheMissed

PAGE_ROWS = 256
"""Rows of an earlier process that are taken over in one tick."""


class SpareSpace(Protocol):
    """What the vault says of its rows and its room."""

    def entry(self, handle: Handle) -> VaultEntry | None:
        """Return the row of a block, or None."""
        ...

    def entries_with(
        self, role: Role, *, after: Handle | None = None, limit: int = 1000
    ) -> Sequence[VaultEntry]:
        """Return rows that have a role, in handle order, continuing behind `after`."""
        ...

    def is_damaged(self, handle: Handle) -> bool:
        """Was its body found not to be what was written?"""
        ...

    def free_bytes(self) -> int:
        """Return how much more may be stored here; what is cached counts as free."""
        ...


class RouteCache:
    """A part of the replica machine; `make_room` is asked before anything else is written."""

    def __init__(
        self,
        vault: SpareSpace,
        write: Callable[[Write], None],
        config: PastConfig,
        observer: Observer,
        *,
        may_copy: Callable[[], bool],
        is_near: Callable[[Handle], bool],
    ) -> None:
        """`is_near`: this node knows the replicas of a block, so a copy here saves no hop."""
        self._vault = vault
        self._write = write
        self._config = config
        self._observer = observer
        self._may_copy = may_copy
        self._is_near = is_near
        self._kept: GreedyDual[Handle] = GreedyDual()
        self._passed: BoundedDict[Handle, tuple[float, int]] = BoundedDict(PASSED_MAX)
        self._recalled: Handle | None = None
        self._has_recalled = False
        self.want: Callable[[Handle], None] = lambda _: None
        """Told which block to fetch; the story that does so puts itself here."""

    @property
    def octets(self) -> int:
        """How much is cached here."""
        return self._kept.octets

    def tick(self) -> None:
        """Take over what an earlier process cached; give back what others need by now."""
        if not self._has_recalled:
            page = self._vault.entries_with(Role.CACHED, after=self._recalled, limit=PAGE_ROWS)
            for entry in page:
                self._kept.add(entry.handle, entry.size)
                self._recalled = entry.handle
            self._has_recalled = len(page) < PAGE_ROWS
        self.make_room(0)

    def answers(self, handle: Handle) -> bool:
        """Is a cached copy here that may be given to others? It counts as used then."""
        return self._may_copy() and self.finds(handle)

    def finds(self, handle: Handle) -> bool:
        """Is a cached copy here? It counts as used then."""
        if handle not in self._kept:
            return False
        entry = self._vault.entry(handle)
        if entry is None or not entry.roles & Role.CACHED:
            self.drop(handle)  # it rotted
            return False
        self._kept.use(handle)
        self._observer.record(CacheHit(handle))
        return True

    def passed(self, handle: Handle, now: float) -> None:
        """A look-up passes that was not answered here: fetch what is asked for repeatedly."""
        self._observer.record(CacheMissed(handle))
        config = self._config
        since, times = self._passed.get(handle) or (now, 0)
        if now - since > config.cache_interest_seconds:
            since, times = now, 0
        self._passed.put(handle, (since, times + 1))
        if times + 1 >= config.cache_after_passings and self._room(0) > 0:
            self._passed.remove(handle)
            self.want(handle)

    def keep(self, proven: Proven, block: bytes) -> bool:
        """Keep a verified block if there is room for it; return whether it is kept."""
        handle, size = proven.handle, proven.size
        if self._vault.entry(handle) is not None or self._vault.is_damaged(handle):
            return False
        if not self._is_wanted(handle) or not self._make_room_for(size):
            return False
        self._write(PutBlock(proven.entry(Role.CACHED), block))
        self._enter(handle, size)
        return True

    def role_after_push(self, entry: VaultEntry) -> Role:
        """Return what becomes of a block that was here only to be pushed; its bytes stay.

        So an insertion leaves a copy where the ways of its inserter's look-ups begin.
        """
        if entry.roles != Role.UNPUSHED or not self._is_wanted(entry.handle):
            return Role.NONE
        if not self._make_room_for(entry.size):
            return Role.NONE
        self._enter(entry.handle, entry.size)
        return Role.CACHED

    def make_room(self, growth: int, handle: Handle | None = None) -> None:
        """Give way to what is about to be written: `growth` octets, of this block.

        A block that is put in any other role is cached no longer; the vault sees to its row.
        """
        if handle is not None:
            self._kept.remove(handle)
        while self._kept and self._is_beyond(growth):
            self._write(SetRoles(self._kept.evict(), remove=Role.CACHED))

    def drop(self, handle: Handle) -> bool:
        """Forget a copy that could not be read; return whether one was cached here."""
        if not self._kept.remove(handle):
            return False
        self._write(SetRoles(handle, remove=Role.CACHED))
        return True

    def _is_wanted(self, handle: Handle) -> bool:
        """May a copy here ever save a hop? Who is near its replicas asks them at once."""
        return handle.kind is BlockKind.CONTENT and not self._is_near(handle)

    def _make_room_for(self, size: int) -> bool:
        """Evict until another block of this size fits; False, and nothing evicted, if none may."""
        if not self._may_copy() or size > self._room(0):
            return False
        while self._kept and (
            self._kept.octets + size > self._room(0) or len(self._kept) >= CACHED_BLOCKS_MAX
        ):
            self._write(SetRoles(self._kept.evict(), remove=Role.CACHED))
        return True

    def _enter(self, handle: Handle, size: int) -> None:
        self._kept.add(handle, size)
        self._observer.record(BlockCached(handle, size))

    def _is_beyond(self, growth: int) -> bool:
        return self._kept.octets > self._room(growth) or len(self._kept) > CACHED_BLOCKS_MAX

    def _room(self, growth: int) -> int:
        """Return how much may be cached: a part of what is contributed and still free.

        The vault counts what is cached as free.
        """
        spare = self._vault.free_bytes() - self._config.disk_reserve_bytes - growth
        return max(0, int(self._config.cache_part * spare))
