"""An open folder, as mail servers see it (`mailbox.Folder`)."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TypeVar

from epost.apps.mail.folders.folder_rows import FolderRows
from epost.apps.mail.folders.writing import MailWriter
from epost.apps.mail.index import ROWS_SLICE, SLICE, MailIndex, Rendition
from epost.apps.mail.log.backlog import Backlog
from epost.apps.mail.log.ledger import Ledger
from epost.apps.mail.log.records import Inline
from epost.apps.mail.mail_store import MailStore
from epost.apps.mail.mailbox import (
    SEEN,
    AppendOutcome,
    ChangeListener,
    CopyOutcome,
    FlagChange,
    FlagsOutcome,
    MessageColumns,
    MessageRow,
    NewMail,
    Rendered,
    Replaced,
    TextMatch,
    TextPlace,
)
from epost.apps.mail.mime.structure import parse_structure
from epost.foundation.errors import NoSuchMail
from epost.foundation.octets import Octets

COMPARED_SLICE = 20_000
"""How many MODSEQs are looked at between two turns of the loop."""

Form = TypeVar("Form")


class OpenFolder:
    """One folder; all sessions that have it open share it."""

    def __init__(
        self,
        rows: FolderRows,
        *,
        index: MailIndex,
        ledger: Ledger,
        store: MailStore,
        backlog: Backlog,
        writer: MailWriter,
    ) -> None:
        self._rows = rows
        self._index = index
        self._ledger = ledger
        self._store = store
        self._backlog = backlog
        self._writer = writer

    # The list of mails.

    @property
    def is_gone(self) -> bool:
        """Must it be opened anew?"""
        return self._rows.is_gone

    @property
    def keywords(self) -> tuple[str, ...]:
        """Keywords in use, oldest first."""
        return self._rows.keywords

    @property
    def highest_modseq(self) -> int:
        """The MODSEQ of the last change that showed here."""
        return self._ledger.folders[self._rows.folder].highest_modseq

    def uids(self) -> array[int]:
        """All uids, ascending; the caller does not change them."""
        return self._rows.uids()

    def first_unseen(self) -> int | None:
        r"""Lowest uid without \Seen; looked for only if there is one."""
        unseen = self._ledger.folders[self._rows.folder].unseen
        return self._rows.first_without(SEEN) if unseen else None

    def claim_recent(self) -> int:
        """First uid that no session has claimed."""
        return self._ledger.claim_recent(self._rows.folder)

    def subscribe(self, listener: ChangeListener) -> Callable[[], None]:
        """Call `listener` on every change until the returned function is called."""
        return self._rows.subscribe(listener)

    async def rows(self, uids: Sequence[int]) -> Sequence[MessageRow]:
        """Rows in the order of `uids`; never suspends."""
        return self._rows.rows(uids)

    async def columns(self, uids: Sequence[int], *, facts: bool = True) -> MessageColumns:
        """Rows by columns, `facts` only if wanted; `uids` ascend. Never suspends."""
        return self._rows.columns(uids, facts=facts)

    async def changed_since(self, modseq: int) -> Sequence[int]:
        """Ascending uids of the messages with a greater MODSEQ."""
        found: list[int] = []
        uids = self._rows.uids()
        for start in range(0, len(uids), COMPARED_SLICE):
            rows = self._rows.columns(uids[start : start + COMPARED_SLICE], facts=False)
            pairs = zip(rows.uids, rows.modseqs, strict=True)
            found += [uid for uid, changed in pairs if changed > modseq]
            await asyncio.sleep(0)
        return found

    async def vanished_since(self, modseq: int) -> Sequence[int]:
        """Ascending uids expunged with a greater MODSEQ; all that are missing, if long ago."""
        row = self._ledger.folders[self._rows.folder]
        if modseq + 1 >= row.vanished_from:
            return self._index.vanished(self._rows.folder, modseq)
        return list(_missing(self._rows.uids(), row.uid_next))

    # The mails.

    async def envelopes(self, uids: Sequence[int]) -> Mapping[int, bytes]:
        """ENVELOPE forms; raises UnavailableError for a mail whose blocks cannot be had."""
        return await self._forms(uids, self._index.envelopes, _envelope)

    async def rendered(self, uids: Sequence[int]) -> Mapping[int, Rendered]:
        """All IMAP forms; raises UnavailableError for a mail whose blocks cannot be had."""
        envelopes = await self.envelopes(uids)
        structures = await self._forms(uids, self._index.structures, _structures)
        return {uid: Rendered(envelopes[uid], *forms) for uid, forms in structures.items()}

    async def headers(self, uids: Sequence[int]) -> Mapping[int, bytes]:
        """Header blocks exactly as received, with the empty line that ends them."""
        headers: dict[int, bytes] = {}
        for uid, header in (await self._forms(uids, self._index.headers, _header)).items():
            if header is None:  # too long to be kept in the index
                octets = await self.octets(uid)
                headers[uid] = parse_structure(octets).header.cut(octets)
            else:
                headers[uid] = header
        return headers

    async def save_dates(self, uids: Sequence[int]) -> Mapping[int, int | None]:
        """When each message came to this folder, in seconds; None if nobody noted it."""
        found: dict[int, int | None] = {}
        for start in range(0, len(uids), SLICE):
            names = self._rows.placements(uids[start : start + SLICE])
            placed = self._index.placements(names.values())
            found.update((u, placed[name][0].saved_seconds) for u, name in names.items())
            await asyncio.sleep(0)
        return found

    async def octets(self, uid: int) -> Octets:
        """The exact original mail; raises UnavailableError, NoSuchMail."""
        email = self._rows.email(uid)
        content = self._index.content(email) if email else None
        if content is None:
            raise NoSuchMail(f"uid {uid}")
        return await self._store.get(content)

    async def small_mails(self, uids: Sequence[int]) -> Mapping[int, bytes]:
        """The octets of those mails that are whole in the index."""
        positions = self._rows.positions(uids)
        contents = self._index.contents(positions.values())
        return {
            uid: content.octets
            for uid, position in positions.items()
            if isinstance(content := contents.get(position), Inline)
        }

    async def matching(self, match: TextMatch, uids: Sequence[int]) -> frozenset[int]:
        """Those of `uids` whose text contains `match.text`."""
        found: set[int] = set()
        reads_bodies = match.place is not TextPlace.HEADER
        at_once = SLICE if reads_bodies else ROWS_SLICE
        for start in range(0, len(uids), at_once):
            positions = self._rows.positions(uids[start : start + at_once])
            hits = self._index.containing(match, positions.values())
            if hits:
                found.update(uid for uid, position in positions.items() if position in hits)
            await asyncio.sleep(0)
        return frozenset(found)

    async def _forms(
        self,
        uids: Sequence[int],
        read: Callable[[Collection[int]], Mapping[int, Form]],
        made: Callable[[Rendition], Form],
    ) -> dict[int, Form]:
        """Read what is kept of each mail; a mail not rendered yet is rendered now."""
        found: dict[int, Form] = {}
        for start in range(0, len(uids), ROWS_SLICE):
            positions = self._rows.positions(uids[start : start + ROWS_SLICE])
            known = read(positions.values())
            if len(known) == len(positions):
                found.update(
                    zip(positions, map(known.__getitem__, positions.values()), strict=True)
                )
            else:
                await self._add_rendered(positions, known, made, found)
            if len(uids) > ROWS_SLICE:
                await asyncio.sleep(0)
        return found

    async def _add_rendered(
        self,
        positions: Mapping[int, int],
        known: Mapping[int, Form],
        made: Callable[[Rendition], Form],
        found: dict[int, Form],
    ) -> None:
        for uid, position in positions.items():
            if position in known:
                found[uid] = known[position]
            elif email := self._rows.email(uid):
                found[uid] = made(await self._backlog.render(email))
                await asyncio.sleep(0)

    # Changes.

    async def append(
        self, mails: Sequence[NewMail], replaced: Replaced | None = None
    ) -> AppendOutcome:
        """Add all mails or none, and in the same step remove one."""
        return await self._writer.append(self._rows, mails, replaced)

    async def change_flags(
        self,
        uids: Sequence[int],
        change: FlagChange,
        flags: frozenset[str],
        unchanged_since: int | None = None,
    ) -> FlagsOutcome:
        """Change flags of `uids`; one MODSEQ for all, or one for every 250 of very many."""
        return await self._writer.change_flags(self._rows, uids, change, flags, unchanged_since)

    async def expunge(self, uids: Sequence[int] | None) -> Sequence[int]:
        r"""Remove those of `uids` (None: of all) that carry \Deleted."""
        return await self._writer.expunge(self._rows, uids)

    async def copy(self, uids: Sequence[int], target: str) -> CopyOutcome:
        """Copy with flags and internal date."""
        return await self._writer.copy(self._rows, uids, target)

    async def move(self, uids: Sequence[int], target: str) -> CopyOutcome:
        """Move: never in both places, never in neither."""
        return await self._writer.move(self._rows, uids, target)


def _envelope(rendition: Rendition) -> bytes:
    return rendition.rendered.envelope


def _structures(rendition: Rendition) -> tuple[bytes, bytes]:
    return rendition.rendered.body, rendition.rendered.bodystructure


def _header(rendition: Rendition) -> bytes | None:
    return rendition.header


def _missing(uids: array[int], uid_next: int) -> Iterator[int]:
    """Yield every uid below `uid_next` that is not there."""
    expected = 1
    for uid in uids:
        yield from range(expected, uid)
        expected = uid + 1
    yield from range(expected, uid_next)
