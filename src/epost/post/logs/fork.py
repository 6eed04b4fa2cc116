"""Is the log in the ring the one we wrote? If not, how both became different (crypto 6.3).

A restored backup or a cloned disk must never sign with its log's key again: it would sign two heads
of one version. It goes on as a new incarnation under a fresh key, behind the ring's newest record,
and logs again what only it holds.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from epost.crypto.versioned import key_block_handle, open_key_block
from epost.foundation.errors import NoSuchBlock, TooFewReplicas
from epost.foundation.ports import DeleteBlock, Write
from epost.past.log_format import NO_CLUSTER, HeadContent, cluster_handle, record_hash
from epost.post.accounts.blocks import LogName
from epost.post.app_ids import AppId
from epost.post.logs import notes
from epost.post.logs.chain import ClusterName
from epost.post.logs.entries import Entry
from epost.post.logs.notes import Base, Rewind, SignedHead, StoredCluster
from epost.post.logs.reader import LogReader, number_of
from epost.post.logs.writer import LogWriter
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

    @property
    def common_in_clusters(self) -> int:
        """The last of these that the log leads to from now on: a head's tail does not stay."""
        content = self.ring.content
        return min(self.common, content.sequence - len(content.tail))


class Forks:
    """Compares the log on the disk with the one in the ring."""

    def __init__(
        self,
        blocks: BlockStore,
        disk: Disk,
        reader: LogReader,
        listed: Callable[[], Awaitable[Sequence[LogName]]],
    ) -> None:
        """`listed` returns the logs in the device block of the ring, oldest first."""
        self._blocks = blocks
        self._listed = listed
        self._disk = disk
        self._reader = reader

    async def compare(self, writer: LogWriter, rival: bytes | None = None) -> Fork | None:
        """Return None if ours extends what the ring has of this device's log.

        `rival` is a head that a replica gave as the reason for a conflict: the newest found may be
        our own, from our own vault. Raises UnavailableError if the ring's word is not confirmed.
        """
        for name in reversed(_begun_since(writer, await self._listed())):
            head = await self._head(name.log_key)
            if head is not None:
                return await self._describe(head, writer)
        found = await self._head(writer.name.log_key)
        heads = [found] if found is not None else []
        if rival is not None:
            expected = key_block_handle(writer.name.log_key)
            heads.append(SignedHead.of(open_key_block(rival, expected=expected)))
        others = [head for head in heads if not await self._is_ours(head, writer)]
        if not others:
            return None
        return await self._describe(max(others, key=lambda head: head.block.order), writer)

    async def _head(self, log_key: bytes) -> SignedHead | None:
        handle = key_block_handle(log_key)
        reading = await self._blocks.lookup_latest(handle)
        if not reading.confirmed:
            raise TooFewReplicas("the log's head cannot be confirmed now")
        if reading.block is None:
            return None
        return await self._newest_with(
            SignedHead.of(open_key_block(reading.block, expected=handle))
        )

    async def _newest_with(self, head: SignedHead) -> SignedHead:
        """Return the head that the newest cluster's holders keep, if it is newer.

        Whoever died between storing the cluster and storing the head has signed both.
        """
        # A tail begins a cluster, or goes on behind what is stored of the one that the head names.
        handles = [cluster_handle(record) for record in head.content.tail[:1]]
        if head.content.cluster != NO_CLUSTER:
            handles.append(ClusterName.in_head(head.content).handle)
        for handle in handles:
            with suppress(NoSuchBlock):
                _, proof = await self._blocks.lookup_cluster(handle)
                other = SignedHead.of(open_key_block(proof))
                if other.block.body.public_key == head.block.body.public_key:
                    head = max(head, other, key=lambda h: h.block.order)
        return head

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
        clusters = await self._reader.walk_back(
            ClusterName.in_head(ring.content), lambda name: name.digest in known
        )
        first = clusters[0].first_sequence if clusters else _first_sequence(ring.content)
        own = await self._own_hashes(writer, first - 1)
        common = 0
        for name in clusters:
            # Reading them all brings them into the own vault: the listeners will be told of them.
            records = await self._reader.ring_records(name.handle)
            common = _last_common(records, own, common)
        common = _last_common(ring.content.tail, own, common)
        return Fork(ring, tuple(clusters), common)

    async def entries_to_repeat(self, fork: Fork, writer: LogWriter) -> list[tuple[int, Entry]]:
        """Return what the next incarnation must log again: what only we hold, and what only the
        ring's head holds, which nobody will read any more; but what either log says of itself.

        Each with the number that it had in our log, 0 if it was not there.
        """
        tail = [self._reader.open(record) for record in fork.ring.content.tail]
        theirs = [(number if number <= fork.common else 0, entry) for number, entry in tail]
        own = self._reader.own_records(writer, fork.common)
        ours = [self._reader.open(record) async for record in own]
        return [(number, entry) for number, entry in [*theirs, *ours] if entry.app != AppId.LOG]

    def base_behind(self, fork: Fork, writer: LogWriter, incarnation: bytes) -> Base:
        """Return where the next incarnation begins: behind the ring's newest record.

        Its numbers are higher than any that either log has used, so that they stay in order.
        """
        content = fork.ring.content
        last = max(writer.position.sequence, content.sequence)
        rewinds = (*writer.base.rewinds, Rewind(fork.common, last + 1))
        return Base(
            1,
            incarnation,
            content.incarnation,
            last,
            content.tip,
            ClusterName.in_head(content),
            rewinds,
        )

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
            *notes.forget_records(writer.clusters),
            notes.forget_head(),
            *map(notes.forget_cluster, writer.stored),
            *map(notes.put_cluster, adopted),
        ]

    async def _own_hashes(self, writer: LogWriter, after: int) -> dict[int, bytes]:
        return {
            number_of(record): record_hash(record)
            async for record in self._reader.own_records(writer, after)
        }


def _begun_since(writer: LogWriter, names: Sequence[LogName]) -> Sequence[LogName]:
    """Return the incarnations that were begun after ours, by whoever else had this disk."""
    incarnations = [name.incarnation for name in names]
    for known in (writer.base.incarnation, writer.base.behind):
        if known in incarnations:
            return names[incarnations.index(known) + 1 :]
    return ()


def _first_sequence(head: HeadContent) -> int:
    return number_of(head.tail[0]) if head.tail else head.sequence


def _last_common(records: Sequence[bytes], own: Mapping[int, bytes], common: int) -> int:
    for record in records:
        if own.get(number_of(record)) == record_hash(record):
            common = number_of(record)
    return common
