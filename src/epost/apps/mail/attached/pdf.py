"""The text of PDF files (ISO 32000-1), as far as it is there as text: its words can be searched.

Objects are found by their headings, not by the tables that a damaged or hostile file would point
elsewhere with. Pages and forms are read one by one with the fonts that they name. Encrypted files,
pictures of text, and streams that are not deflated are not read.
"""

import base64
import itertools
import re
from collections.abc import Iterator

from epost.apps.mail.attached.inflating import Budget
from epost.apps.mail.attached.pdf_content import shown_text
from epost.apps.mail.attached.pdf_fonts import PLAIN, Font, read_font

OBJECTS_MAX = 50_000
PAGES_MAX = 1_000
PARTS_PER_PAGE_MAX = 100
PARENTS_MAX = 8
FONTS_MAX = 200
INFLATED_BYTES_MAX = 8 * 1024 * 1024
DICTIONARY_BYTES_MAX = 64 * 1024

_ZLIB_HEADER_BYTES = 2  # RFC 1950; the checksum at the end is nobody's concern here

_OBJECT = re.compile(rb"(?<![0-9])([0-9]{1,9})\s{1,9}[0-9]{1,5}\s{1,9}obj\b")
_STREAM = re.compile(rb"\bstream\r?\n")
_HAS_CONTENT = re.compile(rb"/Type\s{0,9}/Page\b|/Subtype\s{0,9}/Form\b")
_VALUE_END = re.compile(rb"[/<>\[\]]")
_REFERENCE = re.compile(rb"([0-9]{1,9})\s{1,9}[0-9]{1,5}\s{1,9}R\b")
_FONT_NAME = re.compile(rb"/([^\s/<>\[\]()]{1,127})\s{1,9}([0-9]{1,9})\s{1,9}[0-9]{1,5}\s{1,9}R\b")


def text_of_pdf(octets: bytes, characters_max: int) -> str:
    """Return the text of the pages, a line for a line; empty where there is none."""
    return _Document(octets).text(characters_max)


class _Document:
    """The objects of a file: each number's dictionary (or other value), and its stream."""

    def __init__(self, octets: bytes) -> None:
        self._octets = memoryview(octets)
        self._budget = Budget(INFLATED_BYTES_MAX)
        self._values: dict[int, bytes] = {}
        self._streams: dict[int, memoryview] = {}
        self._fonts: dict[int, Font] = {}
        self._named_fonts: dict[bytes, dict[bytes, Font]] = {}
        self._is_encrypted = b"/Encrypt" in octets
        self._find_objects(octets)

    def text(self, characters_max: int) -> str:
        if self._is_encrypted:
            return ""
        self._unpack_object_streams()
        pieces: list[str] = []
        room = characters_max
        for number in self._with_content():
            value = self._values[number]
            content = b"\n".join(self._stream(part) for part in self._parts(number, value))
            piece = shown_text(content, self._fonts_of(value), room)
            pieces.append(piece)
            room -= len(piece)
            if room <= 0 or self._budget.is_spent:
                break
        return "\n".join(pieces)[:characters_max]

    def _find_objects(self, octets: bytes) -> None:
        headings = _OBJECT.finditer(octets)
        found = [next(headings, None) for _ in range(OBJECTS_MAX)]
        ends = [heading.start() for heading in found[1:] if heading] + [len(octets)]
        for heading, end in zip(filter(None, found), ends, strict=False):
            value = octets[heading.end() : min(end, heading.end() + DICTIONARY_BYTES_MAX)]
            number, stream = int(heading[1]), _STREAM.search(value)
            self._values[number] = value[: stream.start()] if stream else value
            if stream:
                self._streams[number] = self._octets[heading.end() + stream.end() : end]

    def _unpack_object_streams(self) -> None:
        """Enter the objects that lie compressed in others (7.5.7)."""
        for number in sorted(self._streams):
            value = self._values[number]
            if b"/ObjStm" not in value:
                continue
            unpacked, first = self._stream(number), _integer(value, b"First")
            heads = [int(digits) for digits in re.findall(rb"[0-9]{1,9}", unpacked[:first])]
            places = [first + at for at in heads[1::2]] + [len(unpacked)]
            for packed, start, end in zip(heads[::2], places, places[1:], strict=False):
                if start > end or len(self._values) >= OBJECTS_MAX:
                    break
                self._values.setdefault(packed, unpacked[start:end][:DICTIONARY_BYTES_MAX])

    def _with_content(self) -> Iterator[int]:
        shown = (number for number, value in self._values.items() if _HAS_CONTENT.search(value))
        return iter(sorted(shown)[:PAGES_MAX])

    def _parts(self, number: int, value: bytes) -> list[int]:
        """Return the streams in which a page is drawn; a form is one itself."""
        if number in self._streams:
            return [number]
        contents = _entry(value, b"Contents")
        if len(named := _references(contents)) == 1 and named[0] not in self._streams:
            named = _references(self._values.get(named[0], b""))  # an array of its own
        return named[:PARTS_PER_PAGE_MAX]

    def _fonts_of(self, value: bytes) -> dict[bytes, Font]:
        resources = self._inherited(value, b"Resources")
        fonts = self._resolved(_entry(resources, b"Font"))
        if fonts not in self._named_fonts:  # most pages name the same
            named = itertools.islice(_FONT_NAME.finditer(fonts), FONTS_MAX)
            self._named_fonts[fonts] = {found[1]: self._font(int(found[2])) for found in named}
        return self._named_fonts[fonts]

    def _font(self, number: int) -> Font:
        if number not in self._fonts:
            if len(self._fonts) >= FONTS_MAX:
                return PLAIN
            value = self._values.get(number, b"")
            encoding = self._resolved(_entry(value, b"Encoding"))
            mapping = _references(_entry(value, b"ToUnicode"))
            to_unicode = self._stream(mapping[0]) if mapping else b""
            self._fonts[number] = read_font(value, encoding, to_unicode)
        return self._fonts[number]

    def _inherited(self, value: bytes, key: bytes) -> bytes:
        """Return an entry of a page, or of the nodes above it (7.7.3.4)."""
        for _ in range(PARENTS_MAX):
            if found := _entry(value, key):
                return self._resolved(found)
            parents = _references(_entry(value, b"Parent"))
            if not parents:
                break
            value = self._values.get(parents[0], b"")
        return b""

    def _resolved(self, value: bytes) -> bytes:
        """Return what a reference names; anything else as it is."""
        named = _REFERENCE.match(value)
        return self._values.get(int(named[1]), b"") if named else value

    def _stream(self, number: int) -> bytes:
        raw = self._streams.get(number, memoryview(b""))
        filters = _entry(self._values.get(number, b""), b"Filter")
        if b"/ASCII85Decode" in filters:
            raw = memoryview(_from_ascii85(self._budget.plain(raw)))
        if b"/FlateDecode" in filters:
            return self._budget.inflated(raw[_ZLIB_HEADER_BYTES:])
        return b"" if b"Decode" in filters else self._budget.plain(raw).partition(b"endstream")[0]


def _from_ascii85(encoded: bytes) -> bytes:
    try:
        return base64.a85decode(encoded.partition(b"~>")[0].strip())
    except ValueError:
        return b""


def _entry(dictionary: bytes, key: bytes) -> bytes:
    """Return what stands behind a key: a dictionary or array up to its end, else some octets."""
    found = re.search(rb"/" + key + rb"(?![A-Za-z0-9])\s{0,9}", dictionary)
    if not found:
        return b""
    at = found.end()
    opening = dictionary[at : at + 2]
    if opening == b"<<":
        return _dictionary(dictionary, at)
    if opening[:1] == b"[":
        return dictionary[at : dictionary.find(b"]", at) + 1 or None]
    end = _VALUE_END.search(dictionary, at + 1)
    return dictionary[at : end.start() if end else None]


def _dictionary(octets: bytes, start: int) -> bytes:
    depth = 0
    for bracket in re.compile(rb"<<|>>").finditer(octets, start):
        depth += 1 if bracket[0] == b"<<" else -1
        if depth == 0:
            return octets[start : bracket.end()]
    return octets[start:]


def _references(value: bytes) -> list[int]:
    return [int(found[1]) for found in _REFERENCE.finditer(value)]


def _integer(dictionary: bytes, key: bytes) -> int:
    found = re.match(rb"\s{0,9}([0-9]{1,9})", _entry(dictionary, key))
    return int(found[1]) if found else 0
