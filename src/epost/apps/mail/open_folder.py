"""An open folder, as mail servers see it (`mailbox.Folder`)."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence

from epost.apps.mail.backlog import Backlog
from epost.apps.mail.folder_rows import FolderRows
from epost.apps.mail.index import SLICE, MailIndex
from epost.apps.mail.journal import in_chunks
from epost.apps.mail.ledger import Ledger
from epost.apps.mail.mail_store import MailStore
from epost.apps.mail.mailbox import (
    AppendOutcome,
    ChangeListener,
    CopyOutcome,
    FlagChange,
    FlagsOutcome,
    MessageRow,
    NewMail,
    Rendered,
    TextMatch,
)
from epost.apps.mail.mime.structure import parse_structure
from epost.apps.mail.writing import MailWriter
from epost.foundation.errors import NoSuchMail


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
        """All uids, ascending: a copy."""
        return self._rows.uids()

    def claim_recent(self) -> int:
        """First uid that no session has claimed."""
        return self._ledger.claim_recent(self._rows.folder)

    def subscribe(self, listener: ChangeListener) -> Callable[[], None]:
        """Call `listener` on every change until the returned function is called."""
        return self._rows.subscribe(listener)

    async def rows(self, uids: Sequence[int]) -> Sequence[MessageRow]:
        """Rows in the order of `uids`; never suspends."""
        return self._rows.rows(uids)

    async def changed_since(self, modseq: int) -> Sequence[int]:
        """Ascending uids of the messages with a greater MODSEQ."""
        found: list[int] = []
        async for rows in self._rows.in_slices(self._rows.uids()):
            found += (row.uid for row in rows if row.modseq > modseq)
        return found

    async def vanished_since(self, modseq: int) -> Sequence[int]:
        """Ascending uids expunged with a greater MODSEQ; all that are missing, if long ago."""
        row = self._ledger.folders[self._rows.folder]
        if modseq + 1 >= row.vanished_from:
            return self._index.vanished(self._rows.folder, modseq)
        return list(_missing(self._rows.uids(), row.uid_next))

    # The mails.

    async def rendered(self, uids: Sequence[int]) -> Mapping[int, Rendered]:
        """IMAP forms; raises UnavailableError for a mail whose blocks cannot be had."""
        return {uid: forms for uid, (forms, _) in (await self._renditions(uids)).items()}

    async def headers(self, uids: Sequence[int]) -> Mapping[int, bytes]:
        """Header blocks exactly as received, with the empty line that ends them."""
        headers: dict[int, bytes] = {}
        for uid, (_, header) in (await self._renditions(uids)).items():
            if header is None:
                octets = await self.octets(uid)
                header = parse_structure(octets).header.cut(octets)
            headers[uid] = header
        return headers

    async def octets(self, uid: int) -> bytes:
        """The exact original mail; raises UnavailableError, NoSuchMail."""
        row = self._rows.row(uid)
        content = self._index.content(bytes.fromhex(row.email_id)) if row else None
        if content is None:
            raise NoSuchMail(f"uid {uid}")
        return await self._store.get(content)

    async def matching(self, match: TextMatch, uids: Sequence[int]) -> frozenset[int]:
        """Those of `uids` whose text contains `match.text`."""
        found: set[int] = set()
        for some in in_chunks(uids, SLICE):
            emails = self._emails(some)
            hits = self._index.containing(match, frozenset(emails.values()))
            found.update(uid for uid, email in emails.items() if email in hits)
            await asyncio.sleep(0)
        return frozenset(found)

    async def _renditions(self, uids: Sequence[int]) -> Mapping[int, tuple[Rendered, bytes | None]]:
        """Return what is kept of each mail; a mail not rendered yet is rendered now."""
        found: dict[int, tuple[Rendered, bytes | None]] = {}
        for some in in_chunks(uids, SLICE):
            emails = self._emails(some)
            known = dict(self._index.renditions(frozenset(emails.values())))
            for uid, email in emails.items():
                if email not in known:
                    made = await self._backlog.render(email)
                    known[email] = made.rendered, made.header
                    await asyncio.sleep(0)
                found[uid] = known[email]
            if len(uids) > SLICE:
                await asyncio.sleep(0)
        return found

    def _emails(self, uids: Sequence[int]) -> dict[int, bytes]:
        return {row.uid: bytes.fromhex(row.email_id) for row in self._rows.rows(uids)}

    # Changes.

    async def append(self, mails: Sequence[NewMail]) -> AppendOutcome:
        """Add all mails or none."""
        return await self._writer.append(self._rows, mails)

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


def _missing(uids: array[int], uid_next: int) -> Iterator[int]:
    """Yield every uid below `uid_next` that is not there."""
    expected = 1
    for uid in uids:
        yield from range(expected, uid)
        expected = uid + 1
    yield from range(expected, uid_next)
