"""Brings a signed head into the ring: first the cluster that it names, then itself (crypto 6.2)."""

from __future__ import annotations

from epost.foundation.ids import BlockKind, Handle
from epost.past.durability import Durability
from epost.post.logs.writer import Step
from epost.post.ports import BlockStore


class Publication:
    """Remembers how much of the newest cluster the ring has already."""

    def __init__(self, blocks: BlockStore) -> None:
        self._blocks = blocks
        self._cluster: Handle | None = None
        self._records_given = 0
        self._records_durable = 0

    def hold(self, step: Step) -> None:
        """Have a head that carries all its records on the own disk with what is written next.

        One that leaves records to its cluster comes there after them, when it is published.
        """
        if self._is_carried(step):
            self._blocks.hold(BlockKind.KEY, step.head.block.data)

    def _is_carried(self, step: Step) -> bool:
        """Has the ring all that the head leaves to the cluster that it names?"""
        if step.cluster != self._cluster:
            self._cluster, self._records_given, self._records_durable = step.cluster, 0, 0
        return len(step.records) == self._records_durable

    async def publish(self, step: Step) -> Durability:
        """Store a head, after what it leaves to the cluster that it names.

        A head never overtakes its cluster: what the head before it carried would be lost. Raises
        Conflict, RefusedError, UnavailableError.
        """
        head = step.head.block.data
        if self._is_carried(step):
            return (await self._blocks.insert(BlockKind.KEY, head)).durability
        suffix = step.records[self._records_given :]
        extension = await self._blocks.extend(step.cluster, suffix, head)
        self._records_given = len(step.records)
        if not extension.durability.ring_durable:
            return extension.durability
        self._records_durable = len(step.records)
        insertion = await self._blocks.insert(BlockKind.KEY, head)
        return insertion.durability.combine(extension.durability)
