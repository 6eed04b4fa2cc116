"""Brings a signed log into the ring: full clusters, the newest one, then the head (crypto 6.2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from epost.foundation.ids import BlockKind, Handle
from epost.past.durability import Durability
from epost.post.log_writer import Step
from epost.post.ports import BlockStore


class Publication:
    """Remembers how much of the newest cluster the ring was given already."""

    def __init__(self, blocks: BlockStore) -> None:
        self._blocks = blocks
        self._cluster: Handle | None = None
        self._records_given = 0

    async def publish(
        self, steps: Sequence[Step], on_cluster_safe: Callable[[Step], None]
    ) -> Durability:
        """Store what the steps name; `on_cluster_safe` is told of full clusters on k machines.

        A head never overtakes its cluster: the tail that the head carried until then would be
        lost. So this stops at the first cluster that is only held locally. Raises Conflict,
        RefusedError, UnavailableError.
        """
        *full, newest = steps
        for step in full:
            durability = await self._give(step)
            if not durability.ring_durable:
                return durability
            on_cluster_safe(step)
        safe: list[Durability] = []
        if newest.needs_cluster:
            safe.append(await self._give(newest))
            if not safe[0].ring_durable:
                return safe[0]
        head = await self._blocks.insert(BlockKind.KEY, newest.head.block.data)
        return head.durability.combine(*safe)

    async def _give(self, step: Step) -> Durability:
        given = self._records_given if step.cluster == self._cluster else 0
        head = step.head.block.data
        insertion = await self._blocks.extend(step.cluster, step.records[given:], head)
        self._cluster, self._records_given = step.cluster, len(step.records)
        return insertion.durability
