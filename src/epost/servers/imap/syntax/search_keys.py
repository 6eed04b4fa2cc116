"""The conditions of SEARCH as a tree (RFC 3501 6.4.4)."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from epost.apps.mail.mailbox import ANSWERED, DELETED, DRAFT, FLAGGED, SEEN, TextMatch, TextPlace
from epost.servers.imap.limits import SEARCH_DEPTH_MAX
from epost.servers.imap.syntax.cursor import NUMBER64_MAX, Cursor
from epost.servers.imap.syntax.dates import day
from epost.servers.imap.syntax.errors import ImapSyntaxError, UnknownCharset
from epost.servers.imap.syntax.flags import keyword
from epost.servers.imap.syntax.sequences import MessageSet, message_set

CHARSETS = (b"US-ASCII", b"UTF-8")


class Moment(Enum):
    """Which date of a mail is meant."""

    INTERNAL = "internal"
    SENT = "sent"
    SAVED = "saved"


class Order(Enum):
    """How something compares with the number or day of a key."""

    BELOW = "below"
    EQUAL = "equal"
    ABOVE = "above"
    AT_LEAST = "at least"
    AT_MOST = "at most"


@dataclass(frozen=True, slots=True)
class Every:
    """ALL."""


@dataclass(frozen=True, slots=True)
class HasFlag:
    flag: str  # system flag or keyword


@dataclass(frozen=True, slots=True)
class IsRecent:
    r"""The message has \Recent in this session."""


@dataclass(frozen=True, slots=True)
class OnDay:
    moment: Moment
    order: Order
    day: int  # since 1970-01-01


@dataclass(frozen=True, slots=True)
class OfSize:
    order: Order
    size: int


@dataclass(frozen=True, slots=True)
class OfAge:
    """The message came before or after a time so long ago (RFC 5032)."""

    order: Order
    seconds: int


@dataclass(frozen=True, slots=True)
class HasText:
    match: TextMatch


@dataclass(frozen=True, slots=True)
class InSet:
    messages: MessageSet
    by_uid: bool


@dataclass(frozen=True, slots=True)
class SinceModseq:
    modseq: int


@dataclass(frozen=True, slots=True)
class HasEmailId:
    email_id: str


@dataclass(frozen=True, slots=True)
class Nothing:
    """What no message of ours ever fulfils, e.g. a THREADID."""


@dataclass(frozen=True, slots=True)
class Not:
    key: "SearchKey"


@dataclass(frozen=True, slots=True)
class Either:
    """At least one of some keys."""

    keys: tuple["SearchKey", ...]


@dataclass(frozen=True, slots=True)
class Both:
    """All of some keys."""

    keys: tuple["SearchKey", ...]


SearchKey = (
    Every
    | HasFlag
    | IsRecent
    | OnDay
    | OfSize
    | HasText
    | InSet
    | SinceModseq
    | OfAge
    | HasEmailId
    | Nothing
    | Not
    | Either
    | Both
)

_FLAG_KEYS = {
    b"ANSWERED": ANSWERED,
    b"DELETED": DELETED,
    b"DRAFT": DRAFT,
    b"FLAGGED": FLAGGED,
    b"SEEN": SEEN,
}
_FIXED_KEYS: dict[bytes, SearchKey] = {
    b"ALL": Every(),
    b"SAVEDATESUPPORTED": Every(),  # RFC 8514 4.3: in all folders
    b"RECENT": IsRecent(),
    b"OLD": Not(IsRecent()),
    b"NEW": Both((IsRecent(), Not(HasFlag(SEEN)))),
    **{name: HasFlag(flag) for name, flag in _FLAG_KEYS.items()},
    **{b"UN" + name: Not(HasFlag(flag)) for name, flag in _FLAG_KEYS.items()},
}
_ADDRESS_FIELDS = frozenset({b"FROM", b"TO", b"CC", b"BCC", b"SUBJECT"})
_DAY_KEYS = {
    b"BEFORE": (Moment.INTERNAL, Order.BELOW),
    b"ON": (Moment.INTERNAL, Order.EQUAL),
    b"SINCE": (Moment.INTERNAL, Order.AT_LEAST),
    b"SENTBEFORE": (Moment.SENT, Order.BELOW),
    b"SENTON": (Moment.SENT, Order.EQUAL),
    b"SENTSINCE": (Moment.SENT, Order.AT_LEAST),
    b"SAVEDBEFORE": (Moment.SAVED, Order.BELOW),
    b"SAVEDON": (Moment.SAVED, Order.EQUAL),
    b"SAVEDSINCE": (Moment.SAVED, Order.AT_LEAST),
}


def search_keys(cursor: Cursor) -> SearchKey:
    """Take an optional charset and one or more keys, to the end of the command."""
    if cursor.at_word(b"CHARSET"):
        cursor.word()
        cursor.space()
        charset(cursor)
        cursor.space()
    return all_keys(cursor)


def charset(cursor: Cursor) -> None:
    """Take the name of a charset; raises UnknownCharset for all but two."""
    if cursor.astring().upper() not in CHARSETS:
        raise UnknownCharset("Only US-ASCII and UTF-8 are searched")


def all_keys(cursor: Cursor) -> SearchKey:
    """Take one or more keys, to the end of the command."""
    keys = [_key(cursor, 1)]
    while not cursor.at_end():
        cursor.space()
        keys.append(_key(cursor, 1))
    return _all_of(keys)


def is_modseq_search(key: SearchKey) -> bool:
    """Whether MODSEQ occurs, so that the answer must tell one (RFC 7162 3.1.5)."""
    match key:
        case SinceModseq():
            return True
        case Not(inner):
            return is_modseq_search(inner)
        case Both(keys) | Either(keys):
            return any(map(is_modseq_search, keys))
        case _:
            return False


def _all_of(keys: list[SearchKey]) -> SearchKey:
    return keys[0] if len(keys) == 1 else Both(tuple(keys))


def _key(cursor: Cursor, depth: int) -> SearchKey:
    if depth > SEARCH_DEPTH_MAX:
        raise ImapSyntaxError("Search is nested too deep")
    if cursor.at(b"("):
        return _all_of(cursor.listed(lambda: _key(cursor, depth + 1)))
    if cursor.at_digit() or cursor.at(b"*") or cursor.at(b"$"):
        return InSet(message_set(cursor), by_uid=False)
    name = cursor.word()
    if name in _FIXED_KEYS:
        return _FIXED_KEYS[name]
    cursor.space()
    if name in _DAY_KEYS:
        moment, order = _DAY_KEYS[name]
        return OnDay(moment, order, day(cursor))
    if name in _ADDRESS_FIELDS:
        return HasText(TextMatch(TextPlace.HEADER, cursor.text(), name.decode().lower()))
    if name in _KEYS:
        return _KEYS[name](cursor)
    return _key_of_keys(name, cursor, depth)


def _key_of_keys(name: bytes, cursor: Cursor, depth: int) -> SearchKey:
    if name == b"NOT":
        return Not(_key(cursor, depth + 1))
    if name == b"OR":
        return _either(cursor, depth)
    raise ImapSyntaxError("Unknown search key")


def _either(cursor: Cursor, depth: int) -> SearchKey:
    """OR, which clients chain for as many senders or folders as they like: OR a OR b OR c d."""
    keys = [_key(cursor, depth + 1)]
    cursor.space()
    while cursor.at_word(b"OR"):
        cursor.word()
        cursor.space()
        keys.append(_key(cursor, depth + 1))
        cursor.space()
    keys.append(_key(cursor, depth + 1))
    return Either(tuple(keys))


def _header(cursor: Cursor) -> SearchKey:
    field = cursor.text().lower()
    cursor.space()
    return HasText(TextMatch(TextPlace.HEADER, cursor.text(), field))


def _modseq(cursor: Cursor) -> SearchKey:
    """MODSEQ, whose optional entry name and type all mean the one MODSEQ we keep per message."""
    if cursor.at(b'"'):
        cursor.string()
        cursor.space()
        if cursor.word() not in (b"PRIV", b"SHARED", b"ALL"):
            raise ImapSyntaxError("Unknown type of metadata entry")
        cursor.space()
    return SinceModseq(cursor.number(NUMBER64_MAX))


def _uid(cursor: Cursor) -> SearchKey:
    return InSet(message_set(cursor), by_uid=True)


def _interval(cursor: Cursor) -> int:
    seconds = cursor.number()
    if seconds == 0:
        raise ImapSyntaxError("An interval is at least a second")
    return seconds


def _thread_id(cursor: Cursor) -> SearchKey:
    cursor.astring()
    return Nothing()


_KEYS: dict[bytes, Callable[[Cursor], SearchKey]] = {
    b"BODY": lambda cursor: HasText(TextMatch(TextPlace.BODY, cursor.text())),
    b"TEXT": lambda cursor: HasText(TextMatch(TextPlace.TEXT, cursor.text())),
    b"HEADER": _header,
    b"KEYWORD": lambda cursor: HasFlag(keyword(cursor)),
    b"UNKEYWORD": lambda cursor: Not(HasFlag(keyword(cursor))),
    b"LARGER": lambda cursor: OfSize(Order.ABOVE, cursor.number(NUMBER64_MAX)),
    b"SMALLER": lambda cursor: OfSize(Order.BELOW, cursor.number(NUMBER64_MAX)),
    b"OLDER": lambda cursor: OfAge(Order.AT_MOST, _interval(cursor)),
    b"YOUNGER": lambda cursor: OfAge(Order.AT_LEAST, _interval(cursor)),
    b"UID": _uid,
    b"MODSEQ": _modseq,
    b"EMAILID": lambda cursor: HasEmailId(cursor.text()),
    b"THREADID": _thread_id,
}
