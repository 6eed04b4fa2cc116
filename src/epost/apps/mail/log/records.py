"""The records that mail writes into a device's log: what happened to mails and folders (paper 4.4).

A record is one format byte and the canonical encoding of one member of `Record`. Who wrote it is
known from the log; the Lamport clock inside orders what devices did without knowing of each other.
Mails and folders are named by ids that are equal on every device, never by UIDs: those are this
device's own, and only the last four kinds of records speak of them.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from epost.apps.mail.delivery.notice import INLINE_BYTES_MAX, PARTS_MAX
from epost.apps.mail.mailbox import FOLDER_NAME_LENGTH_MAX, MAIL_SIZE_BYTES_MAX
from epost.foundation.codec import Format, encode, require_nfc
from epost.foundation.errors import MalformedPacket
from epost.foundation.ids import U8, U63, Bytes16, Bytes32
from epost.post.storage.references import Reference

RECORD_FORMAT = 1
RECORD_BYTES_MAX = 96 * 1024
NAMES_PER_RECORD_MAX = 250
"""How many mails one record names; longer lists become several records."""
SIGNED_NOTICE_BYTES_MAX = 60 * 1024
FLAGS_MAX = 256
ANNOTATION_NAME_LENGTH_MAX = 255
ANNOTATION_BYTES_MAX = 32 * 1024
"""One value of RFC 5464, so that a few of them fit into the literals of one command."""
FLAG_LENGTH_MAX = 100

Flag = Annotated[str, msgspec.Meta(min_length=1, max_length=FLAG_LENGTH_MAX)]
Flags = Annotated[tuple[Flag, ...], msgspec.Meta(max_length=FLAGS_MAX)]
FolderName = Annotated[str, msgspec.Meta(min_length=1, max_length=FOLDER_NAME_LENGTH_MAX)]
Names = Annotated[tuple[Bytes16, ...], msgspec.Meta(max_length=NAMES_PER_RECORD_MAX)]
Size = Annotated[int, msgspec.Meta(ge=0, le=MAIL_SIZE_BYTES_MAX)]
Seconds = Annotated[int, msgspec.Meta(ge=-(10**12), le=10**12)]
AnnotationName = Annotated[str, msgspec.Meta(min_length=1, max_length=ANNOTATION_NAME_LENGTH_MAX)]
AnnotationValue = Annotated[bytes, msgspec.Meta(max_length=ANNOTATION_BYTES_MAX)]
ZoneMinutes = Annotated[int, msgspec.Meta(gt=-24 * 60, lt=24 * 60)]


class Stamp(
    msgspec.Struct,
    frozen=True,
    array_like=True,
    forbid_unknown_fields=True,
    order=True,
    gc=False,
):
    """When something was done: a Lamport clock, and the device that breaks ties."""

    lamport: U63
    device: U8


FIRST = Stamp(0, 0)
"""Older than everything that a device does to a mail after it has arrived."""


class Inline(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=1):
    """The octets of a small mail."""

    octets: Annotated[bytes, msgspec.Meta(max_length=INLINE_BYTES_MAX)]


class Stored(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=2):
    """A mail in the message store: its skeleton, and the parts that fill it."""

    skeleton: Reference
    parts: Annotated[tuple[Reference, ...], msgspec.Meta(max_length=PARTS_MAX)]


class Noticed(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=3):
    """A mail received: the sender's signed notice, verbatim, holds octets or references."""

    signed: Annotated[bytes, msgspec.Meta(max_length=SIGNED_NOTICE_BYTES_MAX)]


class Logged(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=4):
    """A small mail that is still where it came: in a record of a log, in this cluster.

    Only snapshots and indexes say so; a record holds the mail itself.
    """

    cluster: Bytes32
    sequence: U63


RecordedContent = Inline | Stored | Noticed
Content = Inline | Stored | Noticed | Logged


class Insert(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=1):
    """A mail came into being in a folder (the paper's insertion record).

    `email` names its octets and, until it is copied, its one place. It comes from the notice, or
    is random for mails of this account's own making.
    """

    email: Bytes16
    folder: Bytes16
    flags: Flags
    seconds: Seconds
    zone_minutes: ZoneMinutes
    size: Size
    content: RecordedContent


class ChangeFlags(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=2):
    """Flags were added to mails and taken off."""

    stamp: Stamp
    placements: Names
    add: Flags
    remove: Flags


class Move(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=3):
    """Mails went to a folder: one record, so nobody ever sees them in both or in neither."""

    stamp: Stamp
    placements: Names
    folder: Bytes16


class CopiedMail(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One more place of a mail, and the flags it has there."""

    email: Bytes16
    placement: Bytes16
    flags: Flags


class Copy(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=4):
    """Mails are in a folder as well."""

    mails: Annotated[tuple[CopiedMail, ...], msgspec.Meta(max_length=NAMES_PER_RECORD_MAX)]
    folder: Bytes16


class Expunge(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=5):
    """Mails were removed for ever, whatever other devices do to them."""

    placements: Names


class CreateFolder(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=6):
    """A folder was made; `special_use` is empty or an attribute of RFC 6154."""

    stamp: Stamp
    folder: Bytes16
    name: FolderName
    special_use: Annotated[str, msgspec.Meta(max_length=32)]


class RenameFolder(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=7):
    """A folder got another name."""

    stamp: Stamp
    folder: Bytes16
    name: FolderName


class DeleteFolder(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=8):
    """A folder was removed; its mails are expunged by records of their own."""

    folder: Bytes16


class Subscribe(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=9):
    """A name was subscribed, or no longer."""

    stamp: Stamp
    name: FolderName
    is_subscribed: bool


class UidValidity(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=10):
    """This device numbers the mails of a folder from 1 on, under this UIDVALIDITY."""

    folder: Bytes16
    value: Annotated[int, msgspec.Meta(ge=1, le=0xFFFF_FFFF)]


class Stay(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A mail's time in one folder, named by what brought it there."""

    placement: Bytes16
    since: Stamp


class UidRange(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=11):
    """Mails that other devices put into a folder get this device's next UIDs, in this order.

    Mails that this device put there itself need no such record: they are numbered in the order of
    its own log.
    """

    folder: Bytes16
    stays: Annotated[tuple[Stay, ...], msgspec.Meta(max_length=NAMES_PER_RECORD_MAX)]


class ModseqRange(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=12):
    """This device may use every MODSEQ below `end`; after a rebuild it begins there."""

    end: U63


class Numbering(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=13):
    """From here on this device numbers mails; what its log numbered before means nothing.

    Stands once at the beginning of every incarnation of the log: a restored or cloned disk may
    have given the same UIDs to other mails.
    """

    incarnation: Bytes16


class Annotate(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=14):
    """A note about a folder, or with none about the account, was written or removed (RFC 5464)."""

    stamp: Stamp
    folder: Annotated[bytes, msgspec.Meta(max_length=16)]
    name: AnnotationName
    value: Annotated[tuple[AnnotationValue, ...], msgspec.Meta(max_length=1)]


class Save(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=15):
    """When mails came to where they are (RFC 8514), by the clock of the device that put them there.

    A record of its own, not a field of those that bring mails: a device that does not know it shows
    the mails all the same.
    """

    folder: Bytes16
    since: Stamp
    seconds: Seconds
    placements: Names


Record = (
    Insert
    | ChangeFlags
    | Move
    | Copy
    | Expunge
    | CreateFolder
    | RenameFolder
    | DeleteFolder
    | Subscribe
    | UidValidity
    | UidRange
    | ModseqRange
    | Numbering
    | Annotate
    | Save
)

_FORMAT: Format[Record] = Format(Record, size_max=RECORD_BYTES_MAX)
_FORMAT_BYTE = bytes((RECORD_FORMAT,))


def encode_record(record: Record) -> bytes:
    """Return the record as it goes into the log."""
    payload = _FORMAT_BYTE + encode(record)
    # What cannot be read back would be a mail lost: better not to write it.
    assert decode_record(payload) == record, type(record).__name__
    return payload


def decode_record(payload: bytes) -> Record:
    """Read a record off the log; raises MalformedPacket, LimitExceeded.

    A record of a later version of this program is malformed to this one.
    """
    if payload[:1] != _FORMAT_BYTE:
        raise MalformedPacket("a mail record of an unknown format")
    record = _FORMAT.decode(payload[1:])
    if isinstance(record, CreateFolder | RenameFolder | Subscribe | Annotate):
        require_nfc(record.name)
    return record
