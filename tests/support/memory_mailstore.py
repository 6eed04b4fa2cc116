"""The twin of the mail application's store: all of `epost.apps.mail.mailbox`, in memory."""

import asyncio
import email
import email.policy
import hashlib
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from epost.apps.mail.delivery.notice import INLINE_BYTES_MAX
from epost.apps.mail.folders.account_changes import (
    AccountListener,
    AnnotationChanged,
    FolderNamed,
    MessagesChanged,
    SubscriptionChanged,
)
from epost.apps.mail.folders.annotations import ANNOTATIONS_PER_FOLDER_MAX
from epost.apps.mail.log.followers import Followers
from epost.apps.mail.mailbox import (
    DELETED,
    INBOX,
    KEYWORDS_PER_FOLDER_MAX,
    MAIL_SIZE_BYTES_MAX,
    SEEN,
    SEPARATOR,
    SYSTEM_FLAGS,
    Appended,
    AppendOutcome,
    ChangeListener,
    CopyOutcome,
    Durability,
    Expunged,
    FlagChange,
    FlagsChanged,
    FlagsOutcome,
    FolderChange,
    FolderCounters,
    FolderGone,
    FolderInfo,
    MailTime,
    MessageColumns,
    MessageRow,
    NewMail,
    Rendered,
    Replaced,
    SpecialUse,
    TextMatch,
    TextPlace,
)
from epost.apps.mail.mime.headers import decode_words, read_date, read_fields
from epost.apps.mail.mime.structure import parse_structure
from epost.apps.mail.renditions.rendering import render
from epost.foundation.errors import (
    FolderExists,
    MessageTooLarge,
    NoSuchFolder,
    NoSuchMail,
    NotPermitted,
    QuotaExceeded,
    UnavailableError,
)
from epost.foundation.octets import Octets


@dataclass(slots=True)
class StoredMail:
    """A mail as all folders that hold it share it."""

    octets: Octets
    header: bytes
    rendered: Rendered
    sent: MailTime | None
    email_id: str

    @classmethod
    def of(cls, octets: Octets) -> "StoredMail":
        structure = parse_structure(octets)
        header = structure.header.cut(octets)
        date = read_fields(header).first("date")
        return cls(
            octets=octets,
            header=header,
            rendered=render(octets, structure),
            sent=read_date(date) if date else None,
            email_id=hashlib.sha256(octets[:]).hexdigest()[:32],
        )


@dataclass(slots=True)
class MemoryFolder:
    """One folder. Every mutation suspends once, as a real one waits for its disk."""

    info: FolderInfo
    uid_validity: int
    now: Callable[[], MailTime]
    find: Callable[[str], "MemoryFolder"]
    find_id: Callable[[str], "MemoryFolder"]
    followers: Followers
    uid_next: int = 1
    highest_modseq: int = 1
    unavailable: set[int] = field(default_factory=set)  # uids whose blocks cannot be reached
    unrendered: set[int] = field(default_factory=set)  # those that were never at hand
    _rows: dict[int, MessageRow] = field(default_factory=dict)  # in the order of uids
    _mails: dict[int, StoredMail] = field(default_factory=dict)
    _saved: dict[int, int] = field(default_factory=dict)  # seconds by uid
    _vanished: list[tuple[int, int]] = field(default_factory=list)  # (modseq, uid)
    _keywords: dict[str, str] = field(default_factory=dict)
    _flag_sets: list[frozenset[str]] = field(default_factory=list)
    _listeners: dict[int, ChangeListener] = field(default_factory=dict)
    _listeners_made: int = 0
    _unclaimed: int = 1
    is_gone: bool = False

    @property
    def keywords(self) -> tuple[str, ...]:
        return tuple(self._keywords.values())

    def uids(self) -> "array[int]":
        return array("I", self._rows)

    def first_unseen(self) -> int | None:
        return next((row.uid for row in self._rows.values() if SEEN not in row.flags), None)

    def claim_recent(self) -> int:
        first, self._unclaimed = self._unclaimed, self.uid_next
        return first

    def subscribe(self, listener: ChangeListener) -> Callable[[], None]:
        self._listeners_made += 1
        number = self._listeners_made
        self._listeners[number] = listener

        def unsubscribe() -> None:
            self._listeners.pop(number, None)

        return unsubscribe

    def tell(self, change: FolderChange) -> None:
        for listener in tuple(self._listeners.values()):
            listener(change)
        if not isinstance(change, FolderGone):
            told = MessagesChanged(
                self.info.folder_id,
                self.info.name,
                have_come=isinstance(change, Appended),
                have_gone=isinstance(change, Expunged),
                have_new_flags=isinstance(change, FlagsChanged),
            )
            self.followers.tell([told])

    # FolderReading

    async def rows(self, uids: Sequence[int]) -> Sequence[MessageRow]:
        return [self._rows[uid] for uid in uids if uid in self._rows]

    async def columns(self, uids: Sequence[int], *, facts: bool = True) -> MessageColumns:
        rows = await self.rows(uids)
        sets = self._flag_sets
        sets += dict.fromkeys(row.flags for row in rows if row.flags not in sets)
        changing = (
            array("I", (row.uid for row in rows)),
            [row.modseq for row in rows],
            [sets.index(row.flags) for row in rows],
            sets,
        )
        if not facts:
            return MessageColumns(*changing)
        return MessageColumns(
            *changing,
            [row.size for row in rows],
            [row.internal_date.seconds for row in rows],
            [row.internal_date.zone_minutes for row in rows],
            b"".join(bytes.fromhex(row.email_id) for row in rows),
        )

    async def small_mails(self, uids: Sequence[int]) -> Mapping[int, bytes]:
        at_hand = (uid for uid in uids if uid in self._mails and uid not in self.unavailable)
        octets = ((uid, self._mails[uid].octets) for uid in at_hand)
        return {uid: mail for uid, mail in octets if len(mail) <= INLINE_BYTES_MAX}

    async def envelopes(self, uids: Sequence[int]) -> Mapping[int, bytes]:
        return {uid: forms.envelope for uid, forms in (await self.rendered(uids)).items()}

    async def rendered(self, uids: Sequence[int]) -> Mapping[int, Rendered]:
        self._reach(self.unrendered.intersection(uids))
        return {uid: self._mails[uid].rendered for uid in uids if uid in self._mails}

    async def headers(self, uids: Sequence[int]) -> Mapping[int, bytes]:
        self._reach(self.unrendered.intersection(uids))
        return {uid: self._mails[uid].header for uid in uids if uid in self._mails}

    def forget_save_dates(self) -> None:
        """As if all mails had come before anybody noted when."""
        self._saved.clear()

    async def save_dates(self, uids: Sequence[int]) -> Mapping[int, int | None]:
        return {uid: self._saved.get(uid) for uid in uids if uid in self._rows}

    async def octets(self, uid: int) -> Octets:
        await asyncio.sleep(0)
        if uid not in self._mails:
            raise NoSuchMail(uid)
        self._reach(self.unavailable.intersection([uid]))
        return self._mails[uid].octets

    def _reach(self, out_of_reach: set[int]) -> None:
        if out_of_reach:
            raise UnavailableError("no replica answers")

    async def matching(self, match: TextMatch, uids: Sequence[int]) -> frozenset[int]:
        return frozenset(
            uid for uid in uids if uid in self._mails and _has_text(self._mails[uid], match)
        )

    # FolderHistory

    async def changed_since(self, modseq: int) -> Sequence[int]:
        return [row.uid for row in self._rows.values() if row.modseq > modseq]

    async def vanished_since(self, modseq: int) -> Sequence[int]:
        return sorted(uid for gone_at, uid in self._vanished if gone_at > modseq)

    # FolderWriting

    async def append(
        self, mails: Sequence[NewMail], replaced: Replaced | None = None
    ) -> AppendOutcome:
        await self._durable()
        if any(len(mail.octets) > MAIL_SIZE_BYTES_MAX for mail in mails):
            raise MessageTooLarge("more than a mail may have")
        for mail in mails:
            self._know(mail.flags)
        uids = self._insert(
            [
                (StoredMail.of(mail.octets), mail.flags, mail.internal_date or self.now())
                for mail in mails
            ]
        )
        if replaced is not None:
            source = self.find_id(replaced.folder_id)
            source._remove([uid for uid in (replaced.uid,) if uid in source._rows])
        return AppendOutcome(self.uid_validity, uids, Durability.HELD_LOCALLY)

    async def change_flags(
        self,
        uids: Sequence[int],
        change: FlagChange,
        flags: frozenset[str],
        unchanged_since: int | None = None,
    ) -> FlagsOutcome:
        await self._durable()
        rows = [self._rows[uid] for uid in uids if uid in self._rows]
        if unchanged_since is None:
            failed = []
        else:
            failed = [row.uid for row in rows if row.modseq > unchanged_since]
            rows = [row for row in rows if row.modseq <= unchanged_since]
        self._know(flags if change is not FlagChange.REMOVE else frozenset())
        wanted = {row.uid: _changed_flags(row.flags, change, flags) for row in rows}
        if any(wanted[row.uid] != row.flags for row in rows):
            self.highest_modseq += 1
        changed = []
        for row in rows:
            if wanted[row.uid] != row.flags:
                new = msgspec.structs.replace(
                    row, flags=wanted[row.uid], modseq=self.highest_modseq
                )
                self._rows[row.uid] = new
                changed.append(new)
        if changed:
            self.tell(FlagsChanged(changed))
        return FlagsOutcome([self._rows[row.uid] for row in rows], failed)

    async def expunge(self, uids: Sequence[int] | None) -> Sequence[int]:
        await self._durable()
        wanted = list(self._rows) if uids is None else uids
        return self._remove(
            [uid for uid in wanted if uid in self._rows and DELETED in self._rows[uid].flags]
        )

    async def copy(self, uids: Sequence[int], target: str) -> CopyOutcome:
        await self._durable()
        return self._copy(uids, self.find(target))

    async def move(self, uids: Sequence[int], target: str) -> CopyOutcome:
        await self._durable()
        outcome = self._copy(uids, self.find(target))
        self._remove([source for source, _ in outcome.pairs])
        return outcome

    # For the mailbox

    def counters(self) -> FolderCounters:
        rows = list(self._rows.values())
        return FolderCounters(
            folder_id=self.info.folder_id,
            uid_validity=self.uid_validity,
            uid_next=self.uid_next,
            highest_modseq=self.highest_modseq,
            messages=len(rows),
            unseen=sum(SEEN not in row.flags for row in rows),
            recent=sum(row.uid >= self._unclaimed for row in rows),
            deleted=sum(DELETED in row.flags for row in rows),
            size=sum(row.size for row in rows),
        )

    def give_away(self, target: "MemoryFolder") -> None:
        """Move everything at once: RENAME of INBOX."""
        self._remove([source for source, _ in self._copy(list(self._rows), target).pairs])

    def close(self) -> None:
        self.is_gone = True
        self.tell(FolderGone())

    async def _durable(self) -> None:
        await asyncio.sleep(0)
        if self.is_gone:
            raise NoSuchFolder(self.info.name)

    def _copy(self, uids: Sequence[int], target: "MemoryFolder") -> CopyOutcome:
        sources = [uid for uid in uids if uid in self._rows]
        rows = [self._rows[uid] for uid in sources]
        for row in rows:
            target._know(row.flags)
        copies = target._insert(
            [(self._mails[row.uid], row.flags, row.internal_date) for row in rows]
        )
        return CopyOutcome(target.uid_validity, list(zip(sources, copies, strict=True)))

    def _insert(self, mails: Sequence[tuple[StoredMail, frozenset[str], MailTime]]) -> list[int]:
        if not mails:
            return []
        self.highest_modseq += 1
        uids = []
        for mail, flags, internal_date in mails:
            uid, self.uid_next = self.uid_next, self.uid_next + 1
            self._mails[uid] = mail
            self._saved[uid] = self.now().seconds
            self._rows[uid] = MessageRow(
                uid=uid,
                modseq=self.highest_modseq,
                flags=flags,
                size=len(mail.octets),
                internal_date=internal_date,
                email_id=mail.email_id,
                sent=mail.sent,
            )
            uids.append(uid)
        self.tell(Appended(uids))
        return uids

    def _remove(self, uids: Sequence[int]) -> Sequence[int]:
        if not uids:
            return []
        self.highest_modseq += 1
        for uid in uids:
            del self._rows[uid], self._mails[uid]
            self._vanished.append((self.highest_modseq, uid))
        self.tell(Expunged(sorted(uids), self.highest_modseq))
        return sorted(uids)

    def _know(self, flags: frozenset[str]) -> None:
        new = {flag.lower(): flag for flag in sorted(flags.difference(SYSTEM_FLAGS))}
        if len(self._keywords.keys() | new.keys()) > KEYWORDS_PER_FOLDER_MAX:
            raise QuotaExceeded("too many keywords in one folder")
        for key, flag in new.items():
            self._keywords.setdefault(key, flag)


class MemoryMail:
    """All folders of one account: `epost.apps.mail.mailbox.AccountMail`."""

    def __init__(self, now: Callable[[], MailTime] = lambda: MailTime(1_700_000_000, 60)) -> None:
        self._now = now
        self._folders: dict[str, MemoryFolder] = {}
        self._subscriptions: set[str] = set()
        self._made = 0
        self.followers = Followers()
        self._notes: dict[str, dict[str, bytes]] = defaultdict(dict)
        self._make(INBOX, None)

    def folder(self, name: str) -> MemoryFolder:
        """Raises NoSuchFolder."""
        if name not in self._folders:
            raise NoSuchFolder(name)
        return self._folders[name]

    def _with_id(self, folder_id: str) -> MemoryFolder:
        return next(f for f in self._folders.values() if f.info.folder_id == folder_id)

    async def folders(self) -> Sequence[FolderInfo]:
        names = sorted(self._folders, key=lambda name: (name != INBOX, name))
        return [self._folders[name].info for name in names]

    async def counters(self, name: str) -> FolderCounters:
        return self.folder(name).counters()

    async def open(self, name: str) -> MemoryFolder:
        return self.folder(name)

    async def subscriptions(self) -> frozenset[str]:
        return frozenset(self._subscriptions)

    async def set_subscribed(self, name: str, subscribed: bool) -> None:
        if subscribed != (name in self._subscriptions):
            (self._subscriptions.add if subscribed else self._subscriptions.discard)(name)
            self.followers.tell([SubscriptionChanged(name, subscribed)])

    async def annotations(self, name: str | None) -> Mapping[str, bytes]:
        return dict(sorted(self._notes[self._noted(name)].items()))

    async def annotate(self, name: str | None, changes: Mapping[str, bytes | None]) -> None:
        notes = self._notes[self._noted(name)]
        after = {n: v for n, v in {**notes, **changes}.items() if v is not None}
        if len(after) > ANNOTATIONS_PER_FOLDER_MAX:
            raise QuotaExceeded("too many notes")
        self._notes[self._noted(name)] = after
        self.followers.tell(AnnotationChanged(name, note) for note in changes)

    def _noted(self, name: str | None) -> str:
        return "" if name is None else self.folder(name).info.folder_id

    def follow(self, listener: AccountListener) -> Callable[[], None]:
        return self.followers.add(listener)

    async def create(self, name: str, special_use: SpecialUse | None = None) -> FolderInfo:
        if name in self._folders:
            raise FolderExists(name)
        return self._make(name, special_use).info

    async def delete(self, name: str) -> None:
        if name == INBOX:
            raise NotPermitted("INBOX stays")
        folder = self.folder(name)
        del self._folders[name]
        folder.close()
        self.followers.tell([FolderNamed(folder.info.folder_id, name, None)])

    async def rename(self, name: str, new_name: str) -> None:
        if new_name in self._folders:
            raise FolderExists(new_name)
        if name == INBOX:
            self.folder(INBOX).give_away(self._make(new_name, None))
            return
        below = name + SEPARATOR
        renamed = [old for old in self._folders if old == name or old.startswith(below)]
        if not renamed:
            raise NoSuchFolder(name)
        for old in renamed:
            folder = self._folders.pop(old)
            folder.info = replace(folder.info, name=new_name + old[len(name) :])
            self._folders[folder.info.name] = folder
            self.followers.tell([FolderNamed(folder.info.folder_id, old, folder.info.name)])

    def _make(self, name: str, special_use: SpecialUse | None) -> MemoryFolder:
        self._made += 1
        folder_id = hashlib.sha256(b"folder %d" % self._made).hexdigest()[:32]
        info = FolderInfo(name, folder_id, special_use)
        folder = MemoryFolder(
            info, 1000 + self._made, self._now, self.folder, self._with_id, self.followers
        )
        self._folders[name] = folder
        self.followers.tell([FolderNamed(folder_id, None, name)])
        return folder


def _changed_flags(
    before: frozenset[str], change: FlagChange, flags: frozenset[str]
) -> frozenset[str]:
    match change:
        case FlagChange.ADD:
            return before | flags
        case FlagChange.REMOVE:
            return before - flags
        case FlagChange.REPLACE:
            return flags


def _has_text(mail: StoredMail, match: TextMatch) -> bool:
    text = match.text.casefold()
    if match.place is TextPlace.HEADER:
        values = read_fields(mail.header).every(match.field)
        return any(text in decode_words(value).casefold() for value in values)
    if any(text in body.casefold() for body in _texts(mail.octets)):
        return True
    if match.place is TextPlace.BODY:
        return False
    fields = read_fields(mail.header)
    return any(text in f"{f.name}: {decode_words(f.value)}".casefold() for f in fields)


def _texts(octets: bytes) -> Iterator[str]:
    """The decoded text parts, read by the standard library as an independent witness."""
    for part in email.message_from_bytes(octets, policy=email.policy.compat32).walk():
        if part.get_content_maintype() == "text":
            content = part.get_payload(decode=True)
            charset = part.get_content_charset("utf-8")
            assert isinstance(content, bytes)
            try:
                yield content.decode(charset, "replace")
            except LookupError:
                yield content.decode("latin-1")
