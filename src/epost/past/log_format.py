"""The outside of logs: records, clusters and heads, as storage nodes check them (crypto 6.1, 6.2).

What a record or a head says to its readers is sealed; what chains them is not. A record is named
by H("log/rec", its bytes) and names its predecessor; M consecutive ones form a cluster under the
handle of the first (paper 3.4). The head, a public-key block of the log's key, names the tip.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import msgspec

from epost.crypto.certificates import V1
from epost.crypto.hashing import digest
from epost.crypto.signed import parse
from epost.crypto.signing import Kind
from epost.crypto.versioned import KEY_BLOCK_SIZE_MAX, KeyBlock, KeyBlockBody, open_key_block
from epost.foundation.codec import Format, encode
from epost.foundation.errors import LimitExceeded, MalformedPacket
from epost.foundation.ids import U32, U63, BlockKind, Bytes16, Bytes32, Digest, Handle

RECORDS_PER_CLUSTER_MAX = 50
"""M of the paper's section 3.4."""

CLUSTER_SIZE_MAX = 1024 * 1024
RECORD_SIZE_MAX = 256 * 1024
TAIL_SIZE_MAX = 32 * 1024
NO_RECORD = Digest(bytes(32))
"""Previous of the very first record, and tip of a log without records."""

NO_CLUSTER = Digest(bytes(32))
_LENGTH_BYTES = 4

Record = Annotated[bytes, msgspec.Meta(max_length=RECORD_SIZE_MAX)]


class LogRecord(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One record. `sequence` counts from 1; `epoch` 0 means that `sealed` is plaintext."""

    format: V1
    log_key: Bytes32
    sequence: U63
    previous: Bytes32
    salt: Bytes16
    epoch: U32
    sealed: bytes

    @property
    def associated(self) -> bytes:
        """The bytes that the seal is bound to: all fields before it."""
        return encode(
            (self.format, self.log_key, self.sequence, self.previous, self.salt, self.epoch)
        )


class HeadContent(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The content of a log's head.

    `tail` holds the newest records, those not yet in a cluster; `cluster` is the digest of the
    newest cluster (or NO_CLUSTER) and `first_sequence` the sequence of its first record.
    """

    format: V1
    incarnation: Bytes16
    sequence: U63
    tip: Bytes32
    tail: Annotated[tuple[Record, ...], msgspec.Meta(max_length=RECORDS_PER_CLUSTER_MAX)]
    cluster: Bytes32
    first_sequence: U63
    previous_cluster: Bytes32
    epoch: U32
    sealed: bytes


LOG_RECORD: Format[LogRecord] = Format(LogRecord, size_max=RECORD_SIZE_MAX)
HEAD_CONTENT: Format[HeadContent] = Format(HeadContent, size_max=KEY_BLOCK_SIZE_MAX)
_BODY: Format[KeyBlockBody] = Format(KeyBlockBody, size_max=KEY_BLOCK_SIZE_MAX)


@dataclass(frozen=True, slots=True)
class Tip:
    """How far a chain of records goes."""

    sequence: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Head:
    """A log's head: whose, which version, and what it says."""

    log_key: bytes
    version: int
    body_hash: bytes
    content: HeadContent

    @property
    def tip(self) -> Tip:
        """The newest record of the log."""
        return Tip(self.content.sequence, self.content.tip)

    @property
    def cluster_tip(self) -> Tip:
        """The newest record in the cluster: the tail follows it."""
        tail = self.content.tail
        if not tail:
            return self.tip
        return Tip(self.content.sequence - len(tail), LOG_RECORD.decode(tail[0]).previous)

    @property
    def cluster(self) -> Handle:
        """The newest cluster."""
        return Handle(BlockKind.CLUSTER, self.content.cluster)


def open_head(data: bytes, expected: Handle | None = None) -> Head:
    """Verify a head's signature and frame, and whose it is; raises PeerError, BadSignature."""
    block = open_key_block(data, expected=expected)
    if block.purpose is not Kind.HEAD:
        raise MalformedPacket("not the head of a log")
    return head_of(block)


def head_of(block: KeyBlock) -> Head:
    """Read the content of a verified head."""
    content = HEAD_CONTENT.decode(block.body.content)
    if sum(map(len, content.tail)) > TAIL_SIZE_MAX or len(content.tail) > content.sequence:
        raise LimitExceeded("a head carries at most 32 KiB of its log's records")
    return Head(block.body.public_key, block.body.version, block.body_hash, content)


def recall_head(data: bytes) -> Head:
    """Read a head from the own disk: it was verified before it was written there."""
    signed = parse(data, Kind.HEAD)
    body = _BODY.decode(signed.body)
    return head_of(KeyBlock(data, body, digest("blk/body", signed.body)))


def record_hash(record: bytes) -> Digest:
    """Return the name of a record, which its successor repeats."""
    return digest("log/rec", record)


def cluster_handle(first_record: bytes) -> Handle:
    """Return the handle of the cluster that begins with this record."""
    return Handle(BlockKind.CLUSTER, digest("blk/cluster", first_record))


def join_records(records: Sequence[bytes]) -> bytes:
    """Return records as a cluster holds them: each after its u32 length, so that it can grow."""
    return b"".join(len(r).to_bytes(_LENGTH_BYTES, "big") + r for r in records)


def split_records(body: bytes) -> list[bytes]:
    """Undo `join_records`; raises MalformedPacket, LimitExceeded."""
    if len(body) > CLUSTER_SIZE_MAX:
        raise LimitExceeded("a cluster has at most 1 MiB")
    records: list[bytes] = []
    at = 0
    while at < len(body):
        start = at + _LENGTH_BYTES
        at = start + int.from_bytes(body[at:start], "big")
        records.append(body[start:at])
        if len(records) > RECORDS_PER_CLUSTER_MAX:  # before a million empty ones are cut
            raise LimitExceeded(f"a cluster has at most {RECORDS_PER_CLUSTER_MAX} records")
    if at != len(body) or not all(records):
        raise MalformedPacket("a cluster cut off in a record")
    return records


def follow(log_key: bytes, after: Tip, records: Sequence[bytes]) -> list[Tip]:
    """Return the tip after each record; raises MalformedPacket where the chain breaks.

    Every record must be of this log and continue its predecessor by one.
    """
    tips: list[Tip] = []
    for data in records:
        record = LOG_RECORD.decode(data)
        if record.log_key != log_key:
            raise MalformedPacket("a record of another log")
        if record.sequence != after.sequence + 1 or record.previous != after.hash:
            raise MalformedPacket("a record that does not continue its predecessor")
        after = Tip(record.sequence, record_hash(data))
        tips.append(after)
    return tips


def check_cluster(handle: Handle, body: bytes, head: Head) -> list[Tip]:
    """Verify a whole cluster against a verified head; return the tip after each record."""
    records = split_records(body)
    if not records or cluster_handle(records[0]) != handle:
        raise MalformedPacket("not the cluster of its first record")
    first = LOG_RECORD.decode(records[0])
    if first.sequence != head.content.first_sequence or first.sequence == 0:
        raise MalformedPacket("the head says another first record")
    tips = follow(head.log_key, Tip(first.sequence - 1, first.previous), records)
    _check_end(handle, tips[-1], head)
    return tips


def check_extension(handle: Handle, held: Head, suffix: bytes, head: Head) -> None:
    """Verify that `suffix` takes the cluster held under one head to a newer, verified one."""
    if head.log_key != held.log_key or head.content.first_sequence != held.content.first_sequence:
        raise MalformedPacket("the head of another log, or of another cluster of it")
    records = split_records(suffix)
    tips = follow(head.log_key, held.cluster_tip, records)
    end = tips[-1] if tips else held.cluster_tip
    if end.sequence - head.content.first_sequence >= RECORDS_PER_CLUSTER_MAX:
        raise LimitExceeded(f"a cluster has at most {RECORDS_PER_CLUSTER_MAX} records")
    _check_end(handle, end, head)


def _check_end(handle: Handle, end: Tip, head: Head) -> None:
    if head.cluster != handle:
        raise MalformedPacket("the head names another cluster")
    tail = follow(head.log_key, end, head.content.tail)
    if (tail[-1] if tail else end) != head.tip:
        raise MalformedPacket("the records do not lead to the head's tip")
