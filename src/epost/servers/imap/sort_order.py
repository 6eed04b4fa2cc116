"""The order of messages by what SORT names (RFC 5256 3, RFC 5957)."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from epost.apps.mail.mailbox import MessageRow
from epost.apps.mail.mime.addresses import GroupEnd, GroupStart, MailboxAddress, read_addresses
from epost.apps.mail.mime.headers import decode_words, read_first_values
from epost.servers.imap.subjects import base_subject, case_mapped


class SortKey(Enum):
    """The value is the name on the wire."""

    ARRIVAL = b"ARRIVAL"
    CC = b"CC"
    DATE = b"DATE"
    DISPLAYFROM = b"DISPLAYFROM"
    DISPLAYTO = b"DISPLAYTO"
    FROM = b"FROM"
    SIZE = b"SIZE"
    SUBJECT = b"SUBJECT"
    TO = b"TO"


@dataclass(frozen=True, slots=True)
class Criterion:
    """One key, perhaps backwards."""

    key: SortKey
    is_reverse: bool


@dataclass(frozen=True, slots=True)
class Sortable:
    """A message, and the values of the header fields that its place depends on."""

    row: MessageRow
    fields: Mapping[str, str]


_FIELDS = {
    SortKey.CC: "cc",
    SortKey.DISPLAYFROM: "from",
    SortKey.DISPLAYTO: "to",
    SortKey.FROM: "from",
    SortKey.SUBJECT: "subject",
    SortKey.TO: "to",
}

Value = int | str | tuple[int, int]


class _Backwards:
    """Turns an order round."""

    __slots__ = ("_value",)

    def __init__(self, value: Value) -> None:
        self._value = value

    def __lt__(self, other: "_Backwards") -> bool:
        return other._value < self._value  # type: ignore[operator]  # of one key, so of one type

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Backwards) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


Place = tuple["Value | _Backwards", ...]
"""What messages are compared by; the uid at its end decides between equals."""


def fields_needed(criteria: Iterable[Criterion]) -> frozenset[str]:
    """The header fields that the order depends on, in lower case."""
    return frozenset(_FIELDS[c.key] for c in criteria if c.key in _FIELDS)


def sortable(row: MessageRow, header: bytes, names: frozenset[str]) -> Sortable:
    """Read as much of a header as is needed."""
    return Sortable(row, read_first_values(header, names) if names else {})


def place(message: Sortable, criteria: Sequence[Criterion]) -> Place:
    """Where a message belongs among others, by these criteria."""
    values = ((criterion, _VALUES[criterion.key](message)) for criterion in criteria)
    return (
        *(_backwards(value) if criterion.is_reverse else value for criterion, value in values),
        message.row.uid,
    )


def _backwards(value: Value) -> "Value | _Backwards":
    """What orders the other way round; numbers do so by themselves, and far faster."""
    return -value if isinstance(value, int) else _Backwards(value)


def sent_or_received(row: MessageRow) -> int:
    """The sent date, or when the message came, in seconds (RFC 5256 2.2)."""
    return (row.sent or row.internal_date).seconds


def _first_address(name: str) -> Callable[[Sortable], str]:
    """The local part of the first address, or the name of the group it begins with."""

    def value(message: Sortable) -> str:
        for item in read_addresses(message.fields.get(name, "")):
            match item:
                case MailboxAddress():
                    return case_mapped(item.local_part)
                case GroupStart():
                    return case_mapped(item.name)
                case GroupEnd():
                    pass
        return ""

    return value


def _displayed(name: str) -> Callable[[Sortable], str]:
    """The name that programs show, or the address where there is none (RFC 5957 3)."""

    def value(message: Sortable) -> str:
        for item in read_addresses(message.fields.get(name, "")):
            match item:
                case MailboxAddress():
                    address = f"{item.local_part}@{item.domain}"
                    return case_mapped(decode_words(item.name) or address)
                case GroupStart():
                    return case_mapped(decode_words(item.name))
                case GroupEnd():
                    pass
        return ""

    return value


def _subject(message: Sortable) -> str:
    return base_subject(decode_words(message.fields.get("subject", ""))).text


_VALUES: Mapping[SortKey, Callable[[Sortable], Value]] = {
    SortKey.ARRIVAL: lambda message: message.row.internal_date.seconds,
    SortKey.CC: _first_address("cc"),
    SortKey.DATE: lambda message: sent_or_received(message.row),
    SortKey.DISPLAYFROM: _displayed("from"),
    SortKey.DISPLAYTO: _displayed("to"),
    SortKey.FROM: _first_address("from"),
    SortKey.SIZE: lambda message: message.row.size,
    SortKey.SUBJECT: _subject,
    SortKey.TO: _first_address("to"),
}
