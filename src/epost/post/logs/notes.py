"""What of the device's own log lies in the vault's notes: all that is not safe in clusters yet.

Every change of the log is one commit of notes, made before anything is sent, so a machine that
dies between any two lines comes back with a head it signed and the records under it, or with
neither. What is ring-durable in a full cluster is struck off here; the cluster stays as a mirror.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

import msgspec

from epost.crypto.certificates import V1
from epost.crypto.hashing import u64
from epost.crypto.versioned import KeyBlock, open_key_block
from epost.foundation.codec import Format, encode
from epost.foundation.errors import ConfigError
from epost.foundation.ids import U63, BlockKind, Bytes16, Bytes32, Handle
from epost.foundation.ports import DeleteNote, PutNote, Write
from epost.past.log_format import LOG_RECORD, NO_RECORD, HeadContent, head_of
from epost.post.accounts.blocks import LOGS_MAX
from epost.post.logs.chain import NO_CLUSTER_YET, ClusterName, Position
from epost.post.ports import Disk

BASE_TABLE = "post.log"
RECORDS_TABLE = "post.log.records"
CLUSTERS_TABLE = "post.log.clusters"
_BASE_KEY = b"base"
_HEAD_KEY = b"head"


class Rewind(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """An incarnation began with record `first`; whoever read less than that of the former ones
    must read again from behind record `common`, up to which they all agree."""

    common: U63
    first: U63


class Base(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The place in the log up to which every record is safe in a stored cluster.

    `behind` is the incarnation that this one continues, zeros for the first.
    """

    format: V1
    incarnation: Bytes16
    behind: Bytes16
    sequence: U63
    tip: Bytes32
    before: ClusterName
    rewinds: Annotated[tuple[Rewind, ...], msgspec.Meta(max_length=LOGS_MAX)]

    @property
    def position(self) -> Position:
        """Where the first record after the base goes."""
        return Position(self.sequence, self.tip, self.before)

    def rewound(self, after: int) -> int:
        """Return from behind which record somebody must read on who read up to `after`."""
        for rewind in self.rewinds:
            if after < rewind.first:
                after = min(after, rewind.common)
        return after


_BASE: Format[Base] = Format(Base, size_max=4096)


@dataclass(frozen=True, slots=True)
class SignedHead:
    """A signed head and what it says."""

    block: KeyBlock
    content: HeadContent

    @staticmethod
    def of(block: KeyBlock) -> SignedHead:
        """Read a verified head; raises PeerError."""
        return SignedHead(block, head_of(block).content)


@dataclass(slots=True)
class OpenCluster:
    """A cluster whose records are still in the notes; `end` is the place after the last."""

    end: Position
    records: list[bytes] = field(default_factory=list)

    @property
    def handle(self) -> Handle:
        """Where it lies, or will."""
        return self.end.cluster.handle

    @property
    def first_sequence(self) -> int:
        """The number of its first record."""
        return self.end.cluster.first_sequence


@dataclass(frozen=True, slots=True)
class StoredCluster:
    """A cluster before the base: the vault has it, or the ring."""

    first_sequence: int
    handle: Handle


@dataclass(frozen=True, slots=True)
class StoredLog:
    """What the notes say: the clusters before the base, the base, those after it, and the newest
    head that was signed."""

    stored: list[StoredCluster]
    base: Base
    clusters: list[OpenCluster]
    head: SignedHead | None


def load(disk: Disk, first_incarnation: bytes) -> StoredLog:
    """Read the log back; raises ConfigError if the notes contradict themselves."""
    stored = disk.note(BASE_TABLE, _BASE_KEY)
    base = (
        Base(1, first_incarnation, bytes(16), 0, NO_RECORD, NO_CLUSTER_YET, ())
        if stored is None
        else _BASE.decode(stored)
    )
    clusters = _cut_into_clusters(base, [record for _, record in disk.notes(RECORDS_TABLE)])
    stored_clusters = [
        StoredCluster(int.from_bytes(key, "big"), Handle(BlockKind.CLUSTER, digest))
        for key, digest in disk.notes(CLUSTERS_TABLE)
    ]
    signed = disk.note(BASE_TABLE, _HEAD_KEY)
    head = None if signed is None else SignedHead.of(open_key_block(signed))
    return StoredLog(stored_clusters, base, clusters, head)


def _cut_into_clusters(base: Base, records: Sequence[bytes]) -> list[OpenCluster]:
    clusters: list[OpenCluster] = []
    position = base.position
    for record in records:
        if LOG_RECORD.decode(record).previous != position.tip:
            raise ConfigError("the log's notes in the vault are damaged: restore the data folder")
        extend_clusters(clusters, position, record)
        position = clusters[-1].end
    return clusters


def extend_clusters(clusters: list[OpenCluster], position: Position, record: bytes) -> None:
    """Add a record to the last cluster, or to a new one, after `position`."""
    end = position.after(record)
    if end.records == 1:
        clusters.append(OpenCluster(end))
    clusters[-1].records.append(record)
    clusters[-1].end = end


def put_base(base: Base) -> Write:
    """Return the write of the base."""
    return PutNote(BASE_TABLE, _BASE_KEY, encode(base))


def put_head(head: SignedHead) -> Write:
    """Return the write of the newest head."""
    return PutNote(BASE_TABLE, _HEAD_KEY, head.block.data)


def forget_head() -> Write:
    """Return the write that forgets the head of a former incarnation."""
    return DeleteNote(BASE_TABLE, _HEAD_KEY)


def put_record(sequence: int, record: bytes) -> Write:
    """Return the write of one record."""
    return PutNote(RECORDS_TABLE, u64(sequence), record)


def forget_records(clusters: Sequence[OpenCluster]) -> list[Write]:
    """Return the writes that remove clusters from the notes."""
    return [
        DeleteNote(RECORDS_TABLE, u64(sequence))
        for cluster in clusters
        for sequence in range(cluster.first_sequence, cluster.end.sequence + 1)
    ]


def put_cluster(cluster: StoredCluster) -> Write:
    """Return the write that enters a stored cluster in the list of them."""
    return PutNote(CLUSTERS_TABLE, u64(cluster.first_sequence), cluster.handle.digest)


def forget_cluster(cluster: StoredCluster) -> Write:
    """Return the write that strikes a stored cluster off the list."""
    return DeleteNote(CLUSTERS_TABLE, u64(cluster.first_sequence))
