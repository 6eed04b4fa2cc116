"""In the end all machines that keep a block go back to a former version of it, as if in league.

No reading can see that by itself: only who remembers having been given more (design 3). Each block
is read by somebody, rolled back on every disk, and read again by the same machine after a restart.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from random import Random

from epost.crypto.versioned import open_key_block
from epost.foundation.errors import EpostError, StaleVersion
from epost.foundation.ids import BlockKind, Handle
from epost.foundation.ports import DeleteBlock, PutBlock, Write
from epost.past.shelf import is_held
from epost.simulation.contents import Contents
from epost.simulation.host import SimulatedHost
from epost.simulation.invariants.violations import Findings, Invariant
from epost.simulation.office import Machine, Office

READY_SECONDS = 15.0
"""How long a machine that was started again needs to have its neighbours back."""


class Rollbacks:
    """Remembers the first version of every block that can have several, and brings it back."""

    def __init__(
        self,
        office: Office,
        random: Random,
        findings: Findings,
        *,
        may_go_back: Callable[[Handle], None],
    ) -> None:
        """`may_go_back` is told of each block that is about to be rolled back."""
        self._office = office
        self._random = random
        self._findings = findings
        self._may_go_back = may_go_back
        self._firsts: dict[Handle, PutBlock] = {}
        self._newest: dict[Handle, int] = {}
        self.detected = 0
        office.disk_watchers.append(self._on_durable)

    def _on_durable(self, _: SimulatedHost, writes: Sequence[Write], _before: Contents) -> None:
        for write in writes:
            if isinstance(write, PutBlock) and write.entry.handle.kind is BlockKind.KEY:
                handle, version = write.entry.handle, write.entry.version
                self._firsts.setdefault(handle, write)
                self._newest[handle] = max(version, self._newest.get(handle, 0))

    async def run(self, count: int) -> None:
        """Roll so many of the blocks back that have had several versions."""
        candidates = self._candidates()
        for handle in self._random.sample(candidates, min(count, len(candidates))):
            await self.attempt(handle)

    def _candidates(self) -> Sequence[Handle]:
        firsts = self._firsts.items()
        return [handle for handle, first in firsts if first.entry.version < self._newest[handle]]

    async def attempt(self, handle: Handle) -> None:
        """Have a machine read a block, roll it back everywhere, have the machine read again."""
        reader = self._reader(handle)
        if reader is None:
            return
        with suppress(EpostError):  # where nothing can be read now, nobody can be misled
            version = await self._read(reader, handle)
            if version <= self._firsts[handle].entry.version:
                return
            self._may_go_back(handle)
            await reader.host.stop()
            self._roll_back(handle, reader)
            reader.host.start()
            await asyncio.sleep(READY_SECONDS)
            try:
                again = await self._read(reader, handle)
            except StaleVersion:
                self.detected += 1
                return
            if again < version:
                text = f"{reader.name} had read version {version} of {handle}, then took {again}"
                self._findings.violated(Invariant.NEWEST_WINS, text)

    def _reader(self, handle: Handle) -> Machine | None:
        """Draw a machine that keeps the block for nobody, and so knows it by reading only."""
        readers = [
            machine
            for machine in self._office.running
            if machine.is_honest and machine.host.disk.durable.entry(handle) is None
        ]
        return self._random.choice(readers) if readers else None

    async def _read(self, reader: Machine, handle: Handle) -> int:
        node = reader.node
        assert node is not None
        reading = await node.blocks.lookup_latest(handle)
        return 0 if reading.block is None else open_key_block(reading.block).body.version

    def _roll_back(self, handle: Handle, reader: Machine) -> None:
        """Bring the first version back wherever the block is kept for the ring.

        The reader's own copy goes, as it does where there is no room for mirrors.
        """
        first = self._firsts[handle]
        reader.host.disk.durable.apply([DeleteBlock(handle)])
        for machine in self._office.running:
            entry = machine.host.vault.entry(handle)
            if entry is not None and is_held(entry):
                old = replace(first.entry, roles=entry.roles, stand_in_for=entry.stand_in_for)
                machine.host.vault.commit([PutBlock(old, first.body)])
