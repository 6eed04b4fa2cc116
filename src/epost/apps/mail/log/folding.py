"""Takes a few records of the log into the index: one transaction, one MODSEQ, one announcement.

A record that this device wrote numbers the mails it puts into folders, in the order of the log:
so the log itself says which UID a mail has, before any client sees it, and a rebuilt index gives
the same. Mails that other devices put there wait for a `UidRange`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import assert_never

import msgspec

from epost.apps.mail.chunks import in_chunks
from epost.apps.mail.contents import OpenNotice, resolved
from epost.apps.mail.index import (
    SLICE,
    Batch,
    FolderRow,
    FoldIndex,
    IndexState,
    MailFacts,
    Rendition,
)
from epost.apps.mail.log import fold
from epost.apps.mail.log.difference import Difference, FolderChange, Touched
from epost.apps.mail.log.fold import Annotation, FolderState, Number, Placement, Subscription
from epost.apps.mail.log.records import (
    FIRST,
    Annotate,
    ChangeFlags,
    Content,
    Copy,
    CreateFolder,
    DeleteFolder,
    Expunge,
    Insert,
    ModseqRange,
    Move,
    Numbering,
    Record,
    RenameFolder,
    Save,
    Stamp,
    Subscribe,
    UidRange,
    UidValidity,
)
from epost.apps.mail.log.snapshot_rows import AccountPage, MailPage, PlacesPage
from epost.apps.mail.mailbox import MailTime

UID_MAX = 0xFFFF_FFFF
INSERT_WEIGHT = 20


@dataclass(slots=True)
class Folded:
    """The outcome of a few records: what to write, and what to announce once it is written."""

    batch: Batch
    modseq: int
    changes: Mapping[bytes, FolderChange]
    needs_numbers: bool
    """Mails of other devices wait for their UIDs."""
    unrendered: list[bytes]


class Folding:
    """Applies records, in order, to what the index holds; `finish` once."""

    def __init__(
        self,
        index: FoldIndex,
        *,
        state: IndexState,
        folders: Mapping[bytes, FolderRow],
        subscriptions: Mapping[str, Subscription],
        annotations: Mapping[bytes, Mapping[str, Annotation]],
        prepared: Mapping[bytes, Rendition],
        open_notice: OpenNotice,
    ) -> None:
        """`prepared` are renditions of mails that were at hand when their records were written."""
        self._index = index
        self._state = state
        self._mails = state.mails
        self._known_folders = folders
        self._known_subscriptions = subscriptions
        self._known_annotations = annotations
        self._prepared = prepared
        self._open_notice = open_notice
        self._touched: dict[bytes, Touched] = {}
        self._facts: dict[bytes, MailFacts] = {}
        self._new_mails: dict[bytes, tuple[MailFacts, Content]] = {}
        self._first_seen: set[bytes] = set()
        self._folders: dict[bytes, FolderRow] = {}
        self._subscriptions: dict[str, Subscription] = {}
        self._annotations: dict[tuple[bytes, str], Annotation] = {}

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
            case Save():
                for touched in self._touch(record.placements):
                    touched.new = fold.saved(touched.new, record)
            case Annotate():
                self._annotate(record)
            case UidValidity() | UidRange() | ModseqRange() | Numbering():
                self._number(record, is_own=is_own)
            case _:
                self._change_folder(record)

    def finish(self, applied: int, others: Mapping[int, int] | None = None) -> Folded:
        """Return what the records since the beginning come to.

        `applied` is the last sequence of this device's log, `others` those of other devices'.
        """
        self._load_facts()
        modseq = self._state.modseq_next
        difference = Difference(modseq, self._facts, self._first_seen)
        for touched in self._touched.values():
            difference.note(touched)
        changes = difference.changes()
        for folder, sums in difference.sums.items():
            self._put_folder(folder, **sums.added_to(self._folder(folder)))
        for folder in changes:
            self._put_folder(folder, highest_modseq=modseq)
        state = msgspec.structs.replace(
            self._state,
            applied=applied,
            mails=self._mails,
            modseq_next=modseq + bool(changes),
            others=tuple(sorted({**dict(self._state.others), **(others or {})}.items())),
        )
        batch = Batch(
            state,
            mails=list(self._new_mails.values()),
            renditions=[(e, self._prepared[e]) for e in self._new_mails if e in self._prepared],
            placements=difference.placements,
            flagged=difference.flagged,
            numbered=difference.numbered,
            folders=list(self._folders.values()),
            subscriptions=list(self._subscriptions.values()),
            annotations=list(self._annotations.values()),
            vanished=difference.vanished,
        )
        unrendered = [email for email in self._new_mails if email not in self._prepared]
        return Folded(batch, modseq, changes, difference.needs_numbers, unrendered)

    # Mails.

    def _insert(self, record: Insert, *, is_own: bool) -> None:
        content = resolved(record.content, self._open_notice)
        date = MailTime(record.seconds, record.zone_minutes)
        known = self._known_facts(record.email)
        if self._bring(MailFacts(record.email, record.size, date), content, known):
            self._find_places((record.email,))
        touched = self._touch((record.email,))[0]
        touched.new = fold.arrived(touched.new, record.email, record.folder, record.flags)
        if is_own:
            self._number_own(touched, record.folder, FIRST)

    def _bring(self, mail: MailFacts, content: Content, known: MailFacts | None) -> bool:
        """A mail came, of which this is known; return whether it is new to the index."""
        if known is None:
            prepared = self._prepared.get(mail.email)
            sent = prepared.sent if prepared else None
            self._mails += 1
            self._first_seen.add(mail.email)
            entered = MailFacts(mail.email, mail.size, mail.date, sent, self._mails)
            self._put_mail(entered, content)
        elif mail.date.seconds < known.date.seconds:  # two devices keep the earlier arrival
            self._put_mail(msgspec.structs.replace(known, date=mail.date), content)
        return known is None

    def _find_places(self, emails: Sequence[bytes]) -> None:
        """Places of new mails that were read of earlier, in another log, show from now on."""
        for some in in_chunks(emails, SLICE):
            self._touch(self._index.places_of(some))

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
            touched = self._touch([stay.placement for stay in record.stays])
            self._give_numbers(touched, record.folder, [stay.since for stay in record.stays])

    def _number_own(self, touched: Touched, folder: bytes, since: Stamp) -> None:
        """Number what this device put into a folder, unless it knew the stay or a later one.

        Only what this device's own log says may count here, or a rebuild would number anew.
        """
        known = touched.new.number
        if known is None or (known.since, known.folder) < (since, folder):
            self._give_numbers((touched,), folder, (since,))

    def _give_numbers(
        self, places: Sequence[Touched], folder: bytes, stays: Sequence[Stamp]
    ) -> None:
        """Give the next UIDs of a folder to places, in this order, for stays that began then."""
        row = self._folder(folder)
        if not row.uid_validity:
            return
        end = row.uid_next + len(places)
        assert end - 1 <= UID_MAX, "four thousand million mails in one folder"
        for touched, since, uid in zip(places, stays, range(row.uid_next, end), strict=True):
            touched.new = fold.numbered(touched.new, Number(folder, since, uid))
        self._put_folder(folder, uid_next=end)

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

    def _annotate(self, record: Annotate) -> None:
        self._see(record.stamp)
        key = record.folder, record.name.lower()
        known = self._annotations.get(key)
        if known is None:
            known = self._known_annotations.get(record.folder, {}).get(record.name.lower())
        self._annotations[key] = fold.annotated(known, record)

    def _folder(self, folder: bytes) -> FolderRow:
        known = self._folders.get(folder) or self._known_folders.get(folder)
        return known or new_folder_row(FolderState(folder), self._state.modseq_next)

    def _put_folder(self, folder: bytes, **changes: object) -> None:
        self._folders[folder] = msgspec.structs.replace(self._folder(folder), **changes)

    # Snapshots.

    def join(self, page: MailPage, *, is_own: bool) -> None:
        """Take in a page of a snapshot; `is_own` if this device's numbers in it count."""
        if isinstance(page, PlacesPage):
            self._join_places(page, is_own=is_own)
        else:
            self._join_account(page, is_own=is_own)

    def _join_places(self, page: PlacesPage, *, is_own: bool) -> None:
        """Take in what another fold made of one log."""
        brought = [(row.name, row.mail[0]) for row in page.rows if row.mail]
        self._look_up([email for email, _ in brought])
        new: list[bytes] = []
        for email, mail in brought:
            facts = MailFacts(email, mail.size, MailTime(mail.seconds, mail.zone_minutes))
            if self._bring(facts, mail.content, self._facts.get(email)):
                new.append(email)
        self._find_places(new)
        names = [row.name for row in page.rows]
        for row, touched in zip(page.rows, self._touch(names), strict=True):
            touched.new = fold.joined(touched.new, row.placement)
            for number in row.number if is_own else ():
                touched.new = fold.numbered(touched.new, number)

    def _join_account(self, page: AccountPage, *, is_own: bool) -> None:
        lamport = max(self._state.lamport, page.lamport)
        last = max(self._state.uid_validity_last, page.uid_validity_last)
        self._state = msgspec.structs.replace(self._state, lamport=lamport, uid_validity_last=last)
        for numbered in page.folders:
            folder = numbered.state.folder
            row = self._folder(folder)
            self._put_folder(folder, state=fold.joined_folders(row.state, numbered.state))
            if is_own and numbered.uid_validity:
                self._put_folder(
                    folder, uid_validity=numbered.uid_validity, uid_next=numbered.uid_next
                )
        for entry in page.subscriptions:
            record = Subscribe(entry.stamp, entry.name, entry.is_subscribed)
            self._change_folder(record)
        for note in page.annotations:
            self._annotate(Annotate(note.stamp, note.folder, note.name, note.value))

    # What was, what is, and the difference.

    def _touch(self, names: Iterable[bytes]) -> list[Touched]:
        """Return these places as they are now, one for each name."""
        wanted = list(names)
        missing = [name for name in dict.fromkeys(wanted) if name not in self._touched]
        for some in in_chunks(missing, SLICE):
            known = self._index.placements(some)
            for name in some:
                placement, modseq = known.get(name) or (Placement(name), 0)
                self._touched[name] = Touched(placement, modseq, placement)
        return [self._touched[name] for name in wanted]

    def _known_facts(self, email: bytes) -> MailFacts | None:
        self._look_up((email,))
        return self._facts.get(email)

    def _load_facts(self) -> None:
        emails = (touched.new.email for touched in self._touched.values())
        self._look_up([email for email in emails if email])

    def _look_up(self, emails: Sequence[bytes]) -> None:
        """Have the facts of those of these mails that the index knows."""
        missing = [email for email in dict.fromkeys(emails) if email not in self._facts]
        for some in in_chunks(missing, SLICE):
            self._facts.update(self._index.facts(some))


def weight(record: Record | MailPage | None) -> int:
    """How much work a record is: how many mails it names, about."""
    match record:
        case Insert():
            return INSERT_WEIGHT
        case PlacesPage():
            return len(record.rows)
        case ChangeFlags() | Move() | Expunge() | Save():
            return len(record.placements)
        case Copy():
            return len(record.mails)
        case UidRange():
            return len(record.stays)
        case _:
            return 1


def new_folder_row(state: FolderState, modseq_next: int) -> FolderRow:
    """Return the row of a folder of which the index knows nothing before this MODSEQ."""
    return FolderRow(state, highest_modseq=modseq_next - 1, vanished_from=modseq_next)
