"""What a PDF content stream shows (ISO 32000-1 9.4): strings, and where lines and words end.

Nothing is measured. A word ends where a line does, at a gap that the producer made by moving, and
at a space that it shows: nearly all producers do one or the other.
"""

import re
from collections.abc import Mapping

from epost.apps.mail.attached.pdf_fonts import PLAIN, Font

WORD_GAP = -180.0
"""Thousandths of an em that TJ moves to the right between words; kerning is less."""

_BEGIN = re.compile(rb"(?<![^\s\]>)])BT(?=[\s/\[(<])")
_TOKEN = re.compile(
    rb"(?P<string>\()|<(?P<hex>[0-9A-Fa-f\s]{0,65536})>|/(?P<name>[^\s()<>\[\]{}/%]{1,127})"
    rb"|(?P<number>[-+]?(?:[0-9]{1,12}(?:\.[0-9]{0,12})?|\.[0-9]{1,12}))"
    rb"|(?P<operator>[A-Za-z*'\"]{1,12})|(?P<comment>%[^\r\n]*)"
)
_IN_STRING = re.compile(rb"[()\\]")
_ESCAPES = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}
_ESCAPE = re.compile(rb"\\(?:([0-7]{1,3})|(\r\n|[\s\S]))")
_OPERANDS_MAX = 64


def shown_text(content: bytes, fonts: Mapping[bytes, Font], characters_max: int) -> str:
    """Return the text that a page or form shows."""
    return _Reader(content, fonts).text(characters_max)


class _Reader:
    def __init__(self, content: bytes, fonts: Mapping[bytes, Font]) -> None:
        self._content = content
        self._fonts = fonts
        self._font = PLAIN
        self._pieces: list[str] = []
        self._length = 0
        self._strings: list[str] = []  # operands, as the numbers
        self._numbers: list[float] = []
        self._name = b""
        self._line: float | None = None  # the height of the line that was shown last
        self._height = 0.0
        self._has_shown = False  # since the position was set anew

    def text(self, characters_max: int) -> str:
        at = 0
        while self._length < characters_max and (begin := _BEGIN.search(self._content, at)):
            self._height, self._has_shown = 0.0, False
            at = self._text_object(begin.end(), characters_max)
        return "".join(self._pieces)[:characters_max]

    def _text_object(self, at: int, characters_max: int) -> int:
        """Read up to ET; return where that is."""
        while self._length < characters_max and (token := _TOKEN.search(self._content, at)):
            at = token.end()
            match token.lastgroup:
                case "string":
                    string, at = _string(self._content, at)
                    self._read(string)
                case "hex":
                    digits = b"".join(token["hex"].split())
                    self._read(bytes.fromhex((digits + b"0" * (len(digits) % 2)).decode()))
                case "number":
                    self._count(float(token["number"]))
                case "name":
                    self._name = token["name"]
                case "operator" if token["operator"] == b"ET":
                    return at
                case "operator":
                    self._operate(token["operator"])
                case _:
                    pass  # a comment
        return len(self._content)

    def _count(self, number: float) -> None:
        """Keep an operand; between strings of TJ it is a gap."""
        if len(self._numbers) < _OPERANDS_MAX:
            self._numbers.append(number)
        if number < WORD_GAP:
            self._strings.append(" ")

    def _read(self, string: bytes) -> None:
        self._strings.append(self._font.read(string).replace("\0", ""))
        self._numbers.clear()

    def _operate(self, operator: bytes) -> None:
        numbers = self._numbers
        match operator:
            case b"Tf":
                self._font = self._fonts.get(self._name, PLAIN)
            case b"Td" | b"TD" if len(numbers) >= 2:
                self._height += numbers[-1]
                if numbers[-1] == 0 and self._has_shown:
                    self._part(" ")
            case b"Tm" if len(numbers) >= 6:
                self._height = numbers[-1]
                self._has_shown = False
            case b"Tj" | b"TJ":
                self._show()
            case b"'" | b'"':
                self._part("\n")
                self._show()
            case b"T*":
                self._part("\n")
            case _:
                pass
        numbers.clear()
        self._strings.clear()

    def _show(self) -> None:
        if self._line is not None and self._line != self._height:
            self._part("\n")
        self._line, self._has_shown = self._height, True
        self._pieces += self._strings
        self._length += sum(map(len, self._strings))

    def _part(self, white_space: str) -> None:
        if self._pieces and not self._pieces[-1].endswith((" ", "\n")):
            self._pieces.append(white_space)
            self._length += 1


def _string(content: bytes, at: int) -> tuple[bytes, int]:
    """Return a string in parentheses, which may have others within, and where it ends."""
    start, depth = at, 1
    while depth and (found := _IN_STRING.search(content, at)):
        at = found.end()
        match found[0]:
            case b"(":
                depth += 1
            case b")":
                depth -= 1
            case _:
                at += 1  # what is escaped
    if depth:
        return b"", len(content)
    raw = content[start : at - 1]
    return (_ESCAPE.sub(_unescaped, raw) if b"\\" in raw else raw), at


def _unescaped(escape: re.Match[bytes]) -> bytes:
    if escape[1]:
        return bytes([int(escape[1], 8) & 0xFF])
    character = escape[2]
    if character in (b"\n", b"\r", b"\r\n"):
        return b""  # the line goes on
    return _ESCAPES.get(character, character)
