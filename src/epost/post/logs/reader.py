"""Reads stored clusters of this account's logs and decrypts their records."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import AsyncIterator, Callable

from epost.foundation.errors import BadSeal
from epost.foundation.ids import Handle
from epost.past.log_format import LOG_RECORD, NO_CLUSTER, LogRecord, split_records
from epost.post.accounts.devices import Device
from epost.post.logs.chain import ClusterName
from epost.post.logs.entries import Entry, open_record
from epost.post.logs.walk import clusters_back
from epost.post.logs.writer import LogWriter
from epost.post.ports import BlockStore

CLUSTERS_WALKED_MAX = 1_000_000


class LogReader:
    """Walks logs whose records this account can decrypt."""

    def __init__(self, blocks: BlockStore, device: Device) -> None:
        self._blocks = blocks
        self._device = device

    async def ring_records(self, cluster: Handle) -> list[bytes]:
        """Return the records of a cluster as the ring has it; raises as `lookup_cluster`."""
        body, _ = await self._blocks.lookup_cluster(cluster)
        return split_records(body)

    async def own_copy(self, cluster: Handle) -> list[bytes]:
        """Return the records of a cluster from the own vault, else as any replica has it."""
        return split_records(await self._blocks.lookup(cluster))

    async def walk_back(
        self, newest: ClusterName, is_far_enough: Callable[[ClusterName], bool]
    ) -> list[ClusterName]:
        """Return a log's clusters, oldest first, back to one that is far enough (included)."""
        if newest.digest == NO_CLUSTER:
            return []
        names = [newest]
        if not is_far_enough(newest):
            async for cluster in clusters_back(self._blocks, newest.previous, CLUSTERS_WALKED_MAX):
                names.append(ClusterName.in_head(cluster.head))
                if is_far_enough(names[-1]):
                    break
        return names[::-1]

    async def own_records(self, writer: LogWriter, after: int) -> AsyncIterator[bytes]:
        """Yield this device's records numbered above `after`, in order, up to the newest now."""
        still_open = [record for cluster in writer.clusters for record in cluster.records]
        async for _, record in self.own_stored_records(writer, after):
            yield record
        for record in still_open:
            if number_of(record) > after:
                yield record

    async def own_stored_records(
        self, writer: LogWriter, after: int
    ) -> AsyncIterator[tuple[Handle, bytes]]:
        """Yield (cluster, record) of those that are in full clusters now; else as `own_records`."""
        end_of_stored = writer.base.sequence
        # The last cluster that begins at or before `after` may hold later records.
        starts = [cluster.first_sequence for cluster in writer.stored]
        first = max(bisect_right(starts, after + 1) - 1, 0)
        for stored in writer.stored[first:] if after < end_of_stored else ():
            for record in await self.own_copy(stored.handle):
                if after < number_of(record) <= end_of_stored:
                    yield stored.handle, record

    def open(self, record: bytes) -> tuple[int, Entry]:
        """Return (sequence, entry) of a record; raises BadSeal for an epoch we have no key of."""
        decoded = LOG_RECORD.decode(record)
        return decoded.sequence, self.entry(decoded)

    def entry(self, record: LogRecord) -> Entry:
        """Return what a record of any device's log holds; raises as `open`."""
        data_key = self._device.log_data_key(record.log_key, record.epoch)
        if data_key is None:
            raise BadSeal(f"no data key of epoch {record.epoch}")
        return open_record(record, data_key)


def number_of(record: bytes) -> int:
    """Return the sequence number of a record of our own."""
    return LOG_RECORD.decode(record).sequence
