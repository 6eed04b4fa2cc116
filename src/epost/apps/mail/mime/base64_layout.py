"""How a base64 body is wrapped, and whether it can be written again to the octet.

A body is stored decoded only if encoding it again gives back every octet: alphabet, padding, line
length and line ends. The text is encoded once and compared in large slices, not line by line.
"""

import binascii
from dataclasses import dataclass

LINE_LENGTH_MAX = 65_535
_LINE_ENDS = b"\r\n"


@dataclass(frozen=True, slots=True)
class Base64Layout:
    """Lines of `line_length` characters, the last may be shorter; 0: all on one line.

    The last line has no line end: what follows the text belongs to its surroundings.
    """

    line_length: int
    is_crlf: bool

    @property
    def line_end(self) -> bytes:
        """The octets between two lines."""
        return b"\r\n" if self.is_crlf else b"\n"

    def written_size(self, decoded_size: int) -> int:
        """Return how many octets `write` makes of that many."""
        text_size = 4 * -(-decoded_size // 3)
        if self.line_length == 0 or text_size == 0:
            return text_size
        return text_size + (text_size - 1) // self.line_length * len(self.line_end)

    def write(self, decoded: bytes) -> bytes:
        """Return the body's octets."""
        text = binascii.b2a_base64(decoded, newline=False)
        step = self.line_length
        if step == 0:
            return text
        return self.line_end.join([text[at : at + step] for at in range(0, len(text), step)])


@dataclass(frozen=True, slots=True)
class RecognisedBase64:
    """A body that begins, at `offset`, with a text that `layout` writes again exactly."""

    offset: int
    decoded: bytes
    layout: Base64Layout


def recognise(body: bytes) -> RecognisedBase64 | None:
    """Return the decoded body and its layout, or None if it must be stored as it stands."""
    trimmed = body.strip(_LINE_ENDS)
    offset = len(body) - len(body.lstrip(_LINE_ENDS))
    text = trimmed.translate(None, _LINE_ENDS)
    try:
        decoded = binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error:
        return None
    # Unused bits of the last character may be set; then encoding gives another character.
    if not decoded or binascii.b2a_base64(decoded, newline=False) != text:
        return None
    layout = _observed_layout(trimmed)
    if layout is None or not _is_wrapped(trimmed, text, layout):
        return None
    return RecognisedBase64(offset, decoded, layout)


def _observed_layout(trimmed: bytes) -> Base64Layout | None:
    """Read line length and line end off the first line."""
    newline = trimmed.find(b"\n")
    if newline < 0:
        return Base64Layout(0, is_crlf=False)
    is_crlf = trimmed[newline - 1 : newline] == b"\r"
    line_length = newline - is_crlf
    return Base64Layout(line_length, is_crlf) if 0 < line_length <= LINE_LENGTH_MAX else None


def _is_wrapped(trimmed: bytes, text: bytes, layout: Base64Layout) -> bool:
    """Check that the line ends stand exactly where the layout puts them.

    `text` is `trimmed` without line ends; if their number is right and each expected place holds
    one, there is none elsewhere.
    """
    if layout.line_length == 0:
        return len(text) == len(trimmed)
    breaks = (len(text) - 1) // layout.line_length
    if len(trimmed) - len(text) != breaks * len(layout.line_end):
        return False
    stride = layout.line_length + len(layout.line_end)
    return all(
        trimmed[layout.line_length + place :: stride] == layout.line_end[place : place + 1] * breaks
        for place in range(len(layout.line_end))
    )
