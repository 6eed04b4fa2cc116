"""What a mail server sees of an account's mail: values and Protocols.

The mail application implements the Protocols. A *mailbox* is all mail of one account on this
device, a *folder* one view of it. UID and MODSEQ are those of this device (RFC 3501 2.3.1.1,
RFC 7162); EMAILID and MAILBOXID are equal everywhere (RFC 8474).

Rules for implementations, however many messages a call names:
- no call holds the event loop for more than 10 ms: long work is cut into slices or done on a
  reader thread;
- a mutation returns after it is durable, and its changes reach every listener, synchronously and
  in the order of their MODSEQs, before it returns;
- what depends on missing blocks raises `UnavailableError`; refusals raise `RefusedError`.
"""

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Protocol

import msgspec

from epost.apps.mail.folders.account_changes import AccountListener
from epost.foundation.octets import Octets

INBOX = "INBOX"  # the only name that always exists; servers pass it in this spelling
SEPARATOR = "/"
MAIL_SIZE_BYTES_MAX = 2**31  # formerly 64 MiB (decision 0054)
FOLDER_NAME_LENGTH_MAX = 255
KEYWORDS_PER_FOLDER_MAX = 256
EMAIL_ID_BYTES = 16

SEEN = "\\Seen"
ANSWERED = "\\Answered"
FLAGGED = "\\Flagged"
DELETED = "\\Deleted"
DRAFT = "\\Draft"
SYSTEM_FLAGS = (ANSWERED, FLAGGED, DELETED, SEEN, DRAFT)


class SpecialUse(StrEnum):
    """What a folder is for (RFC 6154)."""

    ALL = "\\All"
    ARCHIVE = "\\Archive"
    DRAFTS = "\\Drafts"
    FLAGGED = "\\Flagged"
    JUNK = "\\Junk"
    SENT = "\\Sent"
    TRASH = "\\Trash"


class FlagChange(Enum):
    ADD = "add"
    REMOVE = "remove"
    REPLACE = "replace"


class Durability(StrEnum):
    """Which promise an acknowledgement carries; the value is shown to the user."""

    RING_DURABLE = "ring-durable"
    HELD_LOCALLY = "held locally"


class MailTime(msgspec.Struct, frozen=True, gc=False):
    """A moment with the zone in which it was written."""

    seconds: int  # since 1970-01-01 UTC
    zone_minutes: int = 0  # east of UTC


class MessageRow(msgspec.Struct, frozen=True, gc=False):
    """All that is known of a mail without reading it; a changed message is a new row."""

    uid: int
    modseq: int
    flags: frozenset[str]  # system flags and keywords; never \Recent, which belongs to sessions
    size: int  # octets
    internal_date: MailTime
    email_id: str  # RFC 8474 EMAILID: 32 hexadecimal digits
    sent: MailTime | None = None  # the Date: field, None when absent or unreadable


@dataclass(frozen=True, slots=True)
class MessageColumns:
    """Rows of several messages, column by column: what is made of very many stays cheap.

    `flags` are places in `flag_sets`, which belongs to the folder and only grows: what was made of
    a set once may be kept under its place. What follows them are facts that never change, and are
    there only if they were asked for.
    """

    uids: "array[int]"
    modseqs: Sequence[int]
    flags: Sequence[int]
    flag_sets: Sequence[frozenset[str]]
    sizes: Sequence[int] = ()
    seconds: Sequence[int] = ()  # with `zone_minutes`: the internal date
    zone_minutes: Sequence[int] = ()
    emails: bytes = b""  # EMAIL_ID_BYTES each

    def __len__(self) -> int:
        return len(self.uids)

    def whose_flags(self, test: Callable[[frozenset[str]], bool]) -> bytes:
        """For each message 1 if its flags pass a test, else 0: for `itertools.compress`."""
        passes = bytes(map(test, self.flag_sets))
        if isinstance(self.flags, array) and self.flags.typecode == "B":
            return self.flags.tobytes().translate(passes.ljust(256, b"\0"))
        return bytes(map(passes.__getitem__, self.flags))

    def internal_dates(self) -> Iterator[MailTime]:
        """When each message was received."""
        return map(MailTime, self.seconds, self.zone_minutes)

    def email_ids(self) -> Iterator[str]:
        """RFC 8474 EMAILIDs."""
        for start in range(0, len(self.emails), EMAIL_ID_BYTES):
            yield self.emails[start : start + EMAIL_ID_BYTES].hex()


@dataclass(frozen=True, slots=True)
class Rendered:
    """IMAP forms of a mail, made once at insertion by `epost.apps.mail.renditions.rendering`."""

    envelope: bytes
    body: bytes  # BODYSTRUCTURE without extension data
    bodystructure: bytes


@dataclass(frozen=True, slots=True)
class NewMail:
    octets: Octets
    flags: frozenset[str] = frozenset()
    internal_date: MailTime | None = None  # None: now, by the application's clock


@dataclass(frozen=True, slots=True)
class Replaced:
    """A message that a new one takes the place of."""

    folder_id: str
    uid: int


@dataclass(frozen=True, slots=True)
class FolderInfo:
    name: str
    folder_id: str  # RFC 8474 MAILBOXID; survives a rename
    special_use: SpecialUse | None = None


@dataclass(frozen=True, slots=True)
class FolderCounters:
    folder_id: str
    uid_validity: int
    uid_next: int
    highest_modseq: int  # at least 1
    messages: int
    unseen: int
    recent: int
    deleted: int
    size: int  # octets of all messages


@dataclass(frozen=True, slots=True)
class AppendOutcome:
    uid_validity: int
    uids: Sequence[int]  # in the order of the mails
    durability: Durability


@dataclass(frozen=True, slots=True)
class FlagsOutcome:
    rows: Sequence[MessageRow]  # every named message that exists and did not fail, changed or not
    failed: Sequence[int]  # uids whose MODSEQ is above `unchanged_since`


@dataclass(frozen=True, slots=True)
class CopyOutcome:
    uid_validity: int  # of the target
    pairs: Sequence[tuple[int, int]]  # (source uid, target uid), ascending in both


class TextPlace(Enum):
    HEADER = "header"  # one field, or its mere presence when the text is empty
    BODY = "body"  # the text of the parts, without the header
    TEXT = "text"  # header and body


@dataclass(frozen=True, slots=True)
class TextMatch:
    """A substring condition (RFC 3501 6.4.4): case-insensitive, on decoded text."""

    place: TextPlace
    text: str
    field: str = ""  # lower case; for HEADER


@dataclass(frozen=True, slots=True)
class Appended:
    uids: Sequence[int]


@dataclass(frozen=True, slots=True)
class FlagsChanged:
    rows: Sequence[MessageRow]


@dataclass(frozen=True, slots=True)
class Expunged:
    uids: Sequence[int]  # ascending
    modseq: int


@dataclass(frozen=True, slots=True)
class FolderGone:
    """The folder was deleted, or its UIDs lost their meaning (new UIDVALIDITY)."""


FolderChange = Appended | FlagsChanged | Expunged | FolderGone
ChangeListener = Callable[[FolderChange], None]


class FolderReading(Protocol):
    """Messages of a folder by UID; uids that are gone are left out of every answer."""

    async def rows(self, uids: Sequence[int]) -> Sequence[MessageRow]:
        """Rows in the order of `uids`; cheap, at best no suspension."""
        ...

    async def columns(self, uids: Sequence[int], *, facts: bool = True) -> MessageColumns:
        """The same by columns, `facts` only if wanted; `uids` ascend."""
        ...

    async def envelopes(self, uids: Sequence[int]) -> Mapping[int, bytes]:
        """ENVELOPE forms, as in `Rendered`, which costs more."""
        ...

    async def rendered(self, uids: Sequence[int]) -> Mapping[int, Rendered]: ...

    async def headers(self, uids: Sequence[int]) -> Mapping[int, bytes]:
        """Header blocks exactly as received, with the empty line that ends them."""
        ...

    async def save_dates(self, uids: Sequence[int]) -> Mapping[int, int | None]:
        """When each message came to this folder, in seconds; None if nobody noted it."""
        ...

    async def octets(self, uid: int) -> Octets:
        """The exact original mail; raises `UnavailableError`, `NoSuchMail` when it is gone."""
        ...

    async def small_mails(self, uids: Sequence[int]) -> Mapping[int, bytes]:
        """The octets of those mails that lie at hand: for any other ask `octets`."""
        ...

    async def matching(self, match: TextMatch, uids: Sequence[int]) -> frozenset[int]:
        """Those of `uids` (ascending) whose text contains `match.text`."""
        ...


class FolderHistory(Protocol):
    """What changed after a MODSEQ (RFC 7162)."""

    async def changed_since(self, modseq: int) -> Sequence[int]:
        """Ascending uids of the messages with a greater MODSEQ."""
        ...

    async def vanished_since(self, modseq: int) -> Sequence[int]:
        """Ascending uids expunged with a greater MODSEQ; too many is allowed, too few is not."""
        ...


class FolderWriting(Protocol):
    """Changes of a folder; each returns when durable."""

    async def append(
        self, mails: Sequence[NewMail], replaced: Replaced | None = None
    ) -> AppendOutcome:
        """Add all mails or none (RFC 3502), and in the same step remove one (RFC 8508)."""
        ...

    async def change_flags(
        self,
        uids: Sequence[int],
        change: FlagChange,
        flags: frozenset[str],
        unchanged_since: int | None = None,
    ) -> FlagsOutcome:
        """Change flags of `uids` (ascending); one MODSEQ for all that really change."""
        ...

    async def expunge(self, uids: Sequence[int] | None) -> Sequence[int]:
        r"""Remove those of `uids` (None: of all) that carry \Deleted; return what was removed."""
        ...

    async def copy(self, uids: Sequence[int], target: str) -> CopyOutcome:
        """Copy with flags and internal date; raises `NoSuchFolder` for the target."""
        ...

    async def move(self, uids: Sequence[int], target: str) -> CopyOutcome:
        """One step for other observers: never both places, never neither (RFC 6851)."""
        ...


class Folder(FolderReading, FolderHistory, FolderWriting, Protocol):
    """An open folder, shared by all sessions that have it open; it needs no closing."""

    @property
    def keywords(self) -> tuple[str, ...]:
        """Keywords in use, oldest first; unique without case; at most KEYWORDS_PER_FOLDER_MAX."""
        ...

    @property
    def highest_modseq(self) -> int: ...

    def uids(self) -> "array[int]":
        """All uids now, ascending, typecode 'I'; the caller does not change them."""
        ...

    def first_unseen(self) -> int | None:
        r"""Lowest uid without \Seen."""
        ...

    def claim_recent(self) -> int:
        r"""First uid that no session has claimed; the caller now shows these as \Recent.

        A crash may give a message to two sessions; never to none.
        """
        ...

    def subscribe(self, listener: ChangeListener) -> Callable[[], None]:
        """Call `listener` on every change until the returned function is called."""
        ...


class Mailbox(Protocol):
    """All folders of one account.

    Names are Unicode with '/' between levels; parents of a folder need not exist.
    """

    async def folders(self) -> Sequence[FolderInfo]:
        """Every folder, INBOX first, the others by name."""
        ...

    async def counters(self, name: str) -> FolderCounters:
        """Raises `NoSuchFolder`; cheap, also for a folder that nobody has open."""
        ...

    async def open(self, name: str) -> Folder:
        """Raises `NoSuchFolder`; opening twice gives the same object."""
        ...

    async def subscriptions(self) -> frozenset[str]:
        """Subscribed names, also of folders that no longer exist (RFC 3501 6.3.6)."""
        ...

    async def set_subscribed(self, name: str, subscribed: bool) -> None: ...

    def follow(self, listener: AccountListener) -> Callable[[], None]:
        """Call `listener` on every change in any folder until the returned function is called."""
        ...


class FolderAdministration(Protocol):
    """Making and removing folders; INBOX can be neither made nor removed."""

    async def create(self, name: str, special_use: SpecialUse | None = None) -> FolderInfo:
        """Raises `FolderExists`."""
        ...

    async def delete(self, name: str) -> None:
        """Remove the folder and its mail; folders below it stay. Raises `NoSuchFolder`."""
        ...

    async def rename(self, name: str, new_name: str) -> None:
        """Rename a folder and those below it; INBOX instead gives its mail away (RFC 3501 6.3.5).

        Raises `NoSuchFolder`, `FolderExists`.
        """
        ...


class Annotating(Protocol):
    """Notes that mail programs keep (RFC 5464); names are lower case."""

    async def annotations(self, name: str | None) -> Mapping[str, bytes]:
        """Values by name, about a folder or about the account (None); raises `NoSuchFolder`."""
        ...

    async def annotate(self, name: str | None, changes: Mapping[str, bytes | None]) -> None:
        """Write notes and remove (None) others, all or none; raises also `QuotaExceeded`."""
        ...


class AccountMail(Mailbox, FolderAdministration, Annotating, Protocol):
    """What a mail server is handed for a signed-in account."""
