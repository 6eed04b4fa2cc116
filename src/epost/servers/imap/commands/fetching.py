"""FETCH and UID FETCH (RFC 3501 6.4.5, RFC 7162 3.1.4).

Works in slices, so that a fetch of a whole folder keeps nobody waiting and a slow client does not
make the output pile up. Only body sections read mails; everything else comes from the index.
"""

from array import array
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from epost.apps.mail.mailbox import SEEN, FlagChange, MessageRow
from epost.foundation.errors import NotFoundError, UnavailableError
from epost.servers.imap.fetch_output import FetchOutput, Gathered
from epost.servers.imap.limits import (
    BODIES_PER_SLICE,
    BODY_BYTES_PER_SLICE,
    RENDERINGS_PER_SLICE,
    ROWS_PER_SLICE,
)
from epost.servers.imap.opened_mail import OpenedMail
from epost.servers.imap.replies import EXPUNGE_ISSUED, Reply, no, ok
from epost.servers.imap.session import Session
from epost.servers.imap.syntax.cursor import NUMBER64_MAX, Cursor
from epost.servers.imap.syntax.errors import ImapSyntaxError
from epost.servers.imap.syntax.fetch_items import BodyItem, FetchItem, Item, fetch_items
from epost.servers.imap.syntax.sequences import MessageSet, message_set
from epost.servers.imap.uid_list import UidList
from epost.servers.imap.verbs import FolderVerb, Verb, after_space
from epost.servers.imap.view import FolderView

T = TypeVar("T")
_Load = Callable[[Sequence[int]], Awaitable[Mapping[int, T]]]

_RENDERED_ITEMS = (Item.ENVELOPE, Item.BODY, Item.BODYSTRUCTURE)


@dataclass(frozen=True, slots=True)
class FetchRequest:
    """Which messages, and what of them."""

    messages: MessageSet
    by_uid: bool
    items: Sequence[FetchItem]
    changed_since: int | None


async def fetch(session: Session, view: FolderView, request: FetchRequest) -> Reply:
    """Send one response per message, then say whether any is missing."""
    if Item.MODSEQ in request.items:
        session.enable_modseq()
    if request.by_uid:  # the client may name messages that it learnt of by APPENDUID
        await session.announce(may_expunge=False)
    fetcher = _Fetcher(session, view, request.items)
    async for uids in _wanted(view, request, fetcher.slice_size):
        await fetcher.fetch(uids)
        await session.client.breathe()
    if fetcher.unavailable_count:
        text = f"{fetcher.unavailable_count} mails cannot be read now, please try again later"
        return no(text, b"UNAVAILABLE")
    if fetcher.gone_count and not request.by_uid:
        return EXPUNGE_ISSUED
    return ok("That is all")


async def _wanted(
    view: FolderView, request: FetchRequest, size: int
) -> AsyncIterator[Sequence[int]]:
    """The uids to fetch, in slices."""
    uids = view.resolve(request.messages, by_uid=request.by_uid)
    if request.changed_since is None:
        for start in range(0, len(uids), size):
            yield uids[start : start + size]
        return
    known = UidList(uids)
    changed = await view.folder.changed_since(request.changed_since)
    for start in range(0, len(changed), size):
        yield array("I", filter(known.__contains__, changed[start : start + size]))


class _Fetcher:
    """Loads and sends messages, slice by slice."""

    def __init__(self, session: Session, view: FolderView, items: Sequence[FetchItem]) -> None:
        self._session = session
        self._view = view
        self._folder = view.folder
        self._output = FetchOutput(view, items)
        bodies = [item for item in items if isinstance(item, BodyItem)]
        self._needs_rendered = any(item in _RENDERED_ITEMS for item in items)
        self._needs_header = any(item.is_top_header for item in bodies)
        self._needs_octets = not all(item.is_top_header for item in bodies)
        self._sets_seen = not view.is_read_only and any(item.sets_seen for item in bodies)
        news = (Item.FLAGS, Item.MODSEQ) if session.knows_modseq else (Item.FLAGS,)
        self._told_when_seen = [item for item in news if item not in items]
        is_light = not (self._needs_rendered or bodies)
        self.slice_size = ROWS_PER_SLICE if is_light else RENDERINGS_PER_SLICE
        self.unavailable_count = 0
        self.gone_count = 0

    async def fetch(self, uids: Sequence[int]) -> None:
        """Answer for one slice."""
        rows = await self._folder.rows(uids)
        self.gone_count += len(uids) - len(rows)
        messages = [Gathered(row) for row in rows]
        if self._needs_rendered:
            rendered = await self._loaded(self._folder.rendered, messages)
            messages = [message for message in messages if message.row.uid in rendered]
            for message in messages:
                message.rendered = rendered[message.row.uid]
        if self._needs_header:
            headers = await self._loaded(self._folder.headers, messages)
            messages = [message for message in messages if message.row.uid in headers]
            for message in messages:
                message.header = headers[message.row.uid]
        for group in _groups(messages) if self._needs_octets else (messages,):
            await self._answer(group)

    async def _loaded(self, load: _Load[T], messages: Sequence[Gathered]) -> Mapping[int, T]:
        """Load something for many; one mail that cannot be had does not spoil the others."""
        uids = [message.row.uid for message in messages]
        try:
            found = dict(await load(uids))
            self.gone_count += len(uids) - len(found)
            return found
        except UnavailableError:
            found = {}
        for uid in uids:
            try:
                found.update(await load([uid]))
            except UnavailableError:
                self.unavailable_count += 1
        return found

    async def _answer(self, messages: Sequence[Gathered]) -> None:
        """Load octets where needed, mark as seen, send."""
        if self._needs_octets:
            messages = [message for message in messages if await self._load(message)]
        newly_seen = await self._mark_seen(messages) if self._sets_seen else {}
        for message in messages:
            seen_row = newly_seen.get(message.row.uid)
            if seen_row is not None:
                message.row = seen_row
            extra = self._told_when_seen if seen_row is not None else ()
            self._session.send(*self._output.pieces(message, extra))
        if self._needs_octets:
            await self._session.client.breathe()

    async def _load(self, message: Gathered) -> bool:
        """Read the mail; False if it cannot be had, which the final reply tells."""
        uid = message.row.uid
        mail = self._view.opened_mail(uid)
        if mail is None:
            try:
                mail = OpenedMail(await self._folder.octets(uid))
            except UnavailableError:
                self.unavailable_count += 1
                return False
            except NotFoundError:
                self.gone_count += 1
                return False
            self._view.keep_opened(uid, mail)
        message.mail = mail
        return True

    async def _mark_seen(self, messages: Sequence[Gathered]) -> Mapping[int, MessageRow]:
        r"""Set \Seen where it is missing; returns the new rows."""
        unseen = [message.row.uid for message in messages if SEEN not in message.row.flags]
        if not unseen:
            return {}
        outcome = await self._folder.change_flags(unseen, FlagChange.ADD, frozenset({SEEN}))
        self._view.forget_changes(outcome.rows)
        return {row.uid: row for row in outcome.rows}


def _groups(messages: Sequence[Gathered]) -> Iterator[Sequence[Gathered]]:
    """Messages whose mails are held in memory together: few, and not too big."""
    group: list[Gathered] = []
    size = 0
    for message in messages:
        if group and (
            len(group) == BODIES_PER_SLICE or size + message.row.size > BODY_BYTES_PER_SLICE
        ):
            yield group
            group, size = [], 0
        group.append(message)
        size += message.row.size
    if group:
        yield group


def fetch_request(*, by_uid: bool) -> Callable[[Cursor], FetchRequest]:
    """Message set, items and modifiers."""

    def grammar(cursor: Cursor) -> FetchRequest:
        messages = message_set(cursor)
        cursor.space()
        items = fetch_items(cursor)
        changed_since = _changed_since(cursor) if cursor.skip(b" ") else None
        if by_uid and Item.UID not in items:
            items = (Item.UID, *items)
        if changed_since is not None and Item.MODSEQ not in items:
            items = (*items, Item.MODSEQ)
        return FetchRequest(messages, by_uid, items, changed_since)

    return after_space(grammar)


def _changed_since(cursor: Cursor) -> int:
    cursor.expect(b"(")
    if cursor.word() != b"CHANGEDSINCE":
        raise ImapSyntaxError("Unknown FETCH modifier")
    cursor.space()
    modseq = cursor.number(NUMBER64_MAX)
    cursor.expect(b")")
    return modseq


VERBS: Mapping[bytes, Verb] = {
    b"FETCH": FolderVerb(
        fetch_request(by_uid=False), fetch, numbers_stay=True, speaks_numbers=True
    ),
    b"UID FETCH": FolderVerb(fetch_request(by_uid=True), fetch),
}
