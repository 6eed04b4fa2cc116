"""`epost verify` and `epost repair`: is all of an account there, proven, and on k machines?

Repair puts a copy that proves itself, from the own vault or from any machine, on the machines that
should have it. What nobody has a copy of is said, not hidden. A snapshot that does not say what the
log says is told as well, and repair makes another.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Protocol

from epost.foundation.errors import EpostError, NotFoundError, RefusedError, UnavailableError
from epost.foundation.ids import MUTABLE_KINDS, BlockKind, Handle, NodeId
from epost.past.client import Insertion, Reading
from epost.past.log_format import split_records
from epost.post.account_reach import TROUBLES, Piece
from epost.post.logs.snapshots import Doubt
from epost.post.parallel import in_parallel

PIECES_AT_ONCE = 8
FINDINGS_MAX = 1000
"""Findings that are listed; more are counted."""
LOOKS_AT_GROWING = 5
"""A log that grows while it is looked at is for a moment newer on one machine than on another."""
LOOKS_AFTER_REPAIR = 5
"""A machine whose copy was rotten fetches another as soon as it has been read."""
_PAUSE_SECONDS = 1.0


class Problem(Enum):
    """What is wrong with a block."""

    MISSING = "no copy that proves itself"
    UNREACHABLE = "cannot be looked at now"
    TOO_FEW = "too few copies"
    UNSOUND = "says something else than the log"


@dataclass(frozen=True, slots=True)
class Finding:
    """A block with which something is wrong; or was, if it is `repaired`."""

    piece: Piece
    problem: Problem
    copies: int
    reason: str = ""
    is_repaired: bool = False
    without: tuple[NodeId, ...] = ()
    """The machines that should have a copy, and gave none that is good."""


class InspectedBlocks(Protocol):
    """PAST, as who inspects it needs it."""

    async def lookup(self, handle: Handle) -> bytes:
        """Return any authentic copy; raises NoSuchBlock, UnavailableError."""
        ...

    async def lookup_cluster(self, handle: Handle) -> tuple[bytes, bytes]:
        """Return a log's cluster: its joined records and the newest head that names it."""
        ...

    async def lookup_latest(self, handle: Handle) -> Reading:
        """Ask all replicas of a mutable block and return the newest."""
        ...

    async def insert(self, kind: BlockKind, block: bytes) -> Insertion:
        """Store a block on k nodes; raises RefusedError, Conflict."""
        ...

    async def extend(self, cluster: Handle, records: Sequence[bytes], head: bytes) -> Insertion:
        """Put the records of a cluster on k nodes."""
        ...

    async def holders(self, handle: Handle) -> Sequence[NodeId]:
        """Return which of the nodes that should hold a block say that they do."""
        ...

    async def proven_holders(self, handle: Handle) -> Sequence[NodeId]:
        """Return the same by reading every copy."""
        ...

    async def keepers(self, handle: Handle) -> Sequence[NodeId]:
        """Return the k live nodes whose the block is."""
        ...


class InspectedSnapshots(Protocol):
    """The snapshots of the own log, as who inspects them needs them."""

    async def doubt(self) -> Doubt | None:
        """Return what is wrong with the newest one, None if nothing is."""
        ...

    async def renew(self) -> None:
        """Make another from all of the log; raises EpostError."""


@dataclass(slots=True)
class Report:
    """What an inspection has found so far."""

    total: int = 0
    checked: int = 0
    is_counting: bool = True
    lacking: int = 0
    repaired: int = 0
    findings: list[Finding] = field(default_factory=list)

    def add(self, finding: Finding) -> None:
        """Take down a finding."""
        if finding.is_repaired:
            self.repaired += 1
        else:
            self.lacking += 1
        if len(self.findings) < FINDINGS_MAX:
            self.findings.append(finding)


class Inspection:
    """Looks at every block once."""

    def __init__(
        self,
        blocks: InspectedBlocks,
        replicas_wanted: Callable[[], int],
        *,
        repairs: bool,
        reads_every_copy: bool,
    ) -> None:
        """Without `reads_every_copy` one copy is read, and the machines are asked whether they
        have theirs; with it, all are read, which costs k times the account's size. Of blocks that
        have versions, which are small, all are read anyway: who has an old one says that he has it.
        """
        self._blocks = blocks
        self._replicas_wanted = replicas_wanted
        self._repairs = repairs
        self._reads_every_copy = reads_every_copy
        self.report = Report()

    async def run(self, pieces: AsyncIterator[Piece]) -> None:
        """Look at all pieces, each block once; raises what `pieces` raises."""
        known: dict[Handle, Piece] = {}
        async for piece in pieces:
            if piece.error or piece.handle not in known:
                known[piece.handle] = piece
            self.report.total = len(known)
        self.report.is_counting = False
        await in_parallel([self._look_at(p) for p in known.values()], at_once=PIECES_AT_ONCE)

    async def look_at_snapshot(self, snapshots: InspectedSnapshots) -> None:
        """Fold the own log again, and compare with its newest snapshot."""
        doubt = await snapshots.doubt()
        if doubt is None:
            return
        piece = Piece(Handle(BlockKind.CONTENT, doubt.root.digest), "a snapshot of the log")
        if doubt.may_be_sound:
            self.report.add(Finding(piece, Problem.UNREACHABLE, 0, doubt.reason))
            return
        finding = Finding(piece, Problem.UNSOUND, 0, doubt.reason)
        if self._repairs:
            try:
                await snapshots.renew()
                finding = replace(finding, is_repaired=await snapshots.doubt() is None)
            except EpostError as error:
                finding = replace(finding, reason=str(error))
        self.report.add(finding)

    async def _look_at(self, piece: Piece) -> None:
        finding = await self._judge(piece)
        if finding is not None and self._repairs and finding.problem is Problem.TOO_FEW:
            finding = await self._repair(finding)
        if finding is not None:
            self.report.add(finding)
        self.report.checked += 1

    async def _judge(self, piece: Piece) -> Finding | None:
        """Return what is wrong with a block."""
        try:
            await self._read(piece.handle)
            holding = await self._copies(piece.handle)
            if len(holding) >= self._replicas_wanted():
                return None
            without = await self._keepers_without(piece.handle, holding)
        except NotFoundError as error:
            return Finding(piece, Problem.MISSING, 0, piece.error or str(error))
        except TROUBLES as error:
            return Finding(piece, Problem.UNREACHABLE, 0, piece.error or str(error))
        return Finding(piece, Problem.TOO_FEW, len(holding), without=without)

    async def _copies(self, handle: Handle) -> Sequence[NodeId]:
        looks = 1 if handle.kind is BlockKind.CONTENT else LOOKS_AT_GROWING
        return await self._enough_copies(handle, looks=looks)

    async def _enough_copies(self, handle: Handle, *, looks: int) -> Sequence[NodeId]:
        """Return who has a copy, after so many looks if these are not enough."""
        reads = self._reads_every_copy or handle.kind in MUTABLE_KINDS
        ask = self._blocks.proven_holders if reads else self._blocks.holders
        while True:
            holding = await ask(handle)
            looks -= 1
            if len(holding) >= self._replicas_wanted() or looks <= 0:
                return holding
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _read(self, handle: Handle) -> tuple[bytes, bytes]:
        """Return a copy that proves itself, and of a cluster its head."""
        if handle.kind is BlockKind.CLUSTER:
            return await self._blocks.lookup_cluster(handle)
        if handle.kind not in MUTABLE_KINDS:
            return await self._blocks.lookup(handle), b""
        reading = await self._blocks.lookup_latest(handle)
        if reading.block is not None:
            return reading.block, b""
        if reading.confirmed:
            raise NotFoundError("no machine has it")
        raise UnavailableError("too few machines answer")

    async def _repair(self, finding: Finding) -> Finding:
        handle = finding.piece.handle
        try:
            await self._put(handle, *await self._read(handle))
        except (RefusedError, *TROUBLES) as error:
            return replace(finding, reason=str(error))
        holding = await self._enough_copies(handle, looks=LOOKS_AFTER_REPAIR)
        finding = replace(finding, copies=len(holding))
        if len(holding) >= self._replicas_wanted():
            return replace(finding, is_repaired=True)
        without = await self._keepers_without(handle, holding)
        return replace(finding, reason="not enough machines take it now", without=without)

    async def _keepers_without(
        self, handle: Handle, holding: Collection[NodeId]
    ) -> tuple[NodeId, ...]:
        keepers = await self._blocks.keepers(handle)
        return tuple(node for node in keepers if node not in holding)

    async def _put(self, handle: Handle, block: bytes, head: bytes) -> None:
        if handle.kind is BlockKind.CLUSTER:
            await self._blocks.extend(handle, split_records(block), head)
        else:
            await self._blocks.insert(handle.kind, block)
