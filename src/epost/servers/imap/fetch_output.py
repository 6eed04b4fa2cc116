"""FETCH responses, many at a time: each item is a column, each response a row (RFC 3501 7.4.2)."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat

from epost.apps.mail.mailbox import MailTime, MessageColumns, Rendered
from epost.foundation.octets import Octets, excerpt
from epost.servers.imap.opened_mail import OpenedMail, header_reader
from epost.servers.imap.syntax.dates import format_date_time, format_date_times
from epost.servers.imap.syntax.fetch_items import BinaryItem, BodyItem, FetchItem, Item
from epost.servers.imap.syntax.formats import string
from epost.servers.imap.view import FolderView


@dataclass(frozen=True, slots=True)
class Gathered:
    """Some messages with as much of them as the items need; all columns are of one length."""

    rows: MessageColumns
    numbers: Sequence[int]
    envelopes: Sequence[bytes] = ()
    rendered: Sequence[Rendered] = ()
    headers: Sequence[bytes] = ()
    save_dates: Sequence[int | None] = ()  # seconds


_Values = Callable[[Gathered, FolderView], Iterable[bytes] | Iterable[int]]


class FetchOutput:
    """Writes responses for one FETCH command."""

    def __init__(self, view: FolderView, items: Sequence[FetchItem]) -> None:
        self._view = view
        self._octets = [item for item in items if needs_octets(item)]
        self._names_uids = view.modes.is_uid_only  # UIDFETCH (RFC 9586)
        leaves_uid_out = self._names_uids and len(items) > 1
        columns = [
            _column(item)
            for item in items
            if item not in self._octets and not (leaves_uid_out and item is Item.UID)
        ]
        forms = [form for form, _ in columns]
        end = b"" if self._octets else b")\r\n"
        begin = b"* %d UIDFETCH (" if self._names_uids else b"* %d FETCH ("
        self._response = begin + b" ".join(forms) + end
        self._values = [values for _, values in columns]
        self._separator = b" " if forms else b""

    def responses(self, messages: Gathered) -> Iterator[bytes]:
        """One for each message; `octets` completes those that need the mails themselves."""
        values = (column(messages, self._view) for column in self._values)
        names = messages.rows.uids if self._names_uids else messages.numbers
        return map(self._response.__mod__, zip(names, *values, strict=True))

    def octets(self, mail: OpenedMail) -> Iterator[Octets]:
        """The rest of a response, in pieces: big ones are to be sent bit by bit.

        Raises UnknownEncoding.
        """
        separator = self._separator
        for item in self._octets:
            yield separator
            yield from _read_item(item, mail)
            separator = b" "
        yield b")\r\n"


def needs_octets(item: FetchItem) -> bool:
    """Whether the mail itself must be read for an item."""
    return not (item.is_top_header if isinstance(item, BodyItem) else item in _COLUMNS)


def _read_item(item: FetchItem, mail: OpenedMail) -> Iterator[Octets]:
    """An item that is made from the mail itself."""
    match item:
        case BodyItem():
            yield _label(item) + b" "
            yield from _literal(mail.section(item))
        case BinaryItem(is_size=True):
            yield b"%b %d" % (item.label, len(mail.decoded(item.numbers) or b""))
        case BinaryItem():
            yield _label(item) + b" "
            octets = mail.decoded(item.numbers)
            if octets is not None and item.partial is not None:
                first, count = item.partial
                octets = excerpt(octets, first, max(first, min(first + count, len(octets))))
            yield b"~" if octets and _needs_literal8(octets) else b""
            yield from _literal(octets)
        case _:
            assert item is Item.PREVIEW
            yield b"PREVIEW " + string(mail.preview().encode("utf-8", "replace"))


def _column(item: FetchItem) -> tuple[bytes, _Values]:
    """The form of an item, with a place for one value, and where the values come from."""
    if not isinstance(item, BodyItem):
        return _COLUMNS[item]

    read = header_reader(item)

    def values(messages: Gathered, _view: FolderView) -> Iterable[bytes]:
        sections = map(read, messages.headers)
        return (b"{%d}\r\n%b" % (len(s), s) if s else b'""' for s in sections)

    return _label(item).replace(b"%", b"%%") + b" %b", values


def _label(item: BodyItem | BinaryItem) -> bytes:
    return item.label if item.partial is None else b"%b<%d>" % (item.label, item.partial[0])


def _needs_literal8(octets: Octets) -> bool:
    """Whether there are NULs; much is not searched, since a literal8 is good for anything."""
    return not isinstance(octets, bytes) or b"\0" in octets


def _literal(octets: Octets | None) -> tuple[Octets, ...]:
    if octets is None:
        return (b"NIL",)
    return (b"{%d}\r\n" % len(octets), octets) if octets else (b'""',)


def _internal_dates(messages: Gathered, _view: FolderView) -> Iterable[bytes]:
    return format_date_times(messages.rows.seconds, messages.rows.zone_minutes)


def _email_ids(messages: Gathered, _view: FolderView) -> Iterable[bytes]:
    return (email_id.encode("ascii") for email_id in messages.rows.email_ids())


def _save_dates(messages: Gathered, _view: FolderView) -> Iterable[bytes]:
    dates = messages.save_dates
    return (b"NIL" if date is None else format_date_time(MailTime(date)) for date in dates)


_COLUMNS: dict[FetchItem, tuple[bytes, _Values]] = {
    Item.FLAGS: (b"FLAGS %b", lambda messages, view: view.shown_flags(messages.rows)),
    Item.UID: (b"UID %d", lambda messages, _: messages.rows.uids),
    Item.INTERNALDATE: (b"INTERNALDATE %b", _internal_dates),
    Item.SIZE: (b"RFC822.SIZE %d", lambda messages, _: messages.rows.sizes),
    Item.ENVELOPE: (b"ENVELOPE %b", lambda messages, _: messages.envelopes),
    Item.BODY: (b"BODY %b", lambda messages, _: (r.body for r in messages.rendered)),
    Item.BODYSTRUCTURE: (
        b"BODYSTRUCTURE %b",
        lambda messages, _: (r.bodystructure for r in messages.rendered),
    ),
    Item.MODSEQ: (b"MODSEQ (%d)", lambda messages, _: messages.rows.modseqs),
    Item.EMAILID: (b"EMAILID (%b)", _email_ids),
    Item.SAVEDATE: (b"SAVEDATE %b", _save_dates),
    # Threads are not given ids (RFC 8474 5.2).
    Item.THREADID: (b"THREADID %b", lambda messages, _: repeat(b"NIL", len(messages.rows))),
}
