"""SORT and THREAD and their UID forms (RFC 5256, RFC 5957, RFC 5267 3)."""

from array import array
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from heapq import merge

from epost.apps.mail.mailbox import MessageRow
from epost.apps.mail.mime.headers import decode_words, read_first_values, read_message_ids
from epost.foundation.errors import UnavailableError
from epost.foundation.octets import windows
from epost.servers.imap.commands.searching import (
    SAVE,
    extended_line,
    highest_modseq,
    plain_lines,
    return_options,
    saving,
    within,
)
from epost.servers.imap.limits import (
    ORDERED_TOGETHER_MAX,
    ROWS_PER_SLICE,
    SENT_BYTES_PER_SLICE,
    SORT_CRITERIA_MAX,
)
from epost.servers.imap.replies import Reply, ok
from epost.servers.imap.search import Search
from epost.servers.imap.session import Session
from epost.servers.imap.sort_order import (
    Criterion,
    Place,
    Sortable,
    SortKey,
    fields_needed,
    place,
    sent_or_received,
    sortable,
)
from epost.servers.imap.subjects import base_subject
from epost.servers.imap.syntax.cursor import Cursor
from epost.servers.imap.syntax.errors import ImapSyntaxError
from epost.servers.imap.syntax.search_keys import (
    SearchKey,
    all_keys,
    charset,
    is_modseq_search,
)
from epost.servers.imap.threadables import Threadables
from epost.servers.imap.threads import Threads, by_references, ordered_by_subject, spelled
from epost.servers.imap.verbs import FolderVerb, Verb, after_space
from epost.servers.imap.view import FolderView

_SORT_KEYS = {key.value: key for key in SortKey}
_THREADED_FIELDS = frozenset({"message-id", "references", "in-reply-to", "subject"})
_Algorithm = Callable[[Threadables], Threads]
_ALGORITHMS: Mapping[bytes, _Algorithm] = {
    b"ORDEREDSUBJECT": ordered_by_subject,
    b"REFERENCES": by_references,
}


@dataclass(frozen=True, slots=True)
class SortRequest:
    """In which order, which messages, and how to answer."""

    criteria: Sequence[Criterion]
    key: SearchKey
    by_uid: bool
    returns: frozenset[bytes] | None  # None: a plain SORT


@dataclass(frozen=True, slots=True)
class ThreadRequest:
    """By which algorithm, and which messages."""

    algorithm: bytes
    key: SearchKey
    by_uid: bool


async def sort(session: Session, view: FolderView, request: SortRequest) -> Reply:
    """Find messages and send their numbers or uids in order."""
    with_modseq = is_modseq_search(request.key)
    if with_modseq:
        session.enable_modseq()
    found = await Search(session, view).among(view.uids(), request.key)
    async with _turn(session, len(found)):
        uids = await _in_order(session, view, found, request.criteria)
    numbers = uids if request.by_uid else [n for n in map(view.number, uids) if n]
    returns = request.returns
    if returns is None:
        modseq = await highest_modseq(view, uids) if with_modseq and numbers else None
        await session.send_many(plain_lines(b"SORT", numbers, modseq))
        return ok("That is all")
    told = within(uids, returns)
    if SAVE in returns:
        view.saved = array("I", sorted(told))
    if returns != {SAVE}:
        modseq = await highest_modseq(view, told) if with_modseq and numbers else None
        line = extended_line(session.tag, returns, numbers, modseq, by_uid=request.by_uid)
        session.send(line)
    return ok("That is all")


async def _in_order(
    session: Session, view: FolderView, uids: Sequence[int], criteria: Sequence[Criterion]
) -> Sequence[int]:
    """Sort slices, then merge them, so that others can work in between."""
    slices: list[list[Place]] = []
    names = fields_needed(criteria)
    for start in range(0, len(uids), ROWS_PER_SLICE):
        rows = await view.folder.rows(uids[start : start + ROWS_PER_SLICE])
        messages = await _sortable(view, rows, names)
        slices.append(sorted(place(message, criteria) for message in messages))
        await session.client.breathe()
    ordered = array("I")
    for *_, uid in merge(*slices):
        assert isinstance(uid, int)
        ordered.append(uid)
        if len(ordered) % ROWS_PER_SLICE == 0:
            await session.client.breathe()
    return ordered


async def _sortable(
    view: FolderView, rows: Sequence[MessageRow], names: frozenset[str]
) -> list[Sortable]:
    headers = await _headers(view, rows) if names else {}
    return [sortable(row, headers.get(row.uid, b""), names) for row in rows]


async def _headers(view: FolderView, rows: Sequence[MessageRow]) -> Mapping[int, bytes]:
    """What can be had: a mail that cannot be read now is sorted as one without a header."""
    uids = [row.uid for row in rows]
    try:
        return await view.folder.headers(uids)
    except UnavailableError:
        found: dict[int, bytes] = {}
    for uid in uids:
        with suppress(UnavailableError):
            found.update(await view.folder.headers([uid]))
    return found


async def thread(session: Session, view: FolderView, request: ThreadRequest) -> Reply:
    """Find messages and send them as trees."""
    found = await Search(session, view).among(view.uids(), request.key)
    async with _turn(session, len(found)):
        line = await _threads(session, view, request, found)
    for window in windows(line, size=SENT_BYTES_PER_SLICE):
        session.send(window)
        await session.client.breathe()
    return ok("That is all")


async def _threads(
    session: Session, view: FolderView, request: ThreadRequest, found: Sequence[int]
) -> bytes:
    """One untagged THREAD; of the headers no more is held than of one slice."""
    messages = Threadables()
    for start in range(0, len(found), ROWS_PER_SLICE):
        rows = await view.folder.rows(found[start : start + ROWS_PER_SLICE])
        headers = await _headers(view, rows)
        for row in rows:
            _add_threadable(messages, row, headers.get(row.uid, b""))
        await session.client.breathe()
    uids = messages.uids
    numbers = uids if request.by_uid else array("I", view.numbers(uids))
    work = partial(_thread_line, _ALGORITHMS[request.algorithm], messages, numbers)
    is_much = len(messages) > ROWS_PER_SLICE
    return await session.site.offload(work) if is_much else work()


def _thread_line(algorithm: _Algorithm, messages: Threadables, numbers: Sequence[int]) -> bytes:
    return b"* THREAD " + spelled(algorithm(messages), numbers) + b"\r\n"


def _turn(session: Session, messages: int) -> AbstractAsyncContextManager[object]:
    """Of sessions that want very much ordered one waits for the other: it takes much memory."""
    is_much = messages > ORDERED_TOGETHER_MAX
    return session.site.ordering if is_much else nullcontext()


def _add_threadable(messages: Threadables, row: MessageRow, header: bytes) -> None:
    fields = read_first_values(header, _THREADED_FIELDS)
    own = read_message_ids(fields.get("message-id", ""))
    messages.add(
        row.uid,
        sent_or_received(row),
        base_subject(decode_words(fields.get("subject", ""))),
        message_id=own[0] if own else "",
        references=_references(fields),
    )


def _references(fields: Mapping[str, str]) -> tuple[str, ...]:
    """What a message answers: References, else the first id of In-Reply-To (RFC 5256 3)."""
    named = read_message_ids(fields.get("references", ""))
    return tuple(named or read_message_ids(fields.get("in-reply-to", ""))[:1])


def sort_request(*, by_uid: bool) -> Callable[[Cursor], SortRequest]:
    """Return options, criteria, charset, keys."""

    def grammar(cursor: Cursor) -> SortRequest:
        returns = return_options(cursor)
        criteria = cursor.listed(lambda: _criterion(cursor))
        if len(criteria) > SORT_CRITERIA_MAX:
            raise ImapSyntaxError("Too many sort criteria")
        cursor.space()
        with saving(returns):
            charset(cursor)
        cursor.space()
        return SortRequest(criteria, all_keys(cursor), by_uid, returns)

    return after_space(grammar)


def _criterion(cursor: Cursor) -> Criterion:
    name = cursor.word()
    is_reverse = name == b"REVERSE"
    if is_reverse:
        cursor.space()
        name = cursor.word()
    if name not in _SORT_KEYS:
        raise ImapSyntaxError("Unknown sort criterion")
    return Criterion(_SORT_KEYS[name], is_reverse)


def thread_request(*, by_uid: bool) -> Callable[[Cursor], ThreadRequest]:
    """Algorithm, charset, keys."""

    def grammar(cursor: Cursor) -> ThreadRequest:
        algorithm = cursor.word()
        if algorithm not in _ALGORITHMS:
            raise ImapSyntaxError("Unknown threading algorithm")
        cursor.space()
        charset(cursor)
        cursor.space()
        return ThreadRequest(algorithm, all_keys(cursor), by_uid)

    return after_space(grammar)


VERBS: Mapping[bytes, Verb] = {
    b"SORT": FolderVerb(sort_request(by_uid=False), sort, numbers_stay=True, speaks_numbers=True),
    b"UID SORT": FolderVerb(sort_request(by_uid=True), sort),
    b"THREAD": FolderVerb(
        thread_request(by_uid=False), thread, numbers_stay=True, speaks_numbers=True
    ),
    b"UID THREAD": FolderVerb(thread_request(by_uid=True), thread),
}
