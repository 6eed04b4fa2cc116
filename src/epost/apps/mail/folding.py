"""Takes a few records of the log into the index: one transaction, one MODSEQ, one announcement.

A record that this device wrote numbers the mails it puts into folders, in the order of the log:
so the log itself says which UID a mail has, before any client sees it, and a rebuilt index gives
the same. Mails that other devices put there wait for a `UidRange`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from itertools import islice
from typing import assert_never

import msgspec

from epost.apps.mail import fold
from epost.apps.mail.fold import FolderState, Number, Placement, Subscription
from epost.apps.mail.index import (
    SLICE,
    Batch,
    FolderRow,
    FoldIndex,
    IndexState,
    MailFacts,
    PlacedMail,
    Rendition,
)
from epost.apps.mail.mailbox import DELETED, SEEN, MailTime
from epost.apps.mail.notice import MAIL_NOTICE, InNotice
from epost.apps.mail.records import (
    FIRST,
    ChangeFlags,
    Content,
    Copy,
    CreateFolder,
    DeleteFolder,
    Expunge,
    Inline,
    Insert,
    ModseqRange,
    Move,
    Noticed,
    Numbering,
    Record,
    RenameFolder,
    Stamp,
    Stored,
    Subscribe,
    UidRange,
    UidValidity,
)

UID_MAX = 0xFFFF_FFFF

OpenNotice = Callable[[bytes], bytes]
"""Returns the content of a signed notice that was verified when it was accepted."""


@dataclass(slots=True)
class FolderChange:
    """What changed in one folder, for those who have it open."""

    appended: list[PlacedMail] = field(default_factory=list)
    changed: list[PlacedMail] = field(default_factory=list)
    expunged: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Folded:
    """The outcome of a few records: what to write, and what to announce once it is written."""

    batch: Batch
    modseq: int
    changes: Mapping[bytes, FolderChange]
    needs_numbers: bool
    """Mails of other devices wait for their UIDs."""
    unrendered: list[bytes]


@dataclass(slots=True)
class _Touched:
    """A place before and after."""

    old: Placement
    old_modseq: int
    new: Placement

    @property
    def is_only_flagged(self) -> bool:
        """Did nothing change but the flags of a mail that has a number?"""
        old, new = self.old, self.new
        return (
            old.number is not None
            and old.number is new.number
            and old.email is new.email
            and old.folder is new.folder
            and old.is_expunged == new.is_expunged
        )


@dataclass(slots=True)
class _Sums:
    """By how much the sums over a folder change."""

    messages: int = 0
    unseen: int = 0
    deleted: int = 0
    size: int = 0

    def add(self, flags: frozenset[str], size: int, sign: int) -> None:
        """A mail with these flags comes (1) or goes (-1)."""
        self.messages += sign
        self.size += sign * size
        if SEEN not in flags:
            self.unseen += sign
        if DELETED in flags:
            self.deleted += sign


class Folding:
    """Applies records, in order, to what the index holds; `finish` once."""

    def __init__(
        self,
        index: FoldIndex,
        *,
        state: IndexState,
        folders: Mapping[bytes, FolderRow],
        subscriptions: Mapping[str, Subscription],
        prepared: MutableMapping[bytes, Rendition],
        open_notice: OpenNotice,
    ) -> None:
        """`prepared` are renditions of mails that were at hand when their records were written."""
        self._index = index
        self._state = state
        self._known_folders = folders
        self._known_subscriptions = subscriptions
        self._prepared = prepared
        self._open_notice = open_notice
        self._touched: dict[bytes, _Touched] = {}
        self._facts: dict[bytes, MailFacts] = {}
        self._new_mails: dict[bytes, tuple[MailFacts, Content]] = {}
        self._first_seen: set[bytes] = set()
        self._folders: dict[bytes, FolderRow] = {}
        self._sums: dict[bytes, _Sums] = defaultdict(_Sums)
        self._subscriptions: dict[str, Subscription] = {}

    def apply(self, record: Record, *, is_own: bool) -> None:
        """Take in one record; `is_own` if this device wrote it since it began to number.

        Raises PeerError if the notice in a record is none; nothing is changed then.
        """
        match record:
            case Insert():
                self._insert(record, is_own=is_own)
            case ChangeFlags():
                self._see(record.stamp)
                for touched in self._touch(record.placements):
                    touched.new = fold.changed_flags(
                        touched.new, record.stamp, record.add, record.remove
                    )
            case Move():
                self._move(record, is_own=is_own)
            case Copy():
                self._copy(record, is_own=is_own)
            case Expunge():
                for touched in self._touch(record.placements):
                    touched.new = fold.expunged(touched.new)
            case UidValidity() | UidRange() | ModseqRange() | Numbering():
                self._number(record, is_own=is_own)
            case _:
                self._change_folder(record)

    def finish(self, applied: int) -> Folded:
        """Return what the records since the beginning come to; `applied` is the last sequence."""
        modseq = self._state.modseq_next
        self._load_facts()
        changes: dict[bytes, FolderChange] = defaultdict(FolderChange)
        batch = Batch(self._state)
        for touched in self._touched.values():
            shows = self._note_change(touched, modseq, changes, batch)
            if touched.new != touched.old:
                entry = (touched.new, modseq if shows else touched.old_modseq)
                (batch.flagged if touched.is_only_flagged else batch.placements).append(entry)
        for folder, change in changes.items():
            change.appended.sort(key=lambda mail: mail.placement.uid)
            change.expunged.sort()
            self._put_folder(folder, highest_modseq=modseq)
        self._put_sums()
        batch.mails = list(self._new_mails.values())
        batch.renditions = [
            (email, self._prepared[email]) for email in self._new_mails if email in self._prepared
        ]
        batch.folders = list(self._folders.values())
        batch.subscriptions = list(self._subscriptions.values())
        batch.state = msgspec.structs.replace(
            self._state, applied=applied, modseq_next=modseq + bool(changes)
        )
        unrendered = [email for email in self._new_mails if email not in self._prepared]
        return Folded(batch, modseq, changes, self._needs_numbers(), unrendered)

    # Mails.

    def _insert(self, record: Insert, *, is_own: bool) -> None:
        content = self._resolved(record.content)
        date = MailTime(record.seconds, record.zone_minutes)
        facts = self._known_facts(record.email)
        if facts is None:
            prepared = self._prepared.get(record.email)
            sent = prepared.sent if prepared else None
            self._add_mail(MailFacts(record.email, record.size, date, sent), content)
        elif date.seconds < facts.date.seconds:  # two devices keep the earlier arrival
            self._put_mail(msgspec.structs.replace(facts, date=date), content)
        touched = self._touch((record.email,))[0]
        touched.new = fold.arrived(touched.new, record.email, record.folder, record.flags)
        if is_own:
            self._number_own(touched, record.folder, FIRST)

    def _resolved(self, content: Content) -> Inline | Stored:
        if not isinstance(content, Noticed):
            return content
        told = MAIL_NOTICE.decode(self._open_notice(content.signed)).content
        if isinstance(told, InNotice):
            return Inline(told.octets)
        return Stored(told.skeleton, told.parts)

    def _add_mail(self, facts: MailFacts, content: Content) -> None:
        self._first_seen.add(facts.email)
        self._put_mail(facts, content)
        # Places of it that were read of earlier, in another log, show from now on.
        self._touch(self._index.places_of(facts.email))

    def _put_mail(self, facts: MailFacts, content: Content) -> None:
        self._facts[facts.email] = facts
        self._new_mails[facts.email] = (facts, content)

    def _copy(self, record: Copy, *, is_own: bool) -> None:
        names = [mail.placement for mail in record.mails]
        for mail, touched in zip(record.mails, self._touch(names), strict=True):
            touched.new = fold.arrived(touched.new, mail.email, record.folder, mail.flags)
            if is_own:
                self._number_own(touched, record.folder, FIRST)

    def _move(self, record: Move, *, is_own: bool) -> None:
        self._see(record.stamp)
        for touched in self._touch(record.placements):
            touched.new = fold.moved(touched.new, record.folder, record.stamp)
            if is_own:
                self._number_own(touched, record.folder, record.stamp)

    # Numbers.

    def _number(
        self, record: UidValidity | UidRange | ModseqRange | Numbering, *, is_own: bool
    ) -> None:
        if isinstance(record, UidValidity):
            last = max(self._state.uid_validity_last, record.value)
            self._state = msgspec.structs.replace(self._state, uid_validity_last=last)
            if is_own and not self._folder(record.folder).uid_validity:
                self._put_folder(record.folder, uid_validity=record.value)
        elif isinstance(record, ModseqRange):
            end = max(self._state.modseq_end, record.end)
            self._state = msgspec.structs.replace(self._state, modseq_end=end)
        elif isinstance(record, UidRange) and is_own:
            names = [stay.placement for stay in record.stays]
            for stay, touched in zip(record.stays, self._touch(names), strict=True):
                self._give_number(touched, record.folder, stay.since)

    def _number_own(self, touched: _Touched, folder: bytes, since: Stamp) -> None:
        """Number what this device put into a folder, unless it knew the stay or a later one.

        Only what this device's own log says may count here, or a rebuild would number anew.
        """
        known = touched.new.number
        if known is None or (known.since, known.folder) < (since, folder):
            self._give_number(touched, folder, since)

    def _give_number(self, touched: _Touched, folder: bytes, since: Stamp) -> None:
        row = self._folder(folder)
        if not row.uid_validity:
            return
        assert row.uid_next <= UID_MAX, "four thousand million mails in one folder"
        touched.new = fold.numbered(touched.new, Number(folder, since, row.uid_next))
        self._put_folder(folder, uid_next=row.uid_next + 1)

    def _see(self, stamp: Stamp) -> None:
        if stamp.lamport > self._state.lamport:
            self._state = msgspec.structs.replace(self._state, lamport=stamp.lamport)

    # Folders.

    def _change_folder(
        self, record: CreateFolder | RenameFolder | DeleteFolder | Subscribe
    ) -> None:
        match record:
            case CreateFolder():
                self._see(record.stamp)
                state = fold.created(self._folder(record.folder).state, record)
                self._put_folder(record.folder, state=state)
            case RenameFolder():
                self._see(record.stamp)
                state = fold.renamed(self._folder(record.folder).state, record)
                self._put_folder(record.folder, state=state)
            case DeleteFolder():
                state = fold.deleted(self._folder(record.folder).state)
                self._put_folder(record.folder, state=state)
            case Subscribe():
                self._see(record.stamp)
                known = self._subscriptions.get(
                    record.name, self._known_subscriptions.get(record.name)
                )
                self._subscriptions[record.name] = fold.subscribed(known, record)
            case _:
                assert_never(record)

    def _folder(self, folder: bytes) -> FolderRow:
        known = self._folders.get(folder) or self._known_folders.get(folder)
        return known or new_folder_row(FolderState(folder), self._state.modseq_next)

    def _put_folder(self, folder: bytes, **changes: object) -> None:
        self._folders[folder] = msgspec.structs.replace(self._folder(folder), **changes)

    # What was, what is, and the difference.

    def _touch(self, names: Iterable[bytes]) -> list[_Touched]:
        """Return these places as they are now, one for each name."""
        wanted = list(names)
        missing = (name for name in dict.fromkeys(wanted) if name not in self._touched)
        while some := list(islice(missing, SLICE)):
            known = self._index.placements(some)
            for name in some:
                placement, modseq = known.get(name) or (Placement(name), 0)
                self._touched[name] = _Touched(placement, modseq, placement)
        return [self._touched[name] for name in wanted]

    def _known_facts(self, email: bytes) -> MailFacts | None:
        if email not in self._facts:
            self._facts.update(self._index.facts((email,)))
        return self._facts.get(email)

    def _load_facts(self) -> None:
        emails = (touched.new.email for touched in self._touched.values())
        missing = iter({email: None for email in emails if email and email not in self._facts})
        while some := list(islice(missing, SLICE)):
            self._facts.update(self._index.facts(some))

    def _note_change(
        self,
        touched: _Touched,
        modseq: int,
        changes: MutableMapping[bytes, FolderChange],
        batch: Batch,
    ) -> bool:
        """Enter what shows of a change into announcement and sums; return whether any does."""
        old, new = touched.old, touched.new
        facts = self._facts.get(new.email) if new.email else None
        if facts is None:
            return False
        # A mail that is new to this index has shown nowhere, whatever number it had.
        old_uid = 0 if facts.email in self._first_seen else old.uid
        new_uid, old_flags, new_flags = new.uid, old.set_flags, new.set_flags
        stays = old_uid == new_uid and old.folder == new.folder
        if (stays and old_flags == new_flags) or not (old_uid or new_uid):
            return False
        if old_uid:
            self._sums[old.folder].add(old_flags, facts.size, -1)
        if new_uid:
            self._sums[new.folder].add(new_flags, facts.size, 1)
        if stays:
            changes[new.folder].changed.append(PlacedMail(new, modseq, facts))
            return True
        if old_uid:
            changes[old.folder].expunged.append(old_uid)
            batch.vanished.append((old.folder, modseq, old_uid))
        if new_uid:
            changes[new.folder].appended.append(PlacedMail(new, modseq, facts))
        return True

    def _put_sums(self) -> None:
        for folder, sums in self._sums.items():
            row = self._folder(folder)
            self._put_folder(
                folder,
                messages=row.messages + sums.messages,
                unseen=row.unseen + sums.unseen,
                deleted=row.deleted + sums.deleted,
                size=row.size + sums.size,
            )

    def _needs_numbers(self) -> bool:
        return any(
            touched.new.is_alive and not touched.new.uid for touched in self._touched.values()
        )


def new_folder_row(state: FolderState, modseq_next: int) -> FolderRow:
    """Return the row of a folder of which the index knows nothing before this MODSEQ."""
    return FolderRow(state, highest_modseq=modseq_next - 1, vanished_from=modseq_next)
