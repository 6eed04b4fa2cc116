"""What the records of this device's own log come to: the fold of one log, kept in memory, in pages.

Made from the snapshot before and the records since, in the background and in slices; gone when the
new snapshot is stored. Nothing is ever left out that the records say: a mail that was removed stays
removed, and what another log may still refer to can be found.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence

import msgspec

from epost.apps.mail.contents import OpenNotice
from epost.apps.mail.fold import Annotation, Placement, Subscription
from epost.apps.mail.folding import Folding, new_folder_row
from epost.apps.mail.index import Batch, FolderRow, IndexState, MailFacts
from epost.apps.mail.mailbox import MailTime
from epost.apps.mail.records import Logged, Stored, decode_record
from epost.apps.mail.snapshot_rows import (
    ACCOUNT_GROUP,
    ELSEWHERE_GROUP,
    MAIL_PAGE,
    AccountPage,
    MailRow,
    NumberedFolder,
    PlaceRow,
    PlacesPage,
    account_pages,
)
from epost.foundation.codec import encode
from epost.foundation.errors import MalformedPacket, PeerError
from epost.post.log_snapshots import PAGE_BYTES_MAX, Page

ROWS_PER_PAGE = 512
SUMMARY_ROWS_MAX = 1_500_000
"""Some 1 kB each while a snapshot is made; a log of more places is read without one."""
ENTRIES_PER_PAGE = 500
ANNOTATIONS_PER_PAGE = 8

_Members = dict[bytes, None]
"""The names of the places on a page, in order."""


class LogSummary:
    """A fold of one log; also the index (`FoldIndex`) that its own folding reads and writes."""

    def __init__(self, incarnation: bytes, numbered_from: int, open_notice: OpenNotice) -> None:
        """The numbers of mails are those that this log gave from `numbered_from` on."""
        self._state = IndexState(incarnation, numbered_from)
        self._open_notice = open_notice
        self._placements: dict[bytes, Placement] = {}
        self._facts: dict[bytes, MailFacts] = {}
        self._contents: dict[bytes, Stored | Logged] = {}
        self._places: dict[bytes, list[bytes]] = defaultdict(list)
        self._folders: dict[bytes, FolderRow] = {}
        self._subscriptions: dict[str, Subscription] = {}
        self._annotations: dict[bytes, dict[str, Annotation]] = defaultdict(dict)
        self._pages: dict[bytes, list[_Members]] = defaultdict(list)
        self._page_of: dict[bytes, _Members] = {}
        self._record = Logged(bytes(32), 0)

    @property
    def rows(self) -> int:
        """How many places it holds."""
        return len(self._placements)

    # From the snapshot before.

    def load(self, page: Page) -> None:
        """Take in a page of the snapshot before; raises PeerError if it is of other numbers."""
        content = MAIL_PAGE.decode(page.content)
        if isinstance(content, AccountPage):
            self._load_account(content)
            return
        members: _Members = {}
        for row in content.rows:
            name = row.name
            for mail in row.mail:
                date = MailTime(mail.seconds, mail.zone_minutes)
                self._facts[name] = MailFacts(name, mail.size, date)
                self._contents[name] = mail.content
            self._keep(row.placement)
            self._page_of[name] = members
            members[name] = None
        self._pages[page.group].append(members)

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
        if len(self._placements) > SUMMARY_ROWS_MAX:
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
        for facts, content in batch.mails:
            self._facts[facts.email] = facts
            self._contents[facts.email] = content if isinstance(content, Stored) else self._record
        for placement, _ in (*batch.placements, *batch.flagged, *batch.numbered):
            self._place(placement)
        self._folders.update((row.state.folder, row) for row in batch.folders)
        self._subscriptions.update((entry.name, entry) for entry in batch.subscriptions)
        self._note(batch.annotations)

    def _note(self, annotations: Sequence[Annotation]) -> None:
        for annotation in annotations:
            folder, name = annotation.key
            self._annotations[folder][name] = annotation

    def _keep(self, placement: Placement) -> None:
        known = self._placements.get(placement.name)
        if placement.email is not None and (known is None or known.email is None):
            self._places[placement.email].append(placement.name)
        self._placements[placement.name] = placement

    def _place(self, placement: Placement) -> None:
        """Keep a place, on the page where it was while it stays in its folder."""
        name, known = placement.name, self._placements.get(placement.name)
        self._keep(placement)
        group = _group(placement)
        if known is not None and _group(known) == group:
            return
        if (page := self._page_of.get(name)) is not None:
            del page[name]
        pages = self._pages[group]
        if not pages or len(pages[-1]) >= ROWS_PER_PAGE:
            pages.append({})
        pages[-1][name] = None
        self._page_of[name] = pages[-1]

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
        known = self._placements
        return {name: (known[name], 0) for name in names if name in known}

    def places_of(self, emails: Collection[bytes]) -> Sequence[bytes]:
        return [name for email in emails for name in self._places.get(email, ())]

    def facts(self, emails: Collection[bytes]) -> Mapping[bytes, MailFacts]:
        return {email: self._facts[email] for email in emails if email in self._facts}

    def placed_in(self, folder: bytes) -> Iterator[Placement]:
        """Yield the places that are alive in a folder, in the order in which they came there."""
        for page in self._pages.get(folder, ()):
            yield from (self._placements[name] for name in page)

    # Into pages.

    def pages(self) -> Iterator[Page]:
        """Yield everything; a page of which nothing changed is octet for octet what it was."""
        for group in sorted({*self._pages, ACCOUNT_GROUP}):
            if group == ACCOUNT_GROUP:
                yield from self._account_pages()
            else:
                for members in _merged(self._pages[group]):
                    yield from self._places_pages(group, list(members))

    def said(self) -> Iterator[bytes]:
        """Yield everything in an order that does not depend on pages."""
        for page in self._account_pages():
            yield page.content
        for name in sorted(self._placements):
            yield encode(self._row(name))

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

    def _places_pages(self, group: bytes, names: Sequence[bytes]) -> Iterator[Page]:
        """Yield one page, or halves of it where mails of very many parts make it too large."""
        content = encode(PlacesPage(tuple(map(self._row, names))))
        if 2 * len(content) <= PAGE_BYTES_MAX or len(names) == 1:
            yield Page(group, content)
            return
        half = len(names) // 2
        yield from self._places_pages(group, names[:half])
        yield from self._places_pages(group, names[half:])

    def _row(self, name: bytes) -> PlaceRow:
        facts, mail = self._facts.get(name), None
        if facts is not None:
            date = facts.date
            mail = MailRow(facts.size, date.seconds, date.zone_minutes, self._contents[name])
        return PlaceRow.of(self._placements[name], mail)


def _group(placement: Placement) -> bytes:
    return placement.folder if placement.is_alive else ELSEWHERE_GROUP


def _merged(pages: Sequence[_Members]) -> Iterator[_Members]:
    """Yield pages, those put together that have run nearly empty, since mails went elsewhere."""
    held: _Members = {}
    for page in pages:
        if held and len(held) + len(page) > ROWS_PER_PAGE // 2:
            yield held
            held = {}
        held = {**held, **page}
    if held:
        yield held
