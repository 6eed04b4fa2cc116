"""ENVELOPE, BODY and BODYSTRUCTURE of a mail as IMAP sends them (RFC 3501 7.4.2).

Made once, when a mail is inserted, and kept in the index: a mail server never parses MIME to list
a folder.
"""

import re
from collections.abc import Iterable

from epost.apps.mail.mailbox import Rendered
from epost.apps.mail.mime.addresses import (
    AddressItem,
    GroupEnd,
    GroupStart,
    MailboxAddress,
    read_addresses,
)
from epost.apps.mail.mime.content import Content, Parameters
from epost.apps.mail.mime.headers import HEADER_BYTES_READ_MAX, HeaderFields, read_fields
from epost.apps.mail.mime.structure import Part, PartKind
from epost.foundation.octets import Octets, count_octet

NIL = b"NIL"

# What every client reads without a literal: 7 bits, no line ends, not too long.
_QUOTABLE = re.compile(rb"[\x01-\x09\x0b\x0c\x0e-\x7f]{0,1024}\Z")
_SPECIAL = re.compile(rb'(["\\])')
_PLAIN = re.compile(rb"[ !#-\[\]-~]{0,1024}\Z")
"""Nearly everything: printable ASCII with nothing to be marked."""


def render(octets: Octets, mail: Part, header: HeaderFields | None = None) -> Rendered:
    """Render a mail from its octets, their tree (`parse_structure`), and its header if at hand."""
    renderer = _Renderer(octets)
    return Rendered(
        envelope=_envelope(header or renderer.fields(mail)),
        body=renderer.structure(mail, with_extensions=False),
        bodystructure=renderer.structure(mail, with_extensions=True),
    )


def string(value: bytes) -> bytes:
    """A quoted string where possible, else a literal (RFC 3501 4.3)."""
    if _PLAIN.match(value):
        return b'"%b"' % value
    if _QUOTABLE.match(value):
        return b'"' + _SPECIAL.sub(rb"\\\1", value) + b'"'
    return b"{%d}\r\n%b" % (len(value), value)


def nstring(value: bytes | None) -> bytes:
    """A string, or NIL for None."""
    return NIL if value is None else string(value)


class _Renderer:
    def __init__(self, octets: Octets) -> None:
        self._octets = octets

    def fields(self, mail: Part) -> HeaderFields:
        """The header of a mail, as far as it is read."""
        return read_fields(mail.header.cut(self._octets, HEADER_BYTES_READ_MAX))

    def structure(self, part: Part, *, with_extensions: bool) -> bytes:
        """BODYSTRUCTURE, or BODY when asked without extension data."""
        if part.kind is PartKind.MULTIPART:
            return self._multipart(part, with_extensions=with_extensions)
        content = part.content
        items = [
            *_media_type(content),
            _parameters(content.parameters),
            _text(content.id),
            _text(content.description),
            _text(content.encoding),
            b"%d" % len(part.body),
        ]
        if part.kind is PartKind.MESSAGE:
            nested = part.children[0]
            items.append(_envelope(self.fields(nested)))
            items.append(self.structure(nested, with_extensions=with_extensions))
        if part.kind is PartKind.MESSAGE or content.media_type.startswith("text/"):
            lines = count_octet(self._octets, b"\n", part.body.start, part.body.end)
            items.append(b"%d" % lines)
        if with_extensions:
            items += (_text(content.md5), *_common_extensions(content))
        return _parenthesized(items)

    def _multipart(self, part: Part, *, with_extensions: bool) -> bytes:
        parts = [self.structure(child, with_extensions=with_extensions) for child in part.children]
        items = [b"".join(parts), _media_type(part.content)[1]]
        if with_extensions:
            items += (_parameters(part.content.parameters), *_common_extensions(part.content))
        return _parenthesized(items)


def _envelope(fields: HeaderFields) -> bytes:
    sender_of_all = _addresses(fields, "from")
    items = (
        _text(fields.first("date")),
        _text(fields.first("subject")),
        sender_of_all,
        _addresses(fields, "sender", missing=sender_of_all),
        _addresses(fields, "reply-to", missing=sender_of_all),
        _addresses(fields, "to"),
        _addresses(fields, "cc"),
        _addresses(fields, "bcc"),
        _text(fields.first("in-reply-to")),
        _text(fields.first("message-id")),
    )
    return _parenthesized(items)


def _common_extensions(content: Content) -> tuple[bytes, bytes, bytes]:
    """Disposition, language and location."""
    disposition = NIL
    if content.disposition is not None:
        value = _text(content.disposition.value)
        disposition = _parenthesized((value, _parameters(content.disposition.parameters)))
    languages = _parenthesized(map(_text, content.languages)) if content.languages else NIL
    return disposition, languages, _text(content.location)


def _media_type(content: Content) -> tuple[bytes, bytes]:
    main, _, sub = content.media_type.partition("/")
    return _text(main), _text(sub)


def _parameters(parameters: Parameters) -> bytes:
    if not parameters:
        return NIL
    return _parenthesized(_text(text) for pair in parameters for text in pair)


def _addresses(fields: HeaderFields, name: str, missing: bytes = NIL) -> bytes:
    """The addresses of all fields of a name; `missing` if there are none."""
    items = [_address(item) for value in fields.every(name) for item in read_addresses(value)]
    return b"(" + b"".join(items) + b")" if items else missing


def _address(item: AddressItem) -> bytes:
    match item:
        case MailboxAddress(name, local_part, domain, route):
            # An absent host would read as the start of a group (RFC 3501 7.4.2): it is "" instead.
            return _parenthesized(
                (_text(name or None), _text(route or None), _text(local_part), _text(domain))
            )
        case GroupStart(name):
            return _parenthesized((NIL, NIL, _text(name), NIL))
        case GroupEnd():
            return b"(NIL NIL NIL NIL)"


def _text(value: str | None) -> bytes:
    return NIL if value is None else string(value.encode("utf-8", "surrogateescape"))


def _parenthesized(items: Iterable[bytes]) -> bytes:
    return b"(" + b" ".join(items) + b")"
