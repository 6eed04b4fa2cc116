"""One FETCH response: each item as bytes, from what was loaded of a message (RFC 3501 7.4.2)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from epost.apps.mail.mailbox import MessageRow, Rendered
from epost.servers.imap.announcing import flags_shown
from epost.servers.imap.opened_mail import OpenedMail, header_section
from epost.servers.imap.syntax.dates import format_date_time
from epost.servers.imap.syntax.fetch_items import BodyItem, FetchItem, Item
from epost.servers.imap.view import FolderView

_NO_RENDERING = Rendered(b"NIL", b"NIL", b"NIL")


@dataclass(slots=True)
class Gathered:
    """A message with as much of it as the items need."""

    row: MessageRow
    rendered: Rendered = _NO_RENDERING
    header: bytes = b""
    mail: OpenedMail | None = None


class FetchOutput:
    """Writes responses for one FETCH command."""

    def __init__(self, view: FolderView, items: Sequence[FetchItem]) -> None:
        self._view = view
        self._writers = [_writer(item) for item in items]

    def pieces(self, message: Gathered, extra: Sequence[Item] = ()) -> list[bytes]:
        """The response to one message; `extra` are items that were not asked for."""
        pieces = [b"* %d FETCH (" % (self._view.number(message.row.uid) or 0)]
        for write in self._writers:
            write(message, self._view, pieces)
            pieces.append(b" ")
        for item in extra:
            _writer(item)(message, self._view, pieces)
            pieces.append(b" ")
        pieces[-1] = b")\r\n"
        return pieces


_Writer = Callable[[Gathered, FolderView, list[bytes]], None]


def _writer(item: FetchItem) -> _Writer:
    if isinstance(item, BodyItem):
        return _body_writer(item)
    form = _FORMS[item]

    def write(message: Gathered, view: FolderView, pieces: list[bytes]) -> None:
        pieces.append(form(message, view))

    return write


def _flags(message: Gathered, view: FolderView) -> bytes:
    return b"FLAGS " + flags_shown(message.row, view)


def _uid(message: Gathered, _view: FolderView) -> bytes:
    return b"UID %d" % message.row.uid


def _internal_date(message: Gathered, _view: FolderView) -> bytes:
    return b"INTERNALDATE " + format_date_time(message.row.internal_date)


def _size(message: Gathered, _view: FolderView) -> bytes:
    return b"RFC822.SIZE %d" % message.row.size


def _envelope(message: Gathered, _view: FolderView) -> bytes:
    return b"ENVELOPE " + message.rendered.envelope


def _body(message: Gathered, _view: FolderView) -> bytes:
    return b"BODY " + message.rendered.body


def _body_structure(message: Gathered, _view: FolderView) -> bytes:
    return b"BODYSTRUCTURE " + message.rendered.bodystructure


def _modseq(message: Gathered, _view: FolderView) -> bytes:
    return b"MODSEQ (%d)" % message.row.modseq


def _email_id(message: Gathered, _view: FolderView) -> bytes:
    return b"EMAILID (%b)" % message.row.email_id.encode("ascii")


def _thread_id(_message: Gathered, _view: FolderView) -> bytes:
    return b"THREADID NIL"  # threads are not given ids (RFC 8474 5.2)


_FORMS: dict[Item, Callable[[Gathered, FolderView], bytes]] = {
    Item.FLAGS: _flags,
    Item.UID: _uid,
    Item.INTERNALDATE: _internal_date,
    Item.SIZE: _size,
    Item.ENVELOPE: _envelope,
    Item.BODY: _body,
    Item.BODYSTRUCTURE: _body_structure,
    Item.MODSEQ: _modseq,
    Item.EMAILID: _email_id,
    Item.THREADID: _thread_id,
}


def _body_writer(item: BodyItem) -> _Writer:
    label = item.label
    if item.partial is not None:
        label += b"<%d>" % item.partial[0]

    def write(message: Gathered, _view: FolderView, pieces: list[bytes]) -> None:
        if item.is_top_header:
            octets: bytes | None = header_section(message.header, item)
        else:
            assert message.mail is not None
            octets = message.mail.section(item)
        if octets is None:
            pieces.append(label + b" NIL")
        elif not octets:
            pieces.append(label + b' ""')
        else:
            pieces += (b"%b {%d}\r\n" % (label, len(octets)), octets)

    return write
