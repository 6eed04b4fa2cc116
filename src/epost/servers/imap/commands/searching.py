"""SEARCH and UID SEARCH, plain and extended (RFC 3501 6.4.4, RFC 4731, RFC 5182, RFC 7162)."""

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from epost.servers.imap.limits import ROWS_PER_SLICE
from epost.servers.imap.replies import Reply, ok
from epost.servers.imap.search import Search
from epost.servers.imap.session import Session
from epost.servers.imap.syntax.cursor import Cursor
from epost.servers.imap.syntax.errors import ImapSyntaxError, UnknownCharset
from epost.servers.imap.syntax.formats import string
from epost.servers.imap.syntax.search_keys import SearchKey, is_modseq_search, search_keys
from epost.servers.imap.syntax.sequences import format_numbers, format_set
from epost.servers.imap.verbs import FolderVerb, Verb, after_space
from epost.servers.imap.view import FolderView

_ALL = frozenset({b"ALL"})
SAVE = b"SAVE"
_RETURN_OPTIONS = frozenset({b"MIN", b"MAX", b"ALL", b"COUNT", SAVE})


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """A condition, and how to answer."""

    key: SearchKey
    by_uid: bool
    returns: frozenset[bytes] | None  # None: a plain SEARCH


async def search(session: Session, view: FolderView, request: SearchRequest) -> Reply:
    """Find messages and send their numbers or uids."""
    with_modseq = is_modseq_search(request.key)
    if with_modseq:
        session.enable_modseq()
    uids = await Search(session, view).among(view.uids(), request.key)
    numbers = list(uids) if request.by_uid else view.numbers(array("I", uids))
    returns = request.returns
    if returns is None and session.modes.is_rev2:
        returns = _ALL
    if returns is None:
        modseq = await highest_modseq(view, uids) if with_modseq and numbers else None
        await session.send_many(plain_lines(b"SEARCH", numbers, modseq))
        return ok("That is all")
    if SAVE in returns:
        view.saved = array("I", within(uids, returns))
    if returns != {SAVE}:
        told = within(uids, returns)
        modseq = await highest_modseq(view, told) if with_modseq and numbers else None
        line = extended_line(session.tag, returns, numbers, modseq, by_uid=request.by_uid)
        session.send(line)
    return ok("That is all")


def within(uids: Sequence[int], returns: frozenset[bytes]) -> Sequence[int]:
    """What a result with MIN or MAX alone is about (RFC 5182 2.4, RFC 7162 3.1.5)."""
    if not uids or returns & {b"ALL", b"COUNT"} or not returns & {b"MIN", b"MAX"}:
        return uids
    ends = [uids[0]] if b"MIN" in returns else []
    if b"MAX" in returns and uids[-1] not in ends:
        ends.append(uids[-1])
    return ends


async def highest_modseq(view: FolderView, uids: Sequence[int]) -> int | None:
    """The highest MODSEQ among messages, None if there are none."""
    highest = None
    for start in range(0, len(uids), ROWS_PER_SLICE):
        rows = await view.folder.rows(uids[start : start + ROWS_PER_SLICE])
        highest = max((row.modseq for row in rows), default=highest or 0)
    return highest


def plain_lines(name: bytes, numbers: Sequence[int], modseq: int | None) -> Iterator[bytes]:
    """One untagged SEARCH or SORT, in pieces."""
    yield b"* " + name
    for start in range(0, len(numbers), ROWS_PER_SLICE):
        yield b" " + format_numbers(numbers[start : start + ROWS_PER_SLICE])
    yield b"\r\n" if modseq is None else b" (MODSEQ %d)\r\n" % modseq


def extended_line(
    tag: bytes,
    returns: frozenset[bytes],
    numbers: Sequence[int],
    modseq: int | None,
    *,
    by_uid: bool,
    place: bytes = b"",
) -> bytes:
    """One ESEARCH; MIN, MAX and ALL are left out when nothing was found."""
    line = [b"* ESEARCH (TAG %b%b)" % (string(tag), place)]
    if by_uid:
        line.append(b"UID")
    if numbers and b"MIN" in returns:
        line.append(b"MIN %d" % numbers[0])
    if numbers and b"MAX" in returns:
        line.append(b"MAX %d" % numbers[-1])
    if numbers and b"ALL" in returns:
        line.append(b"ALL " + format_set(numbers))
    if b"COUNT" in returns:
        line.append(b"COUNT %d" % len(numbers))
    if modseq is not None:
        line.append(b"MODSEQ %d" % modseq)
    return b" ".join(line) + b"\r\n"


def search_request(*, by_uid: bool) -> Callable[[Cursor], SearchRequest]:
    """Return options, charset, keys."""

    def grammar(cursor: Cursor) -> SearchRequest:
        returns = return_options(cursor)
        with saving(returns):
            return SearchRequest(search_keys(cursor), by_uid, returns)

    return after_space(grammar)


def return_options(cursor: Cursor) -> frozenset[bytes] | None:
    """RETURN with its options and the space behind it (RFC 4466 2.6.1); None without it."""
    if not cursor.at_word(b"RETURN"):
        return None
    cursor.word()
    cursor.space()
    options = frozenset(cursor.listed_or_none(cursor.word))
    if not options <= _RETURN_OPTIONS:
        raise ImapSyntaxError("Unknown SEARCH return option")
    cursor.space()
    return options or _ALL


@contextmanager
def saving(returns: frozenset[bytes] | None) -> Iterator[None]:
    """A search that is refused for its charset empties what it was to save (RFC 5182 2.1)."""
    try:
        yield
    except UnknownCharset as error:
        error.empties_saved_result = SAVE in (returns or ())
        raise


VERBS: Mapping[bytes, Verb] = {
    b"SEARCH": FolderVerb(
        search_request(by_uid=False), search, numbers_stay=True, speaks_numbers=True
    ),
    b"UID SEARCH": FolderVerb(search_request(by_uid=True), search),
}
