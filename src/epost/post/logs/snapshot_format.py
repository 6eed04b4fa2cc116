"""Snapshots of a log: what its records up to one of them come to, in pages (paper 3.4; crypto 6.4).

A snapshot sums up one log, never what other devices logged: so it stands for exactly the records
that it covers, and counts as long as they do. Its pages and its root are blocks of the message
store, encrypted for the account's devices alone; a page that did not change keeps its block. A
record of the log announces the root, and so puts it under the log's signature and into its order;
the sealed part of the head says which record that is, so that a reader finds it at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import msgspec

from epost.crypto.boxes import box, unbox
from epost.crypto.certificates import V1
from epost.crypto.hashing import derive, u64
from epost.foundation.codec import Format, encode
from epost.foundation.errors import AuthenticityError, MalformedPacket, PeerError
from epost.foundation.ids import U8, U63, Bytes32
from epost.past.log_format import Head
from epost.post.accounts.devices import Device
from epost.post.app_ids import AppId
from epost.post.logs.entries import PAYLOAD_BYTES_MAX, SALT_BYTES, Entry
from epost.post.storage.references import Reference

PAGE_BYTES_MAX = 1024 * 1024
ROOT_BYTES_MAX = 4 * 1024 * 1024
GROUPS_MAX = 10_000
GROUP_NAME_BYTES_MAX = 32
PAGES_PER_GROUP_MAX = 32_768
HEAD_NOTE_BYTES_MAX = 1024


class Announced(msgspec.Struct, tag=1, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A snapshot of this log was made: of `app`'s records up to number `covered`."""

    app: U8
    covered: U63
    rows: U63
    """How much it holds, in the application's rows: the next one is made after a share of that."""
    root: Reference


class TimeMark(msgspec.Struct, tag=2, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The records from here on were logged at this time (ms) or later, by the device's clock."""

    at: U63


LogNote = Announced | TimeMark
LOG_NOTE: Format[LogNote] = Format(LogNote, size_max=PAYLOAD_BYTES_MAX)


class PageGroup(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The pages about one thing (mail: a folder), in order."""

    name: Annotated[bytes, msgspec.Meta(max_length=GROUP_NAME_BYTES_MAX)]
    pages: Annotated[tuple[Reference, ...], msgspec.Meta(max_length=PAGES_PER_GROUP_MAX)]


class SnapshotRoot(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a snapshot is of, and where its pages are.

    `covered` is the last record that it sums up, `tip` that record's hash; `log_key` is that of the
    log which announces it.
    """

    format: V1
    app: U8
    log_key: Bytes32
    covered: U63
    tip: Bytes32
    groups: Annotated[tuple[PageGroup, ...], msgspec.Meta(max_length=GROUPS_MAX)]


class SnapshotPage(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One page; it says whose it is, so that it cannot stand in another snapshot's place."""

    format: V1
    app: U8
    log_key: Bytes32
    group: Annotated[bytes, msgspec.Meta(max_length=GROUP_NAME_BYTES_MAX)]
    content: bytes


ROOT: Format[SnapshotRoot] = Format(SnapshotRoot, size_max=ROOT_BYTES_MAX)
PAGE: Format[SnapshotPage] = Format(SnapshotPage, size_max=PAGE_BYTES_MAX)


class HeadNote(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The sealed part of a head: the newest snapshot, and the record that announces it."""

    format: V1
    sequence: U63
    announced: Announced


_HEAD_NOTE: Format[HeadNote] = Format(HeadNote, size_max=HEAD_NOTE_BYTES_MAX)


@dataclass(frozen=True, slots=True)
class Page:
    """The content of one page, and which group it belongs to."""

    group: bytes
    content: bytes


def announcement(announced: Announced) -> Entry:
    """Return the entry that announces a snapshot."""
    return Entry(int(AppId.LOG), encode(announced))


def time_mark(at_ms: int) -> Entry:
    """Return the entry that tells the time."""
    return Entry(int(AppId.LOG), encode(TimeMark(at_ms)))


def note_in(entry: Entry) -> LogNote | None:
    """Return what the log says of itself in this entry, None if nothing that is understood."""
    if entry.app != AppId.LOG:
        return None
    try:
        return LOG_NOTE.decode(entry.payload)
    except PeerError:
        return None  # of a later version


def seal_head_note(
    note: HeadNote, data_key: bytes, log_key: bytes, version: int, salt: bytes
) -> bytes:
    """Return the sealed part of the head of this version; `salt` must be fresh."""
    key, associated = _head_key(data_key, log_key, version, salt)
    return salt + box(key, associated, encode(note))


def read_head_note(head: Head, device: Device) -> HeadNote | None:
    """Return what the sealed part of a head says; None if it is empty, or says nothing to us.

    Without it a log is read as a whole: so nothing in it is ever an error.
    """
    sealed, epoch = head.content.sealed, head.content.epoch
    data_key = device.log_data_key(head.log_key, epoch)
    if len(sealed) <= SALT_BYTES or data_key is None:
        return None
    key, associated = _head_key(data_key, head.log_key, head.version, sealed[:SALT_BYTES])
    try:
        note = _HEAD_NOTE.decode(unbox(key, associated, sealed[SALT_BYTES:]))
    except (AuthenticityError, PeerError):
        return None
    is_possible = note.announced.covered < note.sequence <= head.content.sequence
    return note if is_possible else None


def _head_key(data_key: bytes, log_key: bytes, version: int, salt: bytes) -> tuple[bytes, bytes]:
    return derive(data_key, "head", u64(version), salt).key, log_key + u64(version)


def open_root(data: bytes, announced: Announced, log_key: bytes) -> SnapshotRoot:
    """Read the root that a record of this log announces; raises PeerError if it is another's."""
    root = ROOT.decode(data)
    if (root.app, root.log_key, root.covered) != (announced.app, log_key, announced.covered):
        raise MalformedPacket("the root of another snapshot")
    return root


def open_page(data: bytes, root: SnapshotRoot, group: bytes) -> Page:
    """Read a page of a snapshot; raises PeerError if it belongs elsewhere."""
    page = PAGE.decode(data)
    if (page.app, page.log_key, page.group) != (root.app, root.log_key, group):
        raise MalformedPacket("a page of another log or folder")
    return Page(page.group, page.content)
