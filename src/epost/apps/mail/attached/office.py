"""The text of office documents: Office Open XML and OpenDocument, ZIP archives of XML.

The archive is read by the headers before its members: what the directory at its end says is not
needed, and not believed. XML is not parsed: entities that a document defines stay what they are.
"""

import html
import re
from collections.abc import Iterator

from epost.apps.mail.attached.inflating import Budget

MEMBERS_MAX = 2_000
INFLATED_BYTES_MAX = 32 * 1024 * 1024

_MEMBER = b"PK\x03\x04"
_HEADER_BYTES = 30
_NAME_BYTES_MAX = 256
_STORED, _DEFLATED = 0, 8

_OPEN_XML = re.compile(
    r"word/(?:document|footnotes|endnotes|comments|header\d*|footer\d*)\.xml"
    r"|xl/(?:sharedStrings|worksheets/\w+)\.xml|ppt/(?:slides|notesSlides)/\w+\.xml"
)
_OPEN_DOCUMENT = "content.xml"
# A word may be cut into runs, so only what ends a paragraph or is white space parts words.
_OPEN_XML_TEXT = re.compile(
    r"<(?:w:|a:)?t(?:\s[^<>]*)?>([^<]*)|</(?:w:p|a:p|si|is)>|<(?:w:tab|w:br|w:cr|a:br)\b[^<>]*>"
)
_PARTING = re.compile(r"</text:(?:p|h)>|<text:(?:tab|line-break|s)\b[^<>]*>")
_TAG = re.compile(r"<[^<>]*>")


def text_of_office(octets: bytes, characters_max: int) -> str:
    """Return the text of a document, sheet or presentation; empty if it is none of these."""
    texts: list[str] = []
    room = characters_max
    for name, xml in _members(octets):
        text = _open_document(xml) if name == _OPEN_DOCUMENT else _open_xml(xml)
        texts.append(text[:room])
        room -= len(text)
        if room <= 0:
            break
    return "\n".join(texts)


def _members(octets: bytes) -> Iterator[tuple[str, str]]:
    """Yield the members with text: name and XML."""
    budget = Budget(INFLATED_BYTES_MAX)
    at = octets.find(_MEMBER)
    for _ in range(MEMBERS_MAX):
        if at < 0 or budget.is_spent:
            return
        header = octets[at : at + _HEADER_BYTES]
        name_length, extra_length = _number(header, 26, 2), _number(header, 28, 2)
        start = at + _HEADER_BYTES + name_length + extra_length
        raw_name = octets[
            at + _HEADER_BYTES : at + _HEADER_BYTES + min(name_length, _NAME_BYTES_MAX)
        ]
        name = raw_name.decode("utf-8", "replace")
        if name == _OPEN_DOCUMENT or _OPEN_XML.fullmatch(name):
            yield name, _content(octets, start, header, budget).decode("utf-8", "replace")
        at = octets.find(_MEMBER, at + len(_MEMBER))


def _content(octets: bytes, start: int, header: bytes, budget: Budget) -> bytes:
    method = _number(header, 8, 2)
    rest = memoryview(octets)[start:]
    if method == _DEFLATED:  # it says itself where it ends
        return budget.inflated(rest)
    return budget.plain(rest[: _number(header, 18, 4)]) if method == _STORED else b""


def _number(header: bytes, at: int, size: int) -> int:
    return int.from_bytes(header[at : at + size], "little")


def _open_xml(xml: str) -> str:
    pieces = (found[1] if found[1] is not None else "\n" for found in _OPEN_XML_TEXT.finditer(xml))
    return html.unescape("".join(pieces))


def _open_document(xml: str) -> str:
    return html.unescape(_TAG.sub("", _PARTING.sub("\n", xml)))
