"""What the records of this device's own log come to: the fold of one log, kept in memory, in pages.

Made from the snapshot before and the records since, in the background and in slices; gone when the
new snapshot is stored. Nothing is ever left out that the records say: a mail that was removed stays
removed, and what another log may still refer to can be found.

Rows are kept as they are written: as values they take three times the memory, and there may be a
million of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence

import msgspec

from epost.apps.mail.contents import OpenNotice
from epost.apps.mail.index import Batch, FolderRow, IndexState, MailFacts
from epost.apps.mail.log.fold import Annotation, Placement, Subscription
from epost.apps.mail.log.folding import Folding, new_folder_row
from epost.apps.mail.log.records import Content, Logged, Stored, decode_record
from epost.apps.mail.log.snapshot_rows import (
    ACCOUNT_GROUP,
    ELSEWHERE_GROUP,
    MAIL_PAGE,
    AccountPage,
    EncodedPlaces,
    MailRow,
    NumberedFolder,
    PlaceRow,
    account_pages,
)
from epost.apps.mail.mailbox import MailTime
from epost.foundation.codec import encode
from epost.foundation.errors import MalformedPacket, PeerError
from epost.post.logs.snapshot_format import PAGE_BYTES_MAX, Page

ROWS_PER_PAGE = 512
SUMMARY_ROWS_MAX = 1_500_000
"""Some 350 octets each while a snapshot is made; a log of more places is read without one."""
ENTRIES_PER_PAGE = 500
ANNOTATIONS_PER_PAGE = 8

_Rows = dict[bytes, bytes]
"""What is on a page: encoded rows by the names of their places, in order."""
_row = msgspec.msgpack.Decoder(PlaceRow)


class LogSummary:
    """A fold of one log; also the index (`FoldIndex`) that its own folding reads and writes."""

    def __init__(self, incarnation: bytes, numbered_from: int, open_notice: OpenNotice) -> None:
        """The numbers of mails are those that this log gave from `numbered_from` on."""
        self._state = IndexState(incarnation, numbered_from)
        self._open_notice = open_notice
        self._copies: dict[bytes, list[bytes]] = defaultdict(list)
        self._folders: dict[bytes, FolderRow] = {}
        self._subscriptions: dict[str, Subscription] = {}
        self._annotations: dict[bytes, dict[str, Annotation]] = defaultdict(dict)
        self._pages: dict[bytes, list[_Rows]] = defaultdict(list)
        self._page_of: dict[bytes, _Rows] = {}
        self._record = Logged(bytes(32), 0)

    @property
    def rows(self) -> int:
        """How many places it holds."""
        return len(self._page_of)

    # From the snapshot before.

    def load(self, page: Page) -> None:
        """Take in a page of the snapshot before; raises PeerError if it is of other numbers."""
        content = MAIL_PAGE.decode(page.content)
        if isinstance(content, AccountPage):
            self._load_account(content)
            return
        rows: _Rows = {}
        for row in content.rows:
            self._note_copy(row)
            rows[row.name] = encode(row)
            self._page_of[row.name] = rows
        self._pages[page.group].append(rows)

    def _load_account(self, page: AccountPage) -> None:
        numbers = (self._state.incarnation, self._state.numbered_from)
        if (page.incarnation, page.numbered_from) != numbers:
            raise MalformedPacket("a snapshot with other numbers")
        self._state = msgspec.structs.replace(
            self._state,
            lamport=page.lamport,
            modseq_end=page.modseq_end,
            uid_validity_last=page.uid_validity_last,
        )
        for numbered in page.folders:
            row = new_folder_row(numbered.state, 1)
            self._folders[numbered.state.folder] = msgspec.structs.replace(
                row, uid_validity=numbered.uid_validity, uid_next=numbered.uid_next
            )
        self._subscriptions.update((entry.name, entry) for entry in page.subscriptions)
        self._note(page.annotations)

    # From the records since.

    def add(self, sequence: int, cluster: bytes, payload: bytes) -> None:
        """Take in the next record; what the index passes over is passed over here as well."""
        if self.rows > SUMMARY_ROWS_MAX:
            raise MalformedPacket(f"more than {SUMMARY_ROWS_MAX} places: no snapshot")
        self._record = Logged(cluster, sequence)
        folding = Folding(
            self,
            state=self._state,
            folders=self._folders,
            subscriptions=self._subscriptions,
            annotations=self._annotations,
            prepared={},
            open_notice=self._open_notice,
        )
        try:
            folding.apply(decode_record(payload), is_own=sequence >= self._state.numbered_from)
        except PeerError:
            return
        self.commit(folding.finish(sequence).batch)

    def commit(self, batch: Batch) -> None:
        """Keep what one record changed."""
        self._state = batch.state
        mails = {facts.email: self._mail_row(facts, content) for facts, content in batch.mails}
        places = (*batch.placements, *batch.flagged, *batch.numbered)
        changed = {placement.name: placement for placement, _ in places}
        for name in dict.fromkeys((*changed, *mails)):
            self._put(name, changed.get(name), mails.get(name))
        self._folders.update((row.state.folder, row) for row in batch.folders)
        self._subscriptions.update((entry.name, entry) for entry in batch.subscriptions)
        self._note(batch.annotations)

    def _note(self, annotations: Sequence[Annotation]) -> None:
        for annotation in annotations:
            folder, name = annotation.key
            self._annotations[folder][name] = annotation

    def _mail_row(self, facts: MailFacts, content: Content) -> MailRow:
        place = content if isinstance(content, Stored) else self._record
        return MailRow(facts.size, facts.date.seconds, facts.date.zone_minutes, place)

    def _put(self, name: bytes, placement: Placement | None, mail: MailRow | None) -> None:
        """Keep what changed of a place, on the page where it was while it stays in its folder."""
        known = self._row(name) or PlaceRow.of(Placement(name), None)
        row = PlaceRow.of(placement or known.placement, mail or next(iter(known.mail), None))
        if not known.email:
            self._note_copy(row)
        page, pages = self._page_of.get(name), self._pages[_group(row)]
        if page is None or _group(known) != _group(row):
            if page is not None:
                del page[name]
            if not pages or len(pages[-1]) >= ROWS_PER_PAGE:
                pages.append({})
            page = self._page_of[name] = pages[-1]
        page[name] = encode(row)

    def _note_copy(self, row: PlaceRow) -> None:
        """A mail's first place has its own name; only the others must be looked up."""
        if row.email and row.email != row.name:
            self._copies[row.email].append(row.name)

    def _row(self, name: bytes) -> PlaceRow | None:
        page = self._page_of.get(name)
        return None if page is None else _row.decode(page[name])

    # What the folding reads.

    def state(self) -> IndexState | None:
        return self._state

    def folders(self) -> Sequence[FolderRow]:
        return list(self._folders.values())

    def subscriptions(self) -> Sequence[Subscription]:
        return list(self._subscriptions.values())

    def annotations(self) -> Sequence[Annotation]:
        return [note for notes in self._annotations.values() for note in notes.values()]

    def placements(self, names: Collection[bytes]) -> Mapping[bytes, tuple[Placement, int]]:
        rows = map(self._row, names)
        return {row.name: (row.placement, 0) for row in rows if row is not None}

    def places_of(self, emails: Collection[bytes]) -> Sequence[bytes]:
        names = (name for email in emails for name in (email, *self._copies.get(email, ())))
        return [row.name for row in map(self._row, names) if row is not None and row.email]

    def facts(self, emails: Collection[bytes]) -> Mapping[bytes, MailFacts]:
        rows = (row for row in map(self._row, emails) if row is not None)
        return {row.name: _facts(row.name, mail) for row in rows for mail in row.mail}

    def placed_in(self, folder: bytes) -> Iterator[Placement]:
        """Yield the places that are alive in a folder, in the order in which they came there."""
        for page in self._pages.get(folder, ()):
            yield from (_row.decode(row).placement for row in page.values())

    # Into pages.

    def pages(self) -> Iterator[Page]:
        """Yield everything; a page of which nothing changed is octet for octet what it was."""
        for group in sorted({*self._pages, ACCOUNT_GROUP}):
            if group == ACCOUNT_GROUP:
                yield from self._account_pages()
            else:
                for rows in _merged(self._pages[group]):
                    yield from _places_pages(group, list(rows.values()))

    def said(self) -> Iterator[bytes]:
        """Yield everything in an order that does not depend on pages."""
        for page in self._account_pages():
            yield page.content
        for name in sorted(self._page_of):
            yield self._page_of[name][name]

    def _account_pages(self) -> Iterator[Page]:
        state = self._state
        whole = AccountPage(
            state.incarnation,
            state.numbered_from,
            state.lamport,
            state.modseq_end,
            state.uid_validity_last,
            tuple(
                NumberedFolder(row.state, row.uid_validity, row.uid_next)
                for _, row in sorted(self._folders.items())
            ),
            tuple(entry for _, entry in sorted(self._subscriptions.items())),
            tuple(sorted(self.annotations(), key=lambda note: note.key)),
        )
        for part in account_pages(
            whole, entries=ENTRIES_PER_PAGE, annotations=ANNOTATIONS_PER_PAGE
        ):
            yield Page(ACCOUNT_GROUP, encode(part))


def _places_pages(group: bytes, rows: Sequence[bytes]) -> Iterator[Page]:
    """Yield one page, or halves of it where mails of very many parts make it too large."""
    content = encode(EncodedPlaces(tuple(map(msgspec.Raw, rows))))
    if 2 * len(content) <= PAGE_BYTES_MAX or len(rows) == 1:
        yield Page(group, content)
        return
    half = len(rows) // 2
    yield from _places_pages(group, rows[:half])
    yield from _places_pages(group, rows[half:])


def _facts(email: bytes, mail: MailRow) -> MailFacts:
    return MailFacts(email, mail.size, MailTime(mail.seconds, mail.zone_minutes))


def _group(row: PlaceRow) -> bytes:
    """Return the folder in which a place shows, as far as the log tells."""
    return row.folder if row.email and not row.is_expunged else ELSEWHERE_GROUP


def _merged(pages: Sequence[_Rows]) -> Iterator[_Rows]:
    """Yield pages, those put together that have run nearly empty, since mails went elsewhere."""
    held: _Rows = {}
    for page in pages:
        if held and len(held) + len(page) > ROWS_PER_PAGE // 2:
            yield held
            held = {}
        held = {**held, **page}
    if held:
        yield held
