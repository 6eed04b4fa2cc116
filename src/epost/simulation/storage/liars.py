"""Machines that are faulty on purpose: at most k-1 of any replica set (paper section 2).

Each kind is a node or a vault that does one thing wrong whenever it is asked; they take part in
everything else, so the ring counts on them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from epost.foundation.ports import PutBlock, Write
from epost.node.joints import PendingUpcalls
from epost.past.notice_keeping import FindingPending
from epost.past.replica import Replica
from epost.past.surroundings import Surroundings
from epost.simulation.defects import HELD_FOR_OTHERS, Defect, ObstinateVault
from epost.simulation.storage.sleeping import SleepyNode
from epost.simulation.vault import SimulatedVault


class _RottenReplica(Replica):
    """Gives every block with a flipped bit."""

    def on_loaded(self, purpose: object, body: bytes | None, now: float) -> None:
        """Hand on what was loaded, but not what was stored."""
        is_own_affair = isinstance(purpose, FindingPending)
        super().on_loaded(purpose, body if is_own_affair else _rotten(body), now)


class _RottenNode(SleepyNode):
    def _make_replica(self, around: Surroundings, upcalls: PendingUpcalls) -> Replica:
        return _RottenReplica(around, delegation=upcalls, is_clock_sound=self.clock_check.is_sound)


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
    Defect("keeps nothing", None, "acknowledges and forgets", vault=_EmptyVault, node=SleepyNode),
    Defect(
        "keeps old versions",
        None,
        "acknowledges new versions and keeps the first",
        vault=ObstinateVault,
        node=SleepyNode,
    ),
)
