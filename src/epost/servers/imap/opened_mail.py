"""Octets of one mail, and the cutting of sections out of them (RFC 3501 6.4.5)."""

import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import lru_cache

from epost.apps.mail.mime.base64_layout import KEPT_BYTES_MAX, RecognisedBase64, recognise
from epost.apps.mail.mime.decoding import ENCODINGS, IDENTITIES, decoded
from epost.apps.mail.mime.section import SectionText, find_part, locate
from epost.apps.mail.mime.structure import Part, PartKind, Span, parse_structure
from epost.apps.mail.renditions.preview import preview_of
from epost.foundation.octets import Octets, excerpt
from epost.servers.imap.binary_mail import UnknownEncoding
from epost.servers.imap.limits import DECODED_BYTES_MAX
from epost.servers.imap.syntax.fetch_items import BinaryItem, BodyItem, FetchItem, HeaderChoice

_VALUE = rb"[ \t]*+:[^\n]*+(?:\n[ \t][^\n]*+)*+"  # nothing of it is ever given back
_FindFields = Callable[[bytes], list[bytes]]
_ANY_FIELD = re.compile(rb"\n(?P<field>(?P<name>[!-9;-~]+)" + _VALUE + rb")")


class OpenedMail:
    """A mail that was read; its structure is parsed when a section first needs it."""

    def __init__(self, octets: Octets) -> None:
        self._octets = octets
        self._structure: Part | None = None
        self._regular: dict[Span, RecognisedBase64 | None] = {}  # large parts looked at

    def __len__(self) -> int:
        return len(self._octets)

    def prepare(self, items: Iterable[FetchItem]) -> None:
        """Do what takes long with a large mail, so that what the items ask for is at hand."""
        for item in items:
            if isinstance(item, BinaryItem):
                with suppress(UnknownEncoding):  # to be told where it is asked for
                    self.decoded(item.numbers)
            elif not (isinstance(item, BodyItem) and item.is_whole):
                self._parts()

    def section(self, item: BodyItem) -> Octets | None:
        """What an item asks for, its partial applied; None if the mail has no such section."""
        span = self._locate(item)
        if span is None:
            return None
        if item.choice is not None:
            header = span.cut(self._octets, DECODED_BYTES_MAX)
            return partial(chosen_fields(header, item.choice), item)
        if item.partial is not None:
            first, count = item.partial
            start = min(span.start + first, span.end)
            span = Span(start, min(start + count, span.end))
        return excerpt(self._octets, span.start, span.end)

    def decoded(self, numbers: tuple[int, ...]) -> Octets | None:
        """A part with its transfer encoding undone, None if there is no such part.

        Raises UnknownEncoding, also for what is too large and too odd to be decoded. What has
        parts of its own comes as it is: they stay encoded.
        """
        part = find_part(self._parts(), numbers)
        if part is None:
            return None
        if not numbers or part.kind is not PartKind.LEAF:
            span = locate(self._parts(), numbers, SectionText.CONTENT)
            return None if span is None else excerpt(self._octets, span.start, span.end)
        if part.content.encoding not in ENCODINGS:
            raise UnknownEncoding
        if part.content.encoding in IDENTITIES:
            return excerpt(self._octets, part.body.start, part.body.end)
        if part.content.encoding == "base64" and (regular := self._recognised(part.body)):
            return regular.decoded
        if len(part.body) > DECODED_BYTES_MAX:
            raise UnknownEncoding
        return decoded(part.body.cut(self._octets), part.content.encoding)

    def _recognised(self, body: Span) -> RecognisedBase64 | None:
        """A large body that can be decoded bit by bit."""
        if len(body) <= KEPT_BYTES_MAX:
            return None
        if body not in self._regular:
            self._regular[body] = recognise(self._octets, body.start, body.end)
        return self._regular[body]

    def preview(self) -> str:
        """The first words of the mail (RFC 8970)."""
        return preview_of(self._octets, self._parts())

    def _locate(self, item: BodyItem) -> Span | None:
        if item.is_whole:
            return Span(0, len(self._octets))
        return locate(self._parts(), item.numbers, item.text)

    def _parts(self) -> Part:
        if self._structure is None:
            self._structure = parse_structure(self._octets)
        return self._structure


def header_reader(item: BodyItem) -> Callable[[bytes], bytes]:
    """Return what cuts out of a mail's header block what an item asks for."""
    choose = _chooser(item.choice) if item.choice is not None else None
    if item.partial is None:
        return choose or bytes
    return lambda header: partial(choose(header) if choose else header, item)


def partial(octets: bytes, item: BodyItem) -> bytes:
    """The octets that an item's partial leaves."""
    if item.partial is None:
        return octets
    first, count = item.partial
    return octets[first : first + count]


def chosen_fields(header: bytes, choice: HeaderChoice) -> bytes:
    """HEADER.FIELDS: the fields as they stand, and an empty line."""
    return _chooser(choice)(header)


def _chooser(choice: HeaderChoice) -> Callable[[bytes], bytes]:
    find = _fields_except(choice.names) if choice.is_excluding else _fields_named(choice.names)

    def choose(header: bytes) -> bytes:
        if not header.endswith(b"\n"):  # a header that ends with the mail
            header += b"\r\n"
        lines = find(b"\n" + header)  # each begins a line, and lacks its own line end
        lines.append(b"\r\n")
        return b"\n".join(lines)

    return choose


def _fields_except(names: frozenset[bytes]) -> _FindFields:
    def find(lines: bytes) -> list[bytes]:
        fields = _ANY_FIELD.finditer(lines)
        return [match["field"] for match in fields if match["name"].lower() not in names]

    return find


@lru_cache(maxsize=256)
def _fields_named(names: frozenset[bytes]) -> _FindFields:
    """Looks at the first letter before it tries names: there are many lines and few of them."""
    nonempty = sorted(names - {b""})
    if not nonempty:
        return lambda _lines: []
    letters = b"".join(sorted({re.escape(name[:1]) for name in nonempty}))
    either = b"|".join(map(re.escape, nonempty))
    field = rb"((?:" + either + rb")" + _VALUE + rb")"
    return re.compile(rb"\n(?=[" + letters + rb"])" + field, re.IGNORECASE).findall
