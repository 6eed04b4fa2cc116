"""Is the log in the ring the one we wrote? If not, how both became different (crypto 6.3).

A restored backup or a cloned disk must never sign with its log's key again: it would sign two heads
of one version. It goes on as a new incarnation under a fresh key, behind the ring's newest record,
and logs again what only it holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from epost.crypto.versioned import key_block_handle, open_key_block
from epost.foundation.errors import TooFewReplicas
from epost.foundation.ports import DeleteBlock, Write
from epost.past.log_format import HeadContent, record_hash
from epost.post import log_notes
from epost.post.log_chain import ClusterName
from epost.post.log_notes import Base, Rewind, SignedHead, StoredCluster
from epost.post.log_reader import LogReader, number_of
from epost.post.log_records import Entry
from epost.post.log_writer import LogWriter
from epost.post.ports import BlockStore, Disk


@dataclass(frozen=True, slots=True)
class Fork:
    """The ring's head is not an ancestor of ours.

    `clusters` are the ring's, oldest first, from the newest that we have too; both logs are the
    same up to record `common`.
    """

    ring: SignedHead
    clusters: tuple[ClusterName, ...]
    common: int


class Forks:
    """Compares the log on the disk with the one in the ring."""

    def __init__(self, blocks: BlockStore, disk: Disk, reader: LogReader) -> None:
        self._blocks = blocks
        self._disk = disk
        self._reader = reader

    async def compare(self, writer: LogWriter, rival: bytes | None = None) -> Fork | None:
        """Return None if ours extends the ring's.

        `rival` is a head that a replica gave as the reason for a conflict: the newest found may be
        our own, from our own vault. Raises UnavailableError if the ring's head is not confirmed.
        """
        handle = key_block_handle(writer.name.log_key)
        reading = await self._blocks.lookup_latest(handle)
        if not reading.confirmed:
            raise TooFewReplicas("the log's head cannot be confirmed now")
        candidates = [data for data in (reading.block, rival) if data is not None]
        heads = [SignedHead.of(open_key_block(data, expected=handle)) for data in candidates]
        others = [head for head in heads if not await self._is_ours(head, writer)]
        if not others:
            return None
        return await self._describe(max(others, key=lambda head: head.block.order), writer)

    async def _is_ours(self, ring: SignedHead, writer: LogWriter) -> bool:
        ours = writer.head
        if ours is None or ring.block.body.version > ours.block.body.version:
            return False
        if ring.block.body.version == ours.block.body.version:
            return ring.block.body_hash == ours.block.body_hash
        hashes = await self._own_hashes(writer, ring.content.sequence - 1)
        return hashes.get(ring.content.sequence) == ring.content.tip

    async def _describe(self, ring: SignedHead, writer: LogWriter) -> Fork:
        # Our own copies may have gone another way than the ring's; the notes have all of them.
        copies = [cluster.handle for cluster in writer.clusters]
        await self._disk.durable([DeleteBlock(handle) for handle in copies])
        known = {stored.handle.digest for stored in writer.stored}
        known.update(cluster.handle.digest for cluster in writer.clusters)
        clusters = await self._reader.walk_back(ClusterName.in_head(ring.content), known)
        first = clusters[0].first_sequence if clusters else _first_sequence(ring.content)
        own = await self._own_hashes(writer, first - 1)
        common = 0
        for name in clusters:
            if name.first_sequence in own:
                common = _last_common(await self._reader.ring_records(name.handle), own, common)
        common = _last_common(ring.content.tail, own, common)
        return Fork(ring, tuple(clusters), common)

    async def entries_to_repeat(self, fork: Fork, writer: LogWriter) -> list[Entry]:
        """Return what the next incarnation must log again: what only we hold, and what only the
        ring's head holds, which nobody will read any more."""
        own = self._reader.own_records(writer, fork.common)
        records = [*fork.ring.content.tail, *[record async for record in own]]
        return [self._reader.open(record)[1] for record in records]

    def base_behind(self, fork: Fork, writer: LogWriter, incarnation: bytes) -> Base:
        """Return where the next incarnation begins: behind the ring's newest record.

        Its numbers are higher than any that either log has used, so that they stay in order.
        """
        content = fork.ring.content
        last = max(writer.position.sequence, content.sequence)
        rewinds = (*writer.base.rewinds, Rewind(fork.common, last + 1))
        return Base(1, incarnation, last, content.tip, ClusterName.in_head(content), rewinds)

    def adopted(self, fork: Fork, writer: LogWriter) -> list[StoredCluster]:
        """Return the clusters before the next incarnation: ours as far as common, the ring's."""
        theirs = {name.first_sequence: name.handle for name in fork.clusters}
        common = {
            stored.first_sequence: stored.handle
            for stored in writer.stored
            if stored.first_sequence <= fork.common
        }
        return [
            StoredCluster(first, handle) for first, handle in sorted({**common, **theirs}.items())
        ]

    def writes_to_adopt(self, adopted: Sequence[StoredCluster], writer: LogWriter) -> list[Write]:
        """Return the writes that replace our clusters by the adopted ones."""
        return [
            *log_notes.forget_records(writer.clusters),
            log_notes.forget_head(),
            *map(log_notes.forget_cluster, writer.stored),
            *map(log_notes.put_cluster, adopted),
        ]

    async def _own_hashes(self, writer: LogWriter, after: int) -> dict[int, bytes]:
        return {
            number_of(record): record_hash(record)
            async for record in self._reader.own_records(writer, after)
        }


def _first_sequence(head: HeadContent) -> int:
    return number_of(head.tail[0]) if head.tail else head.sequence


def _last_common(records: Sequence[bytes], own: Mapping[int, bytes], common: int) -> int:
    for record in records:
        if own.get(number_of(record)) == record_hash(record):
            common = number_of(record)
    return common
