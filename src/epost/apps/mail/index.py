"""The mail index: the folded state of the log, laid out for reading (a port).

Everything in it can be made again from the log and the message store, so it may be lost: losing
its last transactions, or all of them, costs time and no mail. One writer, one transaction per
batch. Calls are synchronous and short; who wants much asks in slices (`SLICE` names at a time).
Twins: `daemon/mail_index/index.py` on disk, `simulation/mail_index.py` in memory.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from epost.apps.mail.log.fold import Annotation, FolderState, Placement, Subscription
from epost.apps.mail.log.records import Content
from epost.apps.mail.mailbox import MailTime, Rendered, TextMatch
from epost.foundation.errors import UnavailableError

SLICE = 200
"""How many mails one call may ask for: some milliseconds of work."""
ROWS_SLICE = 500
"""How many rows of a folder one call reads."""
VANISHED_KEPT_MAX = 20_000
"""Expunged UIDs remembered per folder; who asks for older ones is told every missing UID."""


class MailIndexDamaged(UnavailableError):  # noqa: N818
    """The index cannot be read; it is made anew at the next start."""


class IndexState(msgspec.Struct, frozen=True, array_like=True):
    """How far the index has come, and this device's counters."""

    incarnation: bytes
    """Of the device's log; under another one the numbers of this index mean nothing."""
    numbered_from: int
    """The sequence of this incarnation's `Numbering` record."""
    applied: int = 0
    """Every log entry up to this sequence is in the index."""
    lamport: int = 0
    modseq_next: int = 1
    modseq_end: int = 1
    """MODSEQs below it are reserved in the log."""
    uid_validity_last: int = 0
    mails: int = 0
    """How many mails were entered: the position of the last one."""
    others: tuple[tuple[int, int], ...] = ()
    """(number, sequence) of each other device of the account: up to there its log is in here."""


class FolderRow(msgspec.Struct, frozen=True, array_like=True):
    """A folder: what the fold says, this device's numbers, and sums over its mails."""

    state: FolderState
    uid_validity: int = 0
    """0 until this device has begun to number the folder; until then it shows to nobody."""
    uid_next: int = 1
    recent_from: int = 1
    """The first UID that no session has claimed as recent."""
    highest_modseq: int = 1
    vanished_from: int = 1
    """Expunged UIDs are remembered from this MODSEQ on."""
    messages: int = 0
    unseen: int = 0
    deleted: int = 0
    size: int = 0


class MailFacts(msgspec.Struct, frozen=True, gc=False):
    """What the index knows of a mail without reading it; equal in every folder it is in."""

    email: bytes
    size: int
    date: MailTime
    sent: MailTime | None = None
    """Its Date: field, once it has been rendered."""
    position: int = 0
    """Counts the mails in the order in which they came to this index, from 1."""


@dataclass(frozen=True, slots=True)
class Rendition:
    """What is made of a mail's octets once, for IMAP and for searching; texts are case-folded."""

    rendered: Rendered
    header: bytes | None
    """The whole block; None if it is too long to be kept here as well."""
    sent: MailTime | None
    header_text: str
    """One decoded field a line, `name:value`."""
    body_text: str
    brings_files: bool = False
    """Their text is read after the mail shows, and follows `body_text`."""


class PlacedMail(msgspec.Struct, frozen=True, gc=False):
    """One row of a folder."""

    placement: Placement
    modseq: int
    facts: MailFacts


@dataclass(frozen=True, slots=True)
class RowColumns:
    """Rows of a folder column by column, by UID: a large folder is read without a value for each.

    `flags` are those that are set; of a mail that does not say when it was sent `sent_seconds` is
    None.
    """

    uids: Sequence[int] = ()
    names: Sequence[bytes] = ()
    modseqs: Sequence[int] = ()
    flags: Sequence[frozenset[str]] = ()
    emails: Sequence[bytes] = ()
    sizes: Sequence[int] = ()
    seconds: Sequence[int] = ()
    zones: Sequence[int] = ()
    sent_seconds: Sequence[int | None] = ()
    sent_zones: Sequence[int | None] = ()
    positions: Sequence[int] = ()

    @classmethod
    def of(cls, mails: Sequence[PlacedMail]) -> RowColumns:
        """Return rows that are at hand as values."""
        facts = [mail.facts for mail in mails]
        return cls(
            [mail.placement.uid for mail in mails],
            [mail.placement.name for mail in mails],
            [mail.modseq for mail in mails],
            [mail.placement.set_flags for mail in mails],
            [fact.email for fact in facts],
            [fact.size for fact in facts],
            [fact.date.seconds for fact in facts],
            [fact.date.zone_minutes for fact in facts],
            [fact.sent.seconds if fact.sent else None for fact in facts],
            [fact.sent.zone_minutes if fact.sent else None for fact in facts],
            [fact.position for fact in facts],
        )


@dataclass(slots=True)
class Batch:
    """What one transaction writes: every entry replaces what the index had under its name."""

    state: IndexState
    mails: list[tuple[MailFacts, Content]] = field(default_factory=list)
    """`sent` is written with the rendition."""
    renditions: list[tuple[bytes, Rendition]] = field(default_factory=list)
    file_texts: list[tuple[bytes, str]] = field(default_factory=list)
    """Of mails whose files have been read: they wait no longer."""
    placements: list[tuple[Placement, int]] = field(default_factory=list)
    """New ones, and those with another folder or number; with the MODSEQ of the last change that
    shows."""
    flagged: list[tuple[Placement, int]] = field(default_factory=list)
    """Known ones that changed in nothing but their flags."""
    numbered: list[tuple[Placement, int]] = field(default_factory=list)
    """Known ones, of mails that are known, that changed in nothing but their number."""
    folders: list[FolderRow] = field(default_factory=list)
    subscriptions: list[Subscription] = field(default_factory=list)
    annotations: list[Annotation] = field(default_factory=list)
    vanished: list[tuple[bytes, int, int]] = field(default_factory=list)
    """Folder, MODSEQ, UID."""


class FoldIndex(Protocol):
    """What the fold reads and writes."""

    def state(self) -> IndexState | None:
        """Return None if the index is empty."""
        ...

    def folders(self) -> Sequence[FolderRow]:
        """Return every folder that any record named."""
        ...

    def subscriptions(self) -> Sequence[Subscription]:
        """Return every name that was ever subscribed."""
        ...

    def annotations(self) -> Sequence[Annotation]:
        """Return every note that was ever written, the removed ones as well."""
        ...

    def placements(self, names: Collection[bytes]) -> Mapping[bytes, tuple[Placement, int]]:
        """Return those of these places that the index knows, with their MODSEQ."""
        ...

    def places_of(self, emails: Collection[bytes]) -> Sequence[bytes]:
        """Return the names of all places of these mails, in the order in which they came."""
        ...

    def facts(self, emails: Collection[bytes]) -> Mapping[bytes, MailFacts]:
        """Return those of these mails that the index knows."""
        ...

    def commit(self, batch: Batch) -> None:
        """Write all or nothing; raises DiskFull, MailIndexDamaged."""


class ViewIndex(Protocol):
    """What open folders and the mail server read."""

    def folder_rows(self, folder: bytes, after_uid: int, limit: int) -> Sequence[PlacedMail]:
        """Return numbered mails of a folder by UID, behind `after_uid`."""
        ...

    def folder_columns(self, folder: bytes, after_uid: int, limit: int) -> RowColumns:
        """Return the same by columns."""
        ...

    def content(self, email: bytes) -> Content | None:
        """Return where the octets of a mail are: `Inline` or `Stored`; None if it is unknown."""
        ...

    def contents(self, positions: Collection[int]) -> Mapping[int, Content]:
        """Return the same for several mails, by position."""
        ...

    def envelopes(self, positions: Collection[int]) -> Mapping[int, bytes]:
        """Return the ENVELOPE of those mails that have been rendered, by position."""
        ...

    def structures(self, positions: Collection[int]) -> Mapping[int, tuple[bytes, bytes]]:
        """Return BODY and BODYSTRUCTURE of those mails that have been rendered, by position."""
        ...

    def headers(self, positions: Collection[int]) -> Mapping[int, bytes | None]:
        """Return the header block of those mails that have been rendered, by position."""
        ...

    def containing(self, match: TextMatch, positions: Collection[int]) -> frozenset[int]:
        """Return those of these mails whose text matches; mails not rendered do not."""
        ...

    def vanished(self, folder: bytes, after_modseq: int) -> Sequence[int]:
        """Return the remembered UIDs expunged with a greater MODSEQ, ascending."""
        ...

    def count_from(self, folder: bytes, uid: int) -> int:
        """Return how many mails of a folder have this UID or a greater one."""
        ...


class BacklogIndex(Protocol):
    """What is still to be done for mails that came from elsewhere."""

    def unnumbered(self, limit: int) -> Sequence[Placement]:
        """Return places of known mails that have no UID, in the order in which they came."""
        ...

    def unrendered(self, limit: int, after: int = 0) -> Sequence[tuple[int, bytes]]:
        """Return (position, mail) of mails without rendition, behind a position.

        Those that are in no folder any more need none: their octets may be gone.
        """
        ...

    def with_unread_files(self, after: int = 0) -> tuple[int, bytes] | None:
        """Return (position, mail) of the next mail whose files wait to be read, if any.

        Those that are in no folder any more need not be.
        """
        ...

    def contents_of_mails(
        self, limit: int, after: int = 0, *, in_folders: bool
    ) -> Sequence[tuple[int, Content | None]]:
        """Look at so many mails behind a position; return each position, with the content of those
        that are in a folder, or of those that are in none any more, and None for all others."""
        ...

    def forget_vanished(self, folder: bytes, keep: int) -> int:
        """Drop all but the newest remembered UIDs; return the MODSEQ from which all are kept."""
        ...

    def clear(self) -> None:
        """Empty the index."""

    def close(self) -> None:
        """Finish and close."""


class MailIndex(FoldIndex, ViewIndex, BacklogIndex, Protocol):
    """The whole port."""
