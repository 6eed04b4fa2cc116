"""The fold: what the records of all of an account's devices make of its mails (design 6).

Pure functions on values. Every reducer is a join: doing it twice changes nothing, and the order in
which the logs of several devices are read does not matter. So nothing is ever rewound, and two
devices that have seen the same records show the same folders.

- A mail comes to a folder once (by the id of its notice); the later move wins.
- A flag is on or off by its latest change; at one instant, on wins.
- Removing wins over everything, before or after.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import msgspec

from epost.apps.mail.log.records import (
    FIRST,
    Annotate,
    CreateFolder,
    Flags,
    RenameFolder,
    Save,
    Stamp,
    Subscribe,
)
from epost.apps.mail.mailbox import INBOX, SpecialUse
from epost.crypto.hashing import digest

# gc=False: there are many of these and they hold no cycles; tracking them would cost the event
# loop tenths of a second when a large folder is read.


class FlagState(msgspec.Struct, frozen=True, array_like=True, order=True, gc=False):
    """The latest change of one flag of one mail; `order` decides which change that is."""

    stamp: Stamp
    is_set: bool
    name: str

    @property
    def key(self) -> str:
        """Keywords are equal without case (RFC 3501 2.3.2)."""
        return self.name.lower()


class Number(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The UID that this device gave to a mail's stay in a folder."""

    folder: bytes
    since: Stamp
    uid: int


class Saved(msgspec.Struct, frozen=True, array_like=True, order=True, gc=False):
    """When a mail's stay in a folder began; `order` decides between stays."""

    since: Stamp
    folder: bytes
    seconds: int


FLAGS_REMEMBERED = 512
"""Mails whose flags were changed together have the same ones, and often change together again."""
_NO_FLAGS: frozenset[str] = frozenset()


class Placement(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One place of one mail, as far as the records read so far tell.

    `email` is None until the record that created the place has been read: changes may come first,
    from another device's log. `number` is not part of the fold but this device's own.
    """

    name: bytes
    email: bytes | None = None
    folder: bytes = b""
    since: Stamp = FIRST
    flags: tuple[FlagState, ...] = ()
    is_expunged: bool = False
    number: Number | None = None
    saved: Saved | None = None

    @property
    def is_alive(self) -> bool:
        """Is it known and not removed?"""
        return self.email is not None and not self.is_expunged

    @property
    def uid(self) -> int:
        """The UID of the present stay, 0 if it has none (yet) or the mail is not there."""
        number = self.number
        if number is None or self.email is None or self.is_expunged:
            return 0
        is_current = number.since == self.since and number.folder == self.folder
        return number.uid if is_current else 0

    @property
    def saved_seconds(self) -> int | None:
        """When the present stay began; None if no record tells."""
        saved = self.saved
        is_current = saved is not None and (saved.since, saved.folder) == (self.since, self.folder)
        return saved.seconds if saved is not None and is_current else None

    @property
    def set_flags(self) -> frozenset[str]:
        """The flags that are on."""
        return _set_flags(self.flags) if self.flags else _NO_FLAGS


@lru_cache(maxsize=FLAGS_REMEMBERED)
def _set_flags(flags: tuple[FlagState, ...]) -> frozenset[str]:
    return frozenset([flag.name for flag in flags if flag.is_set])


def arrived(placement: Placement, email: bytes, folder: bytes, flags: Flags) -> Placement:
    """A mail came into being in a folder: older than whatever else happens to it there."""
    here = moved(placement, folder, FIRST)
    flagged = changed_flags(here, FIRST, add=flags, remove=())
    return msgspec.structs.replace(flagged, email=email)


def moved(placement: Placement, folder: bytes, stamp: Stamp) -> Placement:
    """A mail went to a folder, unless a later move took it elsewhere."""
    if (stamp, folder) <= (placement.since, placement.folder):
        return placement
    return msgspec.structs.replace(placement, folder=folder, since=stamp)


def changed_flags(placement: Placement, stamp: Stamp, add: Flags, remove: Flags) -> Placement:
    """Flags were put on and off; for each the latest change counts."""
    flags = _latest_flags(placement.flags, stamp, add, remove)
    if flags == placement.flags:
        return placement
    return msgspec.structs.replace(placement, flags=flags)


@lru_cache(maxsize=FLAGS_REMEMBERED)
def _latest_flags(
    flags: tuple[FlagState, ...], stamp: Stamp, add: Flags, remove: Flags
) -> tuple[FlagState, ...]:
    changes = [FlagState(stamp, True, name) for name in add]
    changes += [FlagState(stamp, False, name) for name in remove]
    latest = {flag.key: flag for flag in flags}
    for change in changes:
        known = latest.get(change.key)
        latest[change.key] = change if known is None else max(known, change)
    return tuple(latest[key] for key in sorted(latest))


def expunged(placement: Placement) -> Placement:
    """A mail was removed: nothing brings it back."""
    return msgspec.structs.replace(placement, is_expunged=True)


def saved(placement: Placement, record: Save | Saved) -> Placement:
    """A stay began; of two devices that took in the same mail, the first tells when."""
    stay = (record.since, record.folder)
    known = placement.saved
    if known is not None:
        known_stay = (known.since, known.folder)
        if known_stay > stay or (known_stay == stay and known.seconds <= record.seconds):
            return placement
    return msgspec.structs.replace(placement, saved=Saved(*stay, record.seconds))


def joined(placement: Placement, other: Placement) -> Placement:
    """What two sets of records tell of one place, put together; numbers are left as they are."""
    arrived_at = moved(placement, other.folder, other.since)
    told = arrived_at if other.saved is None else saved(arrived_at, other.saved)
    return msgspec.structs.replace(
        told,
        email=placement.email or other.email,
        flags=_joined_flags(placement.flags, other.flags),
        is_expunged=placement.is_expunged or other.is_expunged,
    )


def _joined_flags(
    flags: tuple[FlagState, ...], more: tuple[FlagState, ...]
) -> tuple[FlagState, ...]:
    if len(flags) + len(more) < 2:
        return flags or more
    latest = {flag.key: flag for flag in flags}
    for flag in more:
        known = latest.get(flag.key)
        latest[flag.key] = flag if known is None else max(known, flag)
    return tuple([latest[key] for key in sorted(latest)])


def numbered(placement: Placement, number: Number) -> Placement:
    """This device numbered a stay; the number of an earlier one is of no use any more."""
    return msgspec.structs.replace(placement, number=number)


class FolderState(msgspec.Struct, frozen=True, array_like=True):
    """What the records tell of a folder; its name is empty until its creation has been read."""

    folder: bytes
    name: str = ""
    named_at: Stamp = FIRST
    special_use: str = ""
    is_deleted: bool = False


def created(folder: FolderState, record: CreateFolder) -> FolderState:
    """A folder was made; two devices that make it at once make one."""
    named = _named(folder, record.name, record.stamp)
    use = max(folder.special_use, record.special_use)
    return msgspec.structs.replace(named, special_use=use)


def renamed(folder: FolderState, record: RenameFolder) -> FolderState:
    """A folder got a name; the latest counts."""
    return _named(folder, record.name, record.stamp)


def deleted(folder: FolderState) -> FolderState:
    """A folder was removed; it shows for as long as mail is in it that the remover did not see."""
    return msgspec.structs.replace(folder, is_deleted=True)


def joined_folders(folder: FolderState, other: FolderState) -> FolderState:
    """What two sets of records tell of one folder, put together."""
    return msgspec.structs.replace(
        _named(folder, other.name, other.named_at),
        special_use=max(folder.special_use, other.special_use),
        is_deleted=folder.is_deleted or other.is_deleted,
    )


def _named(folder: FolderState, name: str, stamp: Stamp) -> FolderState:
    if (stamp, name) <= (folder.named_at, folder.name):
        return folder
    return msgspec.structs.replace(folder, name=name, named_at=stamp)


class Subscription(msgspec.Struct, frozen=True, array_like=True):
    """Whether a name is subscribed, and since when."""

    name: str
    stamp: Stamp
    is_subscribed: bool


def subscribed(known: Subscription | None, record: Subscribe) -> Subscription:
    """A name was subscribed or not; the latest counts."""
    change = Subscription(record.name, record.stamp, record.is_subscribed)
    if known is None:
        return change
    return max(known, change, key=lambda state: (state.stamp, state.is_subscribed))


class Annotation(msgspec.Struct, frozen=True, array_like=True):
    """A note about a folder, or about the account (no folder); its value is empty once removed."""

    folder: bytes
    name: str
    stamp: Stamp
    value: tuple[bytes, ...]

    @property
    def key(self) -> tuple[bytes, str]:
        """What it is about; names of notes are equal without case (RFC 5464 3.2)."""
        return self.folder, self.name.lower()


def annotated(known: Annotation | None, record: Annotate) -> Annotation:
    """A note was written or removed; the latest counts."""
    change = Annotation(record.folder, record.name, record.stamp, record.value)
    if known is None:
        return change
    return max(known, change, key=lambda note: (note.stamp, note.value, note.name))


def first_folder_id(name: str) -> bytes:
    """The id of the first folder of a name: equal on devices that make it at the same time."""
    return digest("mail/folder", name.encode())[:16]


INBOX_ID = first_folder_id(INBOX)
JUNK_ID = first_folder_id("Junk")

_DEFAULT_USES = (
    (INBOX, ""),
    ("Archive", SpecialUse.ARCHIVE),
    ("Drafts", SpecialUse.DRAFTS),
    ("Junk", SpecialUse.JUNK),
    ("Sent", SpecialUse.SENT),
    ("Trash", SpecialUse.TRASH),
)

DEFAULT_FOLDERS = tuple(
    FolderState(first_folder_id(name), name, FIRST, str(use)) for name, use in _DEFAULT_USES
)
"""Every account begins with these; no record makes them."""

DEFAULT_SUBSCRIPTIONS = tuple(Subscription(name, FIRST, True) for name, _ in _DEFAULT_USES)


def shown_names(folders: Iterable[FolderState]) -> dict[str, bytes]:
    """Return the names under which these folders show, INBOX first and the others by name.

    Devices that did not know of each other may have given one name to two folders: the one that
    was named first keeps it, the others get their id behind it.
    """
    names: dict[str, bytes] = {}
    for folder in sorted(folders, key=_by_claim):
        name = folder.name
        if name in names or (name.upper() == INBOX and folder.folder != INBOX_ID):
            name = f"{name} {folder.folder.hex()}"
        names[name] = folder.folder
    return dict(sorted(names.items(), key=lambda item: (item[1] != INBOX_ID, item[0])))


def _by_claim(folder: FolderState) -> tuple[bool, Stamp, bytes]:
    return folder.folder != INBOX_ID, folder.named_at, folder.folder
