"""The simulated vault and its disk: late, full, rotten or lost on request, never dishonest unasked.

A commit is readable at once and durable when its future is done. A crash keeps a random prefix of
the commits that were under way, as a real disk may. A disk that `skips_sync` says done too early:
a deliberate defect, to show that the checkers would find one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from random import Random

from epost.foundation.errors import DiskFull
from epost.foundation.ids import Handle, Id
from epost.foundation.ports import (
    DeleteNote,
    Fingerprint,
    Observer,
    PutNote,
    Role,
    VaultCounts,
    VaultEntry,
    Write,
)
from epost.node.fingerprints import Fingerprints
from epost.node.observed import BlockDamaged
from epost.node.vault_rows import handle_of, require_valid
from epost.simulation.contents import Contents

COUNTED_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class DiskConfig:
    """How a disk behaves."""

    capacity_bytes: int = 1 << 40
    contributed_bytes_max: int = 1 << 40
    commit_seconds_min: float = 0.0005
    commit_seconds_max: float = 0.004
    load_seconds_max: float = 0.001
    skips_sync: bool = False
    write_back_seconds: float = 5.0
    """When a disk that skips the sync really writes."""


class SimulatedDisk:
    """What survives the process: durable contents, and commits that a crash may yet lose."""

    def __init__(self, config: DiskConfig, random: Random) -> None:
        self.config = config
        self.random = random
        self.durable = Contents()
        self.live: Contents | None = None
        self.is_full = False
        self.watch: Callable[[Sequence[Write], Contents], None] | None = None
        """Told of each commit that becomes durable, with what is on the disk before it."""
        self._unwritten: deque[Sequence[Write]] = deque()

    def accept(self, writes: Sequence[Write]) -> None:
        """Take a commit that is not durable yet."""
        self._unwritten.append(writes)

    def write_oldest(self) -> None:
        """Make the oldest accepted commit durable."""
        writes = self._unwritten.popleft()
        if self.watch is not None:
            self.watch(writes, self.durable)
        self.durable.apply(writes)

    def write_all(self) -> None:
        """Make every accepted commit durable."""
        while self._unwritten:
            self.write_oldest()

    def crash(self) -> None:
        """Lose what is not durable, but for a random number of the oldest commits."""
        for _ in range(self.random.randint(0, len(self._unwritten))):
            self.write_oldest()
        self._unwritten.clear()
        self.live = None

    def rot(self) -> Handle | None:
        """Flip a random bit of a random durable body; return its handle, None without any."""
        handles = [handle for handle, stored in self.durable.blocks.items() if stored.body]
        if not handles:
            return None
        handle = self.random.choice(handles)
        bit = self.random.getrandbits(32)
        for contents in self._views():
            contents.flip_bit(handle, bit)
        return handle

    def mark_damaged(self, handle: Handle) -> None:
        """Let a block count as absent until it is put again."""
        for contents in self._views():
            contents.mark_damaged(handle)

    def _views(self) -> Sequence[Contents]:
        return (self.durable,) if self.live is None else (self.durable, self.live)


class SimulatedVault:
    """The vault of one running node; a restarted node gets a new one on the same disk."""

    def __init__(self, disk: SimulatedDisk, observer: Observer) -> None:
        self._loop = asyncio.get_running_loop()
        self._disk = disk
        self._observer = observer
        self._contents = disk.live = disk.durable.copy()
        self._fingerprints = Fingerprints(self._rows)
        self._under_way: deque[asyncio.Future[None]] = deque()
        self._last_done = 0.0
        self._failure: BaseException | None = None
        self._has_crashed = False

    def entry(self, handle: Handle) -> VaultEntry | None:
        """Return the row of a block, or None."""
        return self._contents.entry(handle)

    def entries_between(
        self, start: Id, end: Id, *, after: Handle | None = None, limit: int = 1000
    ) -> Sequence[VaultEntry]:
        """Return rows on the clockwise arc (start, end] by (place from start, handle)."""
        return self._rows(start, end, after, limit)

    def entries_with(
        self, role: Role, *, after: Handle | None = None, limit: int = 1000
    ) -> Sequence[VaultEntry]:
        """Return rows that have a role, in handle order."""
        return self._contents.entries_with(role, after, limit)

    def fingerprint(self, start: Id, end: Id) -> Fingerprint | None:
        """Return the fingerprint of the clockwise arc (start, end]."""
        while not self._fingerprints.is_whole:
            self._fingerprints.count_more(COUNTED_AT_ONCE)
        return self._fingerprints.between(start, end)

    def load(self, handle: Handle) -> asyncio.Future[bytes | None]:
        """Read a body, as it is when the disk gets to it."""
        body: asyncio.Future[bytes | None] = self._loop.create_future()
        delay = self._disk.random.uniform(0, self._disk.config.load_seconds_max)
        self._loop.call_later(delay, self._finish_load, handle, body)
        return body

    def is_damaged(self, handle: Handle) -> bool:
        """Was its body found not to be what was written?"""
        stored = self._contents.blocks.get(handle)
        return stored is not None and stored.is_damaged

    def note(self, table: str, key: bytes) -> bytes | None:
        """Return a note, or None."""
        return self._contents.notes.get(table, {}).get(key)

    def notes(self, table: str) -> Sequence[tuple[bytes, bytes]]:
        """Return all notes of a table in key order."""
        return sorted(self._contents.notes.get(table, {}).items())

    def commit(self, writes: Sequence[Write]) -> asyncio.Future[None]:
        """Write all or nothing; done when durable."""
        for write in writes:
            require_valid(write)
        done: asyncio.Future[None] = self._loop.create_future()
        if self._has_crashed:
            _settle(done, self._failure)
            return done
        if self._failure is None:
            for write in writes:
                self._apply(write)
            if self._disk.is_full or self._free_on_disk() < 0:
                self._failure = DiskFull("the simulated disk is full")
            else:
                self._disk.accept(tuple(writes))
        self._under_way.append(done)
        self._loop.call_at(self._next_done(), self._finish_commit, done, self._failure)
        return done

    def commit_soon(self, writes: Sequence[Write]) -> asyncio.Future[None]:
        """Write all or nothing; this disk gets no faster by waiting."""
        return self.commit(writes)

    def counts(self) -> VaultCounts:
        """Return totals."""
        return self._contents.totals.counts()

    def free_bytes(self) -> int:
        """Return how much more may be stored here."""
        config, totals = self._disk.config, self._contents.totals
        contributed = config.contributed_bytes_max - totals.contributed_bytes
        return max(0, min(contributed, self._free_on_disk() + totals.cached_bytes))

    def room_bytes(self) -> int:
        """Return how much the disk still takes."""
        return max(0, self._free_on_disk())

    async def close(self) -> None:
        """Finish pending commits and close."""
        if self._under_way:
            await asyncio.gather(*self._under_way, return_exceptions=True)
        if self._failure is None:
            self._disk.write_all()
            self._failure = OSError("the vault is closed")

    def become(self, contents: Contents) -> None:
        """Have other contents from now on, durable at once: a large store that nobody inserted."""
        self._disk.durable, self._contents = contents, contents.copy()
        self._disk.live = self._contents
        self._fingerprints = Fingerprints(self._rows)

    def crash(self) -> None:
        """End as the process ends: the disk decides about what is under way."""
        self._has_crashed = True
        self._failure = OSError("the process has crashed")
        self._disk.crash()
        for done in self._under_way:
            _settle(done, self._failure)
        self._under_way.clear()

    def _apply(self, write: Write) -> None:
        if isinstance(write, PutNote | DeleteNote):
            self._contents.apply((write,))
            return
        handle = handle_of(write)
        before = self._contents.entry(handle)
        self._contents.apply((write,))
        self._fingerprints.replace(before, self._contents.entry(handle))

    def _rows(self, start: Id, end: Id, after: Handle | None, limit: int) -> Sequence[VaultEntry]:
        return list(islice(self._contents.walk(start, end, after), limit))

    def _free_on_disk(self) -> int:
        if self._disk.is_full:
            return 0
        return self._disk.config.capacity_bytes - self._contents.totals.bytes

    def _next_done(self) -> float:
        config = self._disk.config
        seconds = self._disk.random.uniform(config.commit_seconds_min, config.commit_seconds_max)
        # Commits finish in order; those of one moment do, too.
        self._last_done = max(self._loop.time() + seconds, self._last_done)
        return self._last_done

    def _finish_commit(self, done: asyncio.Future[None], failure: BaseException | None) -> None:
        if self._has_crashed:
            return
        assert self._under_way.popleft() is done, "commits finish in order"
        _settle(done, failure)
        if failure is not None:
            return
        if self._disk.config.skips_sync:
            self._loop.call_later(self._disk.config.write_back_seconds, self._write_back)
        else:
            self._disk.write_oldest()

    def _write_back(self) -> None:
        if self._failure is None:
            self._disk.write_oldest()

    def _finish_load(self, handle: Handle, body: asyncio.Future[bytes | None]) -> None:
        if body.done():
            return
        if self._has_crashed:
            body.set_exception(OSError("the process has crashed"))
            return
        stored = self._contents.blocks.get(handle)
        if stored is None or stored.is_damaged:
            body.set_result(None)
        elif stored.is_sound():
            body.set_result(stored.body)
        else:
            self._disk.mark_damaged(handle)
            self._fingerprints.replace(stored.entry, None)
            self._observer.record(BlockDamaged(handle))
            body.set_result(None)


def _settle(done: asyncio.Future[None], failure: BaseException | None) -> None:
    if done.done():
        return  # cancelled: the commit goes on, nobody wants to know
    if failure is None:
        done.set_result(None)
    else:
        done.set_exception(failure)
