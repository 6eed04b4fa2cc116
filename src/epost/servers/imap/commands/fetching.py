"""FETCH and UID FETCH (RFC 3501 6.4.5, RFC 7162 3.1.4).

Works in slices, so that a fetch of a whole folder keeps nobody waiting and a slow client does not
make the output pile up. Only body sections read mails; everything else comes from the index.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from epost.apps.mail.mailbox import SEEN, FlagChange, MessageColumns, Rendered
from epost.apps.mail.ports import work_on
from epost.foundation.errors import NotFoundError, UnavailableError
from epost.foundation.octets import Octets, windows
from epost.servers.imap.binary_mail import UnknownEncoding
from epost.servers.imap.fetch_output import FetchOutput, Gathered, needs_octets
from epost.servers.imap.limits import (
    BODY_BYTES_PER_SLICE,
    LISTED_BYTES_PER_SLICE,
    LISTED_PER_SLICE,
    RENDERINGS_PER_SLICE,
    SENT_BYTES_PER_SLICE,
)
from epost.servers.imap.opened_mail import OpenedMail
from epost.servers.imap.replies import EXPUNGE_ISSUED, Reply, bad, no, ok
from epost.servers.imap.resync import those_in, vanished_earlier
from epost.servers.imap.session import Session
from epost.servers.imap.syntax.cursor import NUMBER64_MAX, Cursor
from epost.servers.imap.syntax.errors import ImapSyntaxError
from epost.servers.imap.syntax.fetch_items import (
    BinaryItem,
    BodyItem,
    FetchItem,
    Item,
    fetch_items,
)
from epost.servers.imap.syntax.sequences import MessageSet, NumberSet, message_set
from epost.servers.imap.uid_list import UidList
from epost.servers.imap.verbs import FolderVerb, Verb, after_space
from epost.servers.imap.view import FolderView

T = TypeVar("T")
_Load = Callable[[Sequence[int]], Awaitable[Mapping[int, T]]]

_POLLED = frozenset({Item.UID, Item.FLAGS, Item.MODSEQ})  # what clients ask for again and again


@dataclass(frozen=True, slots=True)
class FetchRequest:
    """Which messages, and what of them."""

    messages: MessageSet
    by_uid: bool
    items: Sequence[FetchItem]
    changed_since: int | None
    with_vanished: bool = False  # RFC 7162 3.2.6


async def fetch(session: Session, view: FolderView, request: FetchRequest) -> Reply:
    """Send one response per message, then say whether any is missing."""
    if request.with_vanished and not session.modes.wants_vanished:
        return bad("ENABLE QRESYNC first")
    if Item.MODSEQ in request.items:
        session.enable_modseq()
    if request.with_vanished:
        session.send(*vanished_earlier(await _vanished(view, request)))
    fetcher = Fetcher(session, view, request.items)
    async for uids in _wanted(view, request, fetcher.slice_size):
        await fetcher.fetch(uids)
    if fetcher.unavailable_count:
        text = f"{fetcher.unavailable_count} mails cannot be read now, please try again later"
        return no(text, b"UNAVAILABLE")
    if fetcher.undecodable_count:
        return no("Some parts are in an encoding that is not known here", b"UNKNOWN-CTE")
    if fetcher.gone_count and not request.by_uid:
        return EXPUNGE_ISSUED
    return ok("That is all")


async def _vanished(view: FolderView, request: FetchRequest) -> Sequence[int]:
    """Which of the messages named went since."""
    vanished = await view.folder.vanished_since(request.changed_since or 0)
    named = request.messages
    return those_in(vanished, named) if isinstance(named, NumberSet) else ()


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
        yield known.those_of(changed[start : start + size])


@dataclass(slots=True)
class _Forms:
    """What was loaded of some messages, by uid; empty where the items do not need it."""

    envelopes: Mapping[int, bytes] = field(default_factory=dict)
    rendered: Mapping[int, Rendered] = field(default_factory=dict)
    headers: Mapping[int, bytes] = field(default_factory=dict)
    save_dates: Mapping[int, int | None] = field(default_factory=dict)

    def gathered(self, rows: MessageColumns, numbers: Sequence[int]) -> Gathered:
        """As columns, in the order of the rows."""
        uids = rows.uids
        return Gathered(
            rows,
            numbers,
            envelopes=_in_order(self.envelopes, uids),
            rendered=_in_order(self.rendered, uids),
            headers=_in_order(self.headers, uids),
            save_dates=_in_order(self.save_dates, uids),
        )


class Fetcher:
    """Loads and sends messages, slice by slice."""

    def __init__(self, session: Session, view: FolderView, items: Sequence[FetchItem]) -> None:
        self._session = session
        self._view = view
        self._folder = view.folder
        bodies = [item for item in items if isinstance(item, BodyItem)]
        sections = [item for item in items if isinstance(item, BodyItem | BinaryItem)]
        self._needs_envelope = Item.ENVELOPE in items
        self._needs_rendered = Item.BODY in items or Item.BODYSTRUCTURE in items
        self._needs_save_date = Item.SAVEDATE in items
        self._needs_header = any(item.is_top_header for item in bodies)
        self._from_octets = [item for item in items if needs_octets(item)]
        self._needs_octets = bool(self._from_octets)
        self._sets_seen = not view.is_read_only and any(item.sets_seen for item in sections)
        news = (Item.FLAGS, Item.MODSEQ) if session.knows_modseq else (Item.FLAGS,)
        self._output = FetchOutput(view, items)
        self._output_when_seen = FetchOutput(view, (*items, *(i for i in news if i not in items)))
        self._is_light = not (
            self._needs_envelope
            or self._needs_rendered
            or self._needs_save_date
            or self._needs_octets
            or bodies
        )
        self._needs_facts = not (self._is_light and _POLLED.issuperset(items))
        self.slice_size = LISTED_PER_SLICE if self._is_light else RENDERINGS_PER_SLICE
        self.unavailable_count = 0
        self.gone_count = 0
        self.undecodable_count = 0

    async def fetch(self, uids: Sequence[int]) -> None:
        """Answer for one slice."""
        rows = await self._folder.columns(uids, facts=self._needs_facts)
        self.gone_count += len(uids) - len(rows)
        if self._is_light:
            await self._send(self._output, rows, _Forms(), {})
            await self._session.client.breathe()
            return
        octets_max = BODY_BYTES_PER_SLICE if self._needs_octets else LISTED_BYTES_PER_SLICE
        for group in _groups(rows, octets_max):
            await self._fetch_group(group)

    async def _fetch_group(self, uids: Sequence[int]) -> None:
        forms = _Forms()
        if self._needs_envelope:
            uids, forms.envelopes = await self._loaded(self._folder.envelopes, uids)
        if self._needs_rendered:
            uids, forms.rendered = await self._loaded(self._folder.rendered, uids)
        if self._needs_header:
            uids, forms.headers = await self._loaded(self._folder.headers, uids)
        if self._needs_save_date:
            uids, forms.save_dates = await self._loaded(self._folder.save_dates, uids)
        mails: Mapping[int, OpenedMail] = {}
        if self._needs_octets:
            mails = await self._read(uids)
            uids = [uid for uid in uids if uid in mails]
        seen = await self._mark_seen(uids) if self._sets_seen else frozenset[int]()
        if not seen:
            await self._answer(self._output, uids, forms, mails)
        else:
            for uid in uids:
                output = self._output_when_seen if uid in seen else self._output
                await self._answer(output, (uid,), forms, mails)
        await self._session.client.breathe()

    async def _loaded(
        self, load: _Load[T], uids: Sequence[int]
    ) -> tuple[Sequence[int], Mapping[int, T]]:
        """Load something for many; one mail that cannot be had does not spoil the others."""
        try:
            found = await load(uids)
            self.gone_count += len(uids) - len(found)
        except UnavailableError:
            found = await self._loaded_one_by_one(load, uids)
        return uids if len(found) == len(uids) else [u for u in uids if u in found], found

    async def _loaded_one_by_one(self, load: _Load[T], uids: Sequence[int]) -> Mapping[int, T]:
        found: dict[int, T] = {}
        for uid in uids:
            try:
                found.update(await load([uid]))
            except UnavailableError:
                self.unavailable_count += 1
        return found

    async def _answer(
        self,
        output: FetchOutput,
        uids: Sequence[int],
        forms: _Forms,
        mails: Mapping[int, OpenedMail],
    ) -> None:
        rows = await self._folder.columns(uids)
        self.gone_count += len(uids) - len(rows)
        await self._send(output, rows, forms, mails)

    async def _send(
        self,
        output: FetchOutput,
        rows: MessageColumns,
        forms: _Forms,
        mails: Mapping[int, OpenedMail],
    ) -> None:
        self._session.announce_keywords(self._view)  # another session may just have made one
        responses = output.responses(forms.gathered(rows, self._view.numbers(rows.uids)))
        if not self._needs_octets:
            self._session.send(b"".join(responses))
            return
        for uid, response in zip(rows.uids, responses, strict=True):
            try:
                pieces = tuple(output.octets(mails[uid]))
            except UnknownEncoding:
                self.undecodable_count += 1
            else:
                await self._send_pieces((response, *pieces))

    async def _send_pieces(self, pieces: Sequence[Octets]) -> None:
        for piece in pieces:
            if isinstance(piece, bytes):
                self._session.send(piece)
                continue
            for window in windows(piece, size=SENT_BYTES_PER_SLICE):
                self._session.send(window)
                await self._session.client.breathe()

    async def _read(self, uids: Sequence[int]) -> Mapping[int, OpenedMail]:
        """Read mails; those that cannot be had are left out, which the final reply tells."""
        at_hand = await self._folder.small_mails(uids)
        mails: dict[int, OpenedMail] = {}
        for uid in uids:
            mail = self._view.opened_mail(uid) or await self._opened(uid, at_hand.get(uid))
            if mail is not None:
                await self._prepare(mail)
                mails[uid] = mail
        return mails

    async def _prepare(self, mail: OpenedMail) -> None:
        offload = self._session.site.offload
        await work_on(len(mail), lambda: mail.prepare(self._from_octets), offload)

    async def _opened(self, uid: int, octets: Octets | None) -> OpenedMail | None:
        try:
            mail = OpenedMail(await self._folder.octets(uid) if octets is None else octets)
        except UnavailableError:
            self.unavailable_count += 1
            return None
        except NotFoundError:
            self.gone_count += 1
            return None
        self._view.keep_opened(uid, mail)
        return mail

    async def _mark_seen(self, uids: Sequence[int]) -> frozenset[int]:
        r"""Set \Seen where it is missing; returns where."""
        rows = await self._folder.rows(uids)
        unseen = [row.uid for row in rows if SEEN not in row.flags]
        if not unseen:
            return frozenset()
        outcome = await self._folder.change_flags(unseen, FlagChange.ADD, frozenset({SEEN}))
        self._view.forget_changes(outcome.rows)
        return frozenset(row.uid for row in outcome.rows)


def _in_order(values: Mapping[int, T], uids: Sequence[int]) -> Sequence[T]:
    return list(map(values.__getitem__, uids)) if values else ()


def _groups(rows: MessageColumns, octets_max: int) -> Iterator[Sequence[int]]:
    """Messages of which much is held in memory together: not too big, unless it is one alone."""
    if sum(rows.sizes) <= octets_max:
        yield rows.uids
        return
    group: list[int] = []
    size = 0
    for uid, uid_size in zip(rows.uids, rows.sizes, strict=True):
        if group and size + uid_size > octets_max:
            yield group
            group, size = [], 0
        group.append(uid)
        size += uid_size
    yield group


def fetch_request(*, by_uid: bool) -> Callable[[Cursor], FetchRequest]:
    """Message set, items and modifiers."""

    def grammar(cursor: Cursor) -> FetchRequest:
        messages = message_set(cursor)
        cursor.space()
        items = fetch_items(cursor)
        changed_since, with_vanished = None, False
        if cursor.skip(b" "):
            changed_since, with_vanished = _modifiers(cursor)
        if with_vanished and not by_uid:
            raise ImapSyntaxError("VANISHED belongs to UID FETCH")
        if by_uid and Item.UID not in items:
            items = (Item.UID, *items)
        if changed_since is not None and Item.MODSEQ not in items:
            items = (*items, Item.MODSEQ)
        return FetchRequest(messages, by_uid, items, changed_since, with_vanished)

    return after_space(grammar)


def _modifiers(cursor: Cursor) -> tuple[int, bool]:
    """CHANGEDSINCE with its number, and whether VANISHED stands beside it."""
    changed_since: int | None = None

    def modifier() -> bytes:
        nonlocal changed_since
        name = cursor.word()
        if name == b"CHANGEDSINCE":
            cursor.space()
            changed_since = cursor.number(NUMBER64_MAX)
        elif name != b"VANISHED":
            raise ImapSyntaxError("Unknown FETCH modifier")
        return name

    names = cursor.listed(modifier)
    if changed_since is None:
        raise ImapSyntaxError("VANISHED needs CHANGEDSINCE")
    return changed_since, b"VANISHED" in names


VERBS: Mapping[bytes, Verb] = {
    b"FETCH": FolderVerb(
        fetch_request(by_uid=False), fetch, numbers_stay=True, speaks_numbers=True
    ),
    b"UID FETCH": FolderVerb(fetch_request(by_uid=True), fetch),
}
