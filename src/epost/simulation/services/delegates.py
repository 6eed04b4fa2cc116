"""Machines that lie about the notices that they keep for others: up to a third of them all.

Unlike the liars of `simulation.storage` they are counted on nowhere: even all k delegates of a
notice may be such, and then it is for the sender's outbox to see to it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from epost.foundation.ids import BlockKind
from epost.foundation.ports import PutBlock, Write
from epost.simulation.defects import HELD_FOR_OTHERS, Defect, SilentNode
from epost.simulation.storage.sleeping import SleepyNode, sleepy
from epost.simulation.vault import SimulatedVault


class _DroppingVault(SimulatedVault):
    """Says that it keeps notices for others, signs so, and keeps none."""

    def commit(self, writes: Sequence[Write]) -> asyncio.Future[None]:
        """Write all but notices kept for others."""
        return super().commit([write for write in writes if not _is_notice(write)])


def _is_notice(write: Write) -> bool:
    return (
        isinstance(write, PutBlock)
        and write.entry.handle.kind is BlockKind.PENDING
        and not write.entry.roles & ~HELD_FOR_OTHERS
    )


LYING_DELEGATES = (
    Defect("keeps notices to itself", None, "never tells", node=sleepy(SilentNode)),
    Defect("drops notices", None, "signs for them", vault=_DroppingVault, node=SleepyNode),
)
