"""What a snapshot of a log holds for mail: places, folders, notes; by page.

A row says what the records of *one* log tell of one place, as `Placement` does of all. Taking
it in is a join like every other step of the fold, so that rows stand for the records they sum up,
whatever else was read before. Numbers count for the device alone whose log it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec

from epost.apps.mail.log.fold import (
    Annotation,
    FlagState,
    FolderState,
    Number,
    Placement,
    Saved,
    Subscription,
)
from epost.apps.mail.log.records import Logged, Seconds, Size, Stamp, Stored, ZoneMinutes
from epost.foundation.codec import Format
from epost.foundation.ids import U32, U63, Bytes16
from epost.post.logs.snapshot_format import PAGE_BYTES_MAX

FLAGS_MAX = 10_000
ACCOUNT_GROUP = b"account"
"""Pages of what is in no folder: the folders themselves, subscriptions, notes, counters."""
ELSEWHERE_GROUP = b""
"""Pages of places that are in no folder, as far as this log tells."""


_Id = Annotated[bytes, msgspec.Meta(max_length=16)]


class MailRow(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """A mail that this log brought."""

    size: Size
    seconds: Seconds
    zone_minutes: ZoneMinutes
    content: Stored | Logged


class PlaceRow(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """A place as far as this log tells; `email` and `folder` are empty if it does not.

    At most one of each: when the stay began, the number of the stay, and the mail of the same name
    if this log brought it.
    """

    name: Bytes16
    email: _Id
    folder: _Id
    since: Stamp
    flags: Annotated[tuple[FlagState, ...], msgspec.Meta(max_length=FLAGS_MAX)]
    is_expunged: bool
    saved: Annotated[tuple[Saved, ...], msgspec.Meta(max_length=1)]
    number: Annotated[tuple[Number, ...], msgspec.Meta(max_length=1)]
    mail: Annotated[tuple[MailRow, ...], msgspec.Meta(max_length=1)]

    @staticmethod
    def of(placement: Placement, mail: MailRow | None) -> PlaceRow:
        """Return the row of a place."""
        return PlaceRow(
            placement.name,
            placement.email or b"",
            placement.folder,
            placement.since,
            placement.flags,
            placement.is_expunged,
            () if placement.saved is None else (placement.saved,),
            () if placement.number is None else (placement.number,),
            () if mail is None else (mail,),
        )

    @property
    def placement(self) -> Placement:
        """The place, with its number."""
        return Placement(
            self.name,
            self.email or None,
            self.folder,
            self.since,
            self.flags,
            self.is_expunged,
            next(iter(self.number), None),
            next(iter(self.saved), None),
        )


class PlacesPage(msgspec.Struct, tag=1, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Places of one folder, in the order in which they came to it."""

    rows: tuple[PlaceRow, ...]


class EncodedPlaces(msgspec.Struct, tag=1, frozen=True, array_like=True):
    """A `PlacesPage` to be written, whose rows are encoded already."""

    rows: tuple[msgspec.Raw, ...]


class NumberedFolder(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A folder, and how far the device whose log it is has numbered it."""

    state: FolderState
    uid_validity: U32
    uid_next: U63


class AccountPage(msgspec.Struct, tag=2, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What is in no folder; the counters are those of the device whose log it is."""

    incarnation: Bytes16
    numbered_from: U63
    lamport: U63
    modseq_end: U63
    uid_validity_last: U63
    folders: tuple[NumberedFolder, ...]
    subscriptions: tuple[Subscription, ...]
    annotations: tuple[Annotation, ...]


MailPage = PlacesPage | AccountPage
MAIL_PAGE: Format[MailPage] = Format(MailPage, size_max=PAGE_BYTES_MAX)


def account_pages(page: AccountPage, *, entries: int, annotations: int) -> Sequence[AccountPage]:
    """Cut what may be too much for one page; every piece has the counters."""
    starts = max(
        -(-len(page.folders) // entries),
        -(-len(page.subscriptions) // entries),
        -(-len(page.annotations) // annotations),
        1,
    )
    return [
        msgspec.structs.replace(
            page,
            folders=page.folders[i * entries : (i + 1) * entries],
            subscriptions=page.subscriptions[i * entries : (i + 1) * entries],
            annotations=page.annotations[i * annotations : (i + 1) * annotations],
        )
        for i in range(starts)
    ]
