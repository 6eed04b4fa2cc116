"""Machines that are faulty on purpose: at most k-1 of any replica set (paper section 2).

Each kind is a node or a vault that does one thing wrong whenever it is asked; they take part in
everything else, so the ring counts on them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from epost.crypto.hashing import digest
from epost.foundation.codec import encode
from epost.foundation.ids import BlockKind, Digest, Handle, NodeHandle
from epost.foundation.ports import PutBlock, Write
from epost.foundation.wire import Application
from epost.past.arcs import arc_between
from epost.past.messages import UPKEEP, Compared, Listing, Parts, Row, Summary
from epost.past.notice_keeping import FindingPending
from epost.past.replica import Replica
from epost.simulation.broken.vaults import HELD_FOR_OTHERS, ObstinateVault
from epost.simulation.defects import Defect
from epost.simulation.storage.sleeping import SleepyNode
from epost.simulation.vault import SimulatedVault


class _RottenReplica(Replica):
    """Gives every block with a flipped bit."""

    def on_loaded(self, purpose: object, body: bytes | None, now: float) -> None:
        """Hand on what was loaded, but not what was stored."""
        is_own_affair = isinstance(purpose, FindingPending)
        super().on_loaded(purpose, body if is_own_affair else _rotten(body), now)


class _RottenNode(SleepyNode):
    replica_type = _RottenReplica


class _PretendingReplica(Replica):
    """Answers comparisons with what comes to its mind, and gives nothing that it claims to have."""

    def on_notify(self, sender: NodeHandle, body: bytes, now: float) -> None:
        """Lie about every range in turn: all the same, all other, blocks that do not exist."""
        message = UPKEEP.decode(body)
        if not isinstance(message, Summary):
            super().on_notify(sender, body, now)
            return
        lies = (_agree, _differ_everywhere, _claim)
        answer = lies[message.serial % len(lies)](message)
        self._outbox.notify(sender, Application.PAST, encode(answer))


def _agree(asked: Summary) -> Compared:
    return Compared(asked.serial, (), ())


def _differ_everywhere(asked: Summary) -> Compared:
    arcs = [arc_between(span.start, span.end) for span in asked.spans]
    parts = [
        Parts(number, tuple(digest("lie", bytes([part])) for part in range(len(arc.parts()))))
        for number, arc in enumerate(arcs)
        if arc.size > 1
    ]
    return Compared(asked.serial, tuple(parts), ())


def _claim(asked: Summary) -> Compared:
    """Claim blocks at the end of every range that nobody has."""
    listings = [
        Listing(number, (Row(Handle(BlockKind.CONTENT, Digest(span.end + bytes(12))), 0, b""),))
        for number, span in enumerate(asked.spans)
    ]
    return Compared(asked.serial, (), tuple(listings))


class _PretendingNode(SleepyNode):
    replica_type = _PretendingReplica


class _EmptyVault(SimulatedVault):
    """Says that it keeps what others insert, and keeps nothing."""

    def commit(self, writes: Sequence[Write]) -> asyncio.Future[None]:
        """Write all but blocks kept for others."""
        return super().commit([write for write in writes if not _is_for_others(write)])


def _is_for_others(write: Write) -> bool:
    return isinstance(write, PutBlock) and not write.entry.roles & ~HELD_FOR_OTHERS


def _rotten(body: bytes | None) -> bytes | None:
    return bytes([body[0] ^ 1]) + body[1:] if body else body


LIARS = (
    Defect("serves rotten blocks", None, "gives blocks with a flipped bit", node=_RottenNode),
    Defect("pretends", None, "lies in comparing replicas", node=_PretendingNode),
    Defect("keeps nothing", None, "acknowledges and forgets", vault=_EmptyVault, node=SleepyNode),
    Defect(
        "keeps old versions",
        None,
        "acknowledges new versions and keeps the first",
        vault=ObstinateVault,
        node=SleepyNode,
    ),
)
