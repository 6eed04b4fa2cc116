"""The inside of a log's records: entries of applications, sealed for the account's own devices.

How records are chained, clustered and signed for is in `past.log_format`, where storage nodes check
it (crypto 6.1, 6.2; POST 3.4).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import msgspec

from epost.crypto.boxes import box, pad, unbox, unpad
from epost.crypto.hashing import derive, u64
from epost.foundation.codec import Format, encode
from epost.foundation.ids import U8
from epost.past.log_format import LogRecord

PAYLOAD_BYTES_MAX = 192 * 1024
"""Bytes of one entry, so that its padded record fits; longer things belong in the message store."""
SALT_BYTES = 16


class Entry(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What an application logs: its own bytes, tagged with its id."""

    app: U8
    payload: Annotated[bytes, msgspec.Meta(max_length=PAYLOAD_BYTES_MAX)]


@dataclass(frozen=True, slots=True)
class Origin:
    """Who wrote a record: the device's number and the incarnation of its log."""

    device: int
    incarnation: bytes


_ENTRY: Format[Entry] = Format(Entry, size_max=PAYLOAD_BYTES_MAX + 16)


def seal_record(
    entry: Entry,
    *,
    log_key: bytes,
    data_key: bytes,
    epoch: int,
    sequence: int,
    previous: bytes,
    salt: bytes,
) -> bytes:
    """Encrypt an entry as record number `sequence`; `salt` must be fresh."""
    unsealed = LogRecord(1, log_key, sequence, previous, salt, epoch, b"")
    sealed = box(_record_key(data_key, unsealed), unsealed.associated, pad(encode(entry)))
    return encode(msgspec.structs.replace(unsealed, sealed=sealed))


def open_record(record: LogRecord, data_key: bytes) -> Entry:
    """Decrypt a record; raises BadSeal, PeerError."""
    padded = unbox(_record_key(data_key, record), record.associated, record.sealed)
    return _ENTRY.decode(unpad(padded))


def _record_key(data_key: bytes, record: LogRecord) -> bytes:
    return derive(data_key, "rec", u64(record.sequence), record.salt).key
