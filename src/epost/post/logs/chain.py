"""The chain of one log: where the next record goes, in which cluster, and what a head says of it.

Pure: the writer extends it, the start-up rebuilds it from stored records. The cut into clusters
follows from the records alone, so that both agree about it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec

from epost.crypto.signing import Kind, SigningKey
from epost.crypto.versioned import KeyBlock, make_key_block
from epost.foundation.codec import encode
from epost.foundation.ids import U63, BlockKind, Bytes32, Handle
from epost.past.log_format import (
    CLUSTER_SIZE_MAX,
    NO_CLUSTER,
    NO_RECORD,
    RECORDS_PER_CLUSTER_MAX,
    HeadContent,
    cluster_handle,
    join_records,
    record_hash,
)


class ClusterName(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A cluster as heads name it: its digest, its first record, and the cluster before it."""

    digest: Bytes32 = NO_CLUSTER
    first_sequence: U63 = 0
    previous: Bytes32 = NO_CLUSTER

    @property
    def handle(self) -> Handle:
        """Where it lies."""
        return Handle(BlockKind.CLUSTER, self.digest)

    @staticmethod
    def in_head(content: HeadContent) -> ClusterName:
        """Return the cluster that a head names."""
        return ClusterName(content.cluster, content.first_sequence, content.previous_cluster)


NO_CLUSTER_YET = ClusterName()


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a log: after record `sequence`, whose hash is `tip`.

    `cluster` holds that record, `records` and `size` (bytes) say how full it is; `before` is the
    cluster in front of it. Where a cluster has just ended, or nothing was written yet, `records` is
    0 and `cluster` says nothing.
    """

    sequence: int = 0
    tip: bytes = NO_RECORD
    before: ClusterName = NO_CLUSTER_YET
    cluster: ClusterName = NO_CLUSTER_YET
    records: int = 0
    size: int = 0

    def opens_cluster(self, record: bytes) -> bool:
        """Will this record be the first of a new cluster?"""
        return (
            self.records in {0, RECORDS_PER_CLUSTER_MAX}
            or self.size + _stored_size(record) > CLUSTER_SIZE_MAX
        )

    def after(self, record: bytes) -> Position:
        """Return the place after one more record, which must name this place's tip."""
        sequence, tip = self.sequence + 1, record_hash(record)
        if not self.opens_cluster(record):
            return replace(
                self,
                sequence=sequence,
                tip=tip,
                records=self.records + 1,
                size=self.size + _stored_size(record),
            )
        before = self.cluster if self.records else self.before
        return Position(
            sequence=sequence,
            tip=tip,
            before=before,
            cluster=ClusterName(cluster_handle(record).digest, sequence, before.digest),
            records=1,
            size=_stored_size(record),
        )


@dataclass(frozen=True, slots=True)
class SealedNote:
    """What a head says to the account's own devices, under the data key of an epoch."""

    epoch: int
    sealed: bytes = b""


def sign_head(
    key: SigningKey,
    position: Position,
    *,
    incarnation: bytes,
    tail: Sequence[bytes],
    note: SealedNote,
    ring: bytes,
    previous: KeyBlock | None,
    issued_at: int,
) -> KeyBlock:
    """Sign the next version of a log's head for a place in it.

    A `tail` is the newest records of the place's cluster. Those in front of it must be stored in
    the cluster before the head is; if there are none, the head names the cluster before.
    """
    rides_whole = tail and len(tail) == position.records
    cluster = position.before if rides_whole else position.cluster
    content = HeadContent(
        format=1,
        incarnation=incarnation,
        sequence=position.sequence,
        tip=position.tip,
        tail=tuple(tail),
        cluster=cluster.digest,
        first_sequence=cluster.first_sequence,
        previous_cluster=cluster.previous,
        epoch=note.epoch,
        sealed=note.sealed,
    )
    return make_key_block(
        key, Kind.HEAD, ring=ring, previous=previous, issued_at=issued_at, content=encode(content)
    )


def _stored_size(record: bytes) -> int:
    return len(join_records((record,)))
