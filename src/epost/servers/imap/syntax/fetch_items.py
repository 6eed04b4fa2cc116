"""What FETCH can be asked for (RFC 3501 6.4.5)."""

import re
from dataclasses import dataclass
from enum import Enum

from epost.apps.mail.mime.section import SectionText
from epost.servers.imap.limits import FETCH_ITEMS_MAX, SECTION_DEPTH_MAX
from epost.servers.imap.syntax.cursor import NUMBER64_MAX, Cursor
from epost.servers.imap.syntax.errors import ImapSyntaxError
from epost.servers.imap.syntax.formats import astring

_NAME = re.compile(rb"[A-Za-z0-9.]+")
_PART = re.compile(rb"[1-9][0-9]{0,4}(?:\.[1-9][0-9]{0,4})*")


class Item(Enum):
    """The items without arguments; the value is the name on the wire."""

    FLAGS = b"FLAGS"
    UID = b"UID"
    INTERNALDATE = b"INTERNALDATE"
    SIZE = b"RFC822.SIZE"
    ENVELOPE = b"ENVELOPE"
    BODY = b"BODY"
    BODYSTRUCTURE = b"BODYSTRUCTURE"
    MODSEQ = b"MODSEQ"
    EMAILID = b"EMAILID"
    THREADID = b"THREADID"
    PREVIEW = b"PREVIEW"
    SAVEDATE = b"SAVEDATE"


@dataclass(frozen=True, slots=True)
class HeaderChoice:
    """HEADER.FIELDS: the named fields (lower case), or all others."""

    names: frozenset[bytes]
    is_excluding: bool


@dataclass(frozen=True, slots=True)
class BodyItem:
    """Octets of a mail: BODY[section]<partial> and its older relatives."""

    label: bytes  # how the response names it, without the partial
    numbers: tuple[int, ...] = ()
    text: SectionText = SectionText.CONTENT
    choice: HeaderChoice | None = None
    sets_seen: bool = True
    partial: tuple[int, int] | None = None  # first octet and number of octets

    @property
    def is_whole(self) -> bool:
        """Whether it is cut out of the mail without a look at its parts."""
        return not self.numbers and self.text is SectionText.CONTENT

    @property
    def is_top_header(self) -> bool:
        """Whether the mail's header block is all that is needed."""
        return not self.numbers and self.text is SectionText.HEADER


@dataclass(frozen=True, slots=True)
class BinaryItem:
    """A part with its transfer encoding undone, or the size of that (RFC 3516 4.2)."""

    label: bytes  # how the response names it, without the partial
    numbers: tuple[int, ...]
    is_size: bool = False
    sets_seen: bool = False
    partial: tuple[int, int] | None = None


FetchItem = Item | BodyItem | BinaryItem

_MACROS = {
    b"FAST": (Item.FLAGS, Item.INTERNALDATE, Item.SIZE),
    b"ALL": (Item.FLAGS, Item.INTERNALDATE, Item.SIZE, Item.ENVELOPE),
    b"FULL": (Item.FLAGS, Item.INTERNALDATE, Item.SIZE, Item.ENVELOPE, Item.BODY),
}
_OLD_BODY_ITEMS = {
    b"RFC822": BodyItem(b"RFC822"),
    b"RFC822.HEADER": BodyItem(b"RFC822.HEADER", text=SectionText.HEADER, sets_seen=False),
    b"RFC822.TEXT": BodyItem(b"RFC822.TEXT", text=SectionText.TEXT),
}
_BINARY_NAMES = (b"BINARY", b"BINARY.PEEK", b"BINARY.SIZE")
_LAZY = re.compile(rb" \(LAZY\)", re.IGNORECASE)
_ITEMS: dict[bytes, Item] = {item.value: item for item in Item}


def fetch_items(cursor: Cursor) -> tuple[FetchItem, ...]:
    """Take a macro, one item or a list of items; none comes twice."""
    if cursor.at(b"("):
        items = cursor.listed(lambda: _item(cursor))
    else:
        name = _name(cursor)
        items = list(_MACROS.get(name, ())) or [_item_named(name, cursor)]
    unique = tuple(dict.fromkeys(items))
    if len(unique) > FETCH_ITEMS_MAX:
        raise ImapSyntaxError("Too many items are asked for")
    return unique


def _item(cursor: Cursor) -> FetchItem:
    return _item_named(_name(cursor), cursor)


def _name(cursor: Cursor) -> bytes:
    return cursor.match(_NAME, "Fetch item").upper()


def _item_named(name: bytes, cursor: Cursor) -> FetchItem:
    if name == b"BODY.PEEK" or (name == b"BODY" and cursor.at(b"[")):
        return _body_item(cursor, sets_seen=name == b"BODY")
    if name in _BINARY_NAMES:
        return _binary_item(cursor, name)
    if name == b"PREVIEW":
        cursor.skip_match(_LAZY)  # it is made in no time
    if name in _OLD_BODY_ITEMS:
        return _OLD_BODY_ITEMS[name]
    if name not in _ITEMS:
        raise ImapSyntaxError("Unknown fetch item")
    return _ITEMS[name]


def _body_item(cursor: Cursor, *, sets_seen: bool) -> BodyItem:
    cursor.expect(b"[")
    numbers = _part_numbers(cursor)
    prefix = b"BODY[" + b".".join(b"%d" % number for number in numbers)
    text, choice, shown = SectionText.CONTENT, None, b""
    if not cursor.at(b"]"):
        if numbers:
            cursor.expect(b".")
            prefix += b"."
        text, choice, shown = _section_text(cursor, bool(numbers))
    cursor.expect(b"]")
    return BodyItem(
        label=prefix + shown + b"]",
        numbers=numbers,
        text=text,
        choice=choice,
        sets_seen=sets_seen,
        partial=_partial(cursor),
    )


def _binary_item(cursor: Cursor, name: bytes) -> BinaryItem:
    cursor.expect(b"[")
    numbers = _part_numbers(cursor)
    cursor.expect(b"]")
    is_size = name == b"BINARY.SIZE"
    shown = b"BINARY.SIZE[" if is_size else b"BINARY["
    return BinaryItem(
        label=shown + b".".join(b"%d" % number for number in numbers) + b"]",
        numbers=numbers,
        is_size=is_size,
        sets_seen=name == b"BINARY",
        partial=None if is_size else _partial(cursor),
    )


def _part_numbers(cursor: Cursor) -> tuple[int, ...]:
    if not cursor.at_digit():
        return ()
    numbers = tuple(map(int, cursor.match(_PART, "Part number").split(b".")))
    if len(numbers) > SECTION_DEPTH_MAX:
        raise ImapSyntaxError("No mail is nested that deep")
    return numbers


def _section_text(cursor: Cursor, is_part: bool) -> tuple[SectionText, HeaderChoice | None, bytes]:
    """Take what follows the part number; the last result is how to show it."""
    name = cursor.match(_NAME, "Section")
    match name.upper():
        case b"HEADER":
            return SectionText.HEADER, None, b"HEADER"
        case b"TEXT":
            return SectionText.TEXT, None, b"TEXT"
        case b"MIME" if is_part:
            return SectionText.MIME, None, b"MIME"
        case b"HEADER.FIELDS" | b"HEADER.FIELDS.NOT" as shown:
            cursor.space()
            fields = cursor.listed(cursor.astring)
            choice = HeaderChoice(
                frozenset(field.lower() for field in fields), shown.endswith(b".NOT")
            )
            return (
                SectionText.HEADER,
                choice,
                shown + b" (" + b" ".join(map(astring, fields)) + b")",
            )
        case _:
            raise ImapSyntaxError("Unknown section")


def _partial(cursor: Cursor) -> tuple[int, int] | None:
    if not cursor.skip(b"<"):
        return None
    start = cursor.number(NUMBER64_MAX)
    cursor.expect(b".")
    count = cursor.number(NUMBER64_MAX)
    cursor.expect(b">")
    if count == 0:
        raise ImapSyntaxError("A partial fetch asks for at least one octet")
    return start, count
