"""Builds the records, clusters and heads of a log, as a device would sign them."""

from __future__ import annotations

from dataclasses import dataclass, field

from epost.crypto.signing import Kind, SigningKey
from epost.crypto.versioned import KeyBlock
from epost.foundation.codec import encode
from epost.foundation.ids import Handle
from epost.past.log_format import (
    NO_CLUSTER,
    NO_RECORD,
    HeadContent,
    LogRecord,
    cluster_handle,
    join_records,
    record_hash,
)
from tests.support.past_ring import key_block


@dataclass
class Log:
    """One log, whose records are all in one cluster unless told otherwise."""

    key: SigningKey
    records: list[bytes] = field(default_factory=list)
    heads: list[KeyBlock] = field(default_factory=list)

    def append(self, *payloads: bytes) -> list[bytes]:
        added = []
        for payload in payloads:
            previous = record_hash(self.records[-1]) if self.records else NO_RECORD
            sequence = len(self.records) + 1
            record = LogRecord(1, self.key.public, sequence, previous, bytes(16), 0, payload)
            added.append(encode(record))
            self.records.append(added[-1])
        return added

    def head(self, *, tail: int = 0, **changes: object) -> KeyBlock:
        """Sign the next head; the newest `tail` records ride in it."""
        in_cluster = self.records[: len(self.records) - tail]
        fields: dict[str, object] = {
            "format": 1,
            "incarnation": bytes(16),
            "sequence": len(self.records),
            "tip": record_hash(self.records[-1]) if self.records else NO_RECORD,
            "tail": tuple(self.records[len(in_cluster) :]),
            "cluster": cluster_handle(in_cluster[0]).digest if in_cluster else NO_CLUSTER,
            "first_sequence": 1 if in_cluster else 0,
            "previous_cluster": NO_CLUSTER,
            "epoch": 0,
            "sealed": b"",
        } | changes
        content = encode(HeadContent(**fields))
        previous = self.heads[-1] if self.heads else None
        self.heads.append(key_block(self.key, content, previous=previous, purpose=Kind.HEAD))
        return self.heads[-1]

    @property
    def cluster(self) -> Handle:
        return cluster_handle(self.records[0])

    @property
    def body(self) -> bytes:
        return join_records(self.records)
