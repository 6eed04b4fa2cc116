"""What the codes of a PDF font stand for (ISO 32000-1 9.6.6, 9.10)."""

import itertools
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

CODES_MAX = 65_536
MAPPING_BYTES_MAX = 1024 * 1024

_SECTION = re.compile(rb"begin(bfchar|bfrange)")
_SECTION_END = b"endbf"
_SPACE = rb"\s{0,9}"
_HEX = rb"<([0-9A-Fa-f\s]{1,512})>"
_CHARACTER = re.compile(_HEX + _SPACE + _HEX)
_RANGE = re.compile(_HEX + _SPACE + _HEX + _SPACE + rb"(?:" + _HEX + rb"|\[([^\[\]]{0,65536})\])")
_CODE_SPACE = re.compile(rb"begincodespacerange\s{0,9}<([0-9A-Fa-f]{2,8})>")
_DIFFERENCE = re.compile(rb"([0-9]{1,3})|/([A-Za-z0-9._]{1,64})")

_ACCENTS = {
    "grave": "\u0300", "acute": "\u0301", "circumflex": "\u0302", "tilde": "\u0303",
    "dieresis": "\u0308", "ring": "\u030a", "caron": "\u030c", "cedilla": "\u0327",
}  # fmt: skip
_NAMES = (
    "space exclam quotedbl numbersign dollar percent ampersand quotesingle parenleft parenright "
    "asterisk plus comma hyphen period slash zero one two three four five six seven eight nine "
    "colon semicolon less equal greater question at bracketleft backslash bracketright "
    "asciicircum underscore grave braceleft bar braceright asciitilde "
    "quoteleft quoteright quotedblleft quotedblright endash emdash bullet Euro section "
    "germandbls ae AE oe OE oslash Oslash dotlessi ff fi fl ffi ffl"
)
_CHARACTERS = (
    *" !\"#$%&'()*+,-./0123456789:;<=>?@[\\]^_`{|}~",
    *"\u2018\u2019\u201c\u201d\u2013\u2014•€§",
    *"ßæÆœŒøØı",
    "ff",
    "fi",
    "fl",
    "ffi",
    "ffl",
)
_GLYPHS: dict[str, str] = dict(zip(_NAMES.split(), _CHARACTERS, strict=True))


@dataclass(frozen=True, slots=True)
class Font:
    """How a string that is shown in a font reads."""

    code_bytes: int  # octets for one character
    characters: Mapping[int, str]  # what differs from `charset`; codes without a meaning: nothing
    charset: str | None  # of the other codes; None: they are numbers of glyphs

    def read(self, string: bytes) -> str:
        """Return the text of a string."""
        if self.code_bytes == 1 and self.charset and not self.characters:
            return string.decode(self.charset, "replace")
        return "".join(
            self._character(string[at : at + self.code_bytes])
            for at in range(0, len(string), self.code_bytes)
        )

    def _character(self, code: bytes) -> str:
        known = self.characters.get(int.from_bytes(code, "big"))
        if known is not None or self.charset is None:
            return known or ""
        return code.decode(self.charset, "replace")


PLAIN = Font(1, {}, "cp1252")
"""A font of which nothing is known."""


def read_font(font: bytes, encoding: bytes, to_unicode: bytes) -> Font:
    """Read a font's dictionary, its encoding, and the mapping that it may carry."""
    is_composite = b"/Type0" in font
    characters = _mapping(to_unicode[:MAPPING_BYTES_MAX])
    if is_composite:
        space = _CODE_SPACE.search(to_unicode)
        return Font(len(space[1]) // 2 if space else 2, characters, None)
    charset = "mac_roman" if b"/MacRomanEncoding" in encoding else "cp1252"
    return Font(1, {**_differences(encoding), **characters}, charset)


def _mapping(to_unicode: bytes) -> dict[int, str]:
    pairs = itertools.islice(_pairs(to_unicode), CODES_MAX)
    return {code: text for code, text in pairs if text}


def _pairs(to_unicode: bytes) -> Iterator[tuple[int, str]]:
    """Yield codes and what they stand for, as a mapping lists them (9.10.3)."""
    at = 0
    while section := _SECTION.search(to_unicode, at):
        at = to_unicode.find(_SECTION_END, section.end())
        if at < 0:
            return
        listed = to_unicode[section.end() : at]
        if section[1] == b"bfchar":
            yield from ((_code(pair[1]), _text(pair[2])) for pair in _CHARACTER.finditer(listed))
        else:
            for part in _RANGE.finditer(listed):
                yield from _range(part)


def _range(part: re.Match[bytes]) -> Iterator[tuple[int, str]]:
    first, last = _code(part[1]), _code(part[2])
    if part[3] is None:
        texts = (_text(each) for each in re.findall(_HEX, part[4]))
        yield from zip(range(first, last + 1), texts, strict=False)
    elif text := _text(part[3]):
        for step in range(min(last - first + 1, 256)):  # only the last octet counts up
            yield first + step, text[:-1] + chr(min(ord(text[-1]) + step, 0x10FFFF))


def _differences(encoding: bytes) -> dict[int, str]:
    """Read glyph names behind the code of the first (9.6.6.2)."""
    characters: dict[int, str] = {}
    code = 0
    for found in _DIFFERENCE.finditer(encoding.partition(b"/Differences")[2]):
        if found[1]:
            code = int(found[1])
            continue
        if (text := _glyph(found[2].decode("ascii"))) is not None:
            characters[code] = text
        code += 1
    return characters


def _glyph(name: str) -> str | None:
    """Return what a glyph name stands for, as far as names are regular."""
    if len(name) == 1:
        return name
    if name in _GLYPHS:
        return _GLYPHS[name]
    if len(name) == len("uni0000") and name.startswith("uni"):
        try:
            return chr(int(name[3:], 16))
        except ValueError:
            return None
    if name[1:] in _ACCENTS:
        return str(unicodedata.normalize("NFC", name[0] + _ACCENTS[name[1:]]))
    return None


def _code(digits: bytes) -> int:
    return int.from_bytes(_octets(digits)[:4], "big")


def _text(digits: bytes) -> str:
    return _octets(digits).decode("utf-16-be", "ignore")


def _octets(digits: bytes) -> bytes:
    plain = b"".join(digits.split())
    return bytes.fromhex((plain + b"0" * (len(plain) % 2)).decode("ascii"))
