"""What the members of a ring do with it: insert blocks, renew their own, look others' up.

Every honest machine that is awake may insert. A public-key block has one writer, the machine that
drew its key; a machine that lost its disk draws new keys.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from random import Random
from typing import Any

from epost.crypto.signing import Kind, SigningKey
from epost.crypto.versioned import KeyBlock, make_key_block, open_key_block
from epost.foundation.errors import EpostError, NoSuchBlock
from epost.foundation.ids import BlockKind, Handle
from epost.node.assembly import Node
from epost.past.blocks import content_handle
from epost.past.insertion import Conflict
from epost.simulation.invariants.blocks import AcknowledgedBlocks
from epost.simulation.invariants.replicas import KnownBlocks
from epost.simulation.invariants.versions import NewestVersions
from epost.simulation.invariants.violations import Findings, Invariant
from epost.simulation.office import Machine
from epost.simulation.storage.trouble import Trouble


@dataclass(frozen=True, slots=True)
class DepositConfig:
    """How busy the members are; mean times in seconds over all machines, sizes in bytes."""

    insert_every_seconds: float = 1.0
    lookup_every_seconds: float = 1.0
    renewed_part: float = 0.4
    """Share of insertions that are a new version of the machine's own public-key block."""
    size_max: int = 4000
    deadline_seconds: float = 30.0


@dataclass(frozen=True)
class Judges:
    """Who is told of what is inserted and read."""

    blocks: AcknowledgedBlocks
    versions: NewestVersions
    known: KnownBlocks
    findings: Findings


@dataclass(slots=True)
class _OwnKey:
    """A public-key block of one machine, and its newest version as its writer knows it."""

    key: SigningKey = field(repr=False)
    newest: KeyBlock | None = None
    is_busy: bool = False


class Depositors:
    """Inserts and looks up until it is cancelled."""

    def __init__(
        self,
        random: Random,
        config: DepositConfig,
        trouble: Trouble,
        judges: Judges,
    ) -> None:
        self._random = random
        self._config = config
        self._trouble = trouble
        self._judges = judges
        self._keys: dict[bytes, _OwnKey] = {}
        self._under_way: dict[asyncio.Task[None], None] = {}
        self._contents: list[Handle] = []
        self._heads: list[Handle] = []
        self._listed = 0
        self.inserted = 0
        self.failed = 0
        self.lookups = 0
        self.lookups_failed = 0

    async def insert(self) -> None:
        """Insert for ever."""
        await self._repeat(self._config.insert_every_seconds, self._insert_one)

    async def look_up(self) -> None:
        """Look up for ever."""
        await self._repeat(self._config.lookup_every_seconds, self._look_up_one)

    async def finish(self) -> None:
        """Return when nothing is under way any more."""
        while self._under_way:
            await asyncio.gather(*self._under_way)

    async def _repeat(self, mean_seconds: float, one: Any) -> None:
        while True:
            await asyncio.sleep(self._random.expovariate(1 / mean_seconds))
            awake = [m for m in self._trouble.awake() if m.is_honest]
            if awake:
                self._begin(one(self._random.choice(awake)))

    def _begin(self, story: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(story)
        self._under_way[task] = None
        task.add_done_callback(self._under_way.pop)

    # Inserting.

    async def _insert_one(self, machine: Machine) -> None:
        if self._random.random() < self._config.renewed_part:
            await self._renew(machine)
        else:
            block = self._random.randbytes(self._random.randint(1, self._config.size_max))
            self._judges.known.inserted(content_handle(block), block)
            await self._insert(machine, BlockKind.CONTENT, block)

    async def _renew(self, machine: Machine) -> None:
        own = self._keys.get(machine.node_id)
        if own is None:
            own = self._keys[machine.node_id] = _OwnKey(SigningKey(self._random.randbytes(32)))
        if own.is_busy:
            return
        own.is_busy = True
        block = make_key_block(
            own.key,
            Kind.IDENTITY,
            ring=machine.host.me.ring,
            previous=own.newest,
            issued_at=machine.host.clock.wall_ms(),
            content=self._random.randbytes(self._random.randint(1, 200)),
        )
        self._judges.known.inserted(block.handle, block.data)
        try:
            own.newest = await self._insert(machine, BlockKind.KEY, block.data) or block
        finally:
            own.is_busy = False

    async def _insert(self, machine: Machine, kind: BlockKind, block: bytes) -> KeyBlock | None:
        """Insert a block; return the one that it met, if that was not older."""
        node = machine.node
        assert node is not None
        try:
            async with asyncio.timeout(self._config.deadline_seconds):
                await node.blocks.insert(kind, block, mirror=False)
        except Conflict as conflict:
            self.failed += 1
            return open_key_block(conflict.block) if conflict.block else None
        except (EpostError, OSError, TimeoutError):
            self.failed += 1
        else:
            self.inserted += 1
        return None

    # Looking up.

    async def _look_up_one(self, machine: Machine) -> None:
        self._list_new()
        node = machine.node
        assert node is not None
        if self._heads and self._random.random() < 0.5:
            await self._judges.versions.read(machine, self._random.choice(self._heads))
        elif self._contents:
            await self._read(machine, node, self._random.choice(self._contents))

    def _list_new(self) -> None:
        durable = self._judges.blocks.ring_durable
        for handle in list(durable)[self._listed :]:
            if self._judges.known.is_known(handle):
                listed = self._heads if handle.kind is BlockKind.KEY else self._contents
                listed.append(handle)
        self._listed = len(durable)

    async def _read(self, machine: Machine, node: Node, handle: Handle) -> None:
        self.lookups += 1
        is_whole = self._trouble.is_whole
        try:
            block = await node.blocks.lookup(handle, mirror=False)
        except NoSuchBlock:
            if is_whole and self._trouble.is_whole:
                text = f"{machine.name} is told that there is no {handle}"
                self._judges.findings.violated(Invariant.BLOCKS_STAY, text)
        except (EpostError, OSError):
            self.lookups_failed += 1
        else:
            self._judges.known.require_known(handle, block, f"{machine.name} is given")
