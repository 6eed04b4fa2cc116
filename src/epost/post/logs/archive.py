"""What of this account's logs lies in full clusters: read by the record, and summed up."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Callable

from epost.foundation.errors import MalformedPacket
from epost.foundation.ids import BlockKind, Handle
from epost.post.logs.entries import Entry
from epost.post.logs.reader import LogReader
from epost.post.logs.snapshot_format import HeadNote
from epost.post.logs.writer import LogWriter

CLUSTERS_REMEMBERED = 8
"""Mails are read in the order of the log: each cluster is opened once for all that it holds."""


class LogArchive:
    """The part of the own log that does not change any more, and single records of any log."""

    def __init__(self, reader: LogReader, writer: Callable[[], LogWriter]) -> None:
        """`writer` returns the log as it is now."""
        self._reader = reader
        self._writer = writer
        self._remembered: OrderedDict[bytes, dict[int, Entry]] = OrderedDict()

    @property
    def log_key(self) -> bytes:
        """The public key of the log as it goes on now."""
        return self._writer().name.log_key

    @property
    def end(self) -> tuple[int, bytes]:
        """The number of the last record in a full, ring-durable cluster, and its hash."""
        base = self._writer().base
        return base.sequence, base.tip

    @property
    def announced(self) -> HeadNote | None:
        """The newest snapshot that the own log announces."""
        return self._writer().announced

    async def all_entries(self) -> AsyncIterator[tuple[int, Entry]]:
        """Yield (number, entry) of the whole own log as it is now, of all applications."""
        async for record in self._reader.own_records(self._writer(), 0):
            yield self._reader.open(record)

    async def records(self, after: int, to: int) -> AsyncIterator[tuple[int, Handle, Entry]]:
        """Yield (number, cluster, entry) of the own records behind `after`, up to number `to`."""
        async for cluster, record in self._reader.own_stored_records(self._writer(), after):
            sequence, entry = self._reader.open(record)
            if sequence > to:
                return
            yield sequence, cluster, entry

    async def entry(self, cluster: bytes, sequence: int) -> Entry:
        """Return one record of any of the account's logs, by its cluster's digest and its number.

        Raises NoSuchBlock, UnavailableError; AuthenticityError and PeerError if there is no such
        record of this account.
        """
        entries = self._remembered.get(cluster)
        if entries is None:
            entries = await self._open(cluster)
        if sequence not in entries:
            raise MalformedPacket("the cluster has no record of this number")
        return entries[sequence]

    async def _open(self, cluster: bytes) -> dict[int, Entry]:
        records = await self._reader.own_copy(Handle(BlockKind.CLUSTER, cluster))
        entries = dict(self._reader.open(record) for record in records)
        self._remembered[cluster] = entries
        while len(self._remembered) > CLUSTERS_REMEMBERED:
            self._remembered.popitem(last=False)
        return entries
