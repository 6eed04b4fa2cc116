"""How a base64 body is wrapped, and whether it can be written again to the octet.

A body is stored decoded only if encoding it again gives back every octet: alphabet, padding, line
length and line ends. The text is read in blocks of whole lines, so that a large one is never held
in several forms at a time, and a block is compared in large slices, not line by line.
"""

import binascii
import io
from dataclasses import dataclass

LINE_LENGTH_MAX = 65_535
BLOCK_BYTES = 256 * 1024
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
        if self.line_length == 0:
            return b""
        return b"\r\n" if self.is_crlf else b"\n"

    @property
    def stride(self) -> int:
        """Octets from the beginning of one line to that of the next; 1 if there is one line."""
        return self.line_length + len(self.line_end) if self.line_length else 1

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
    """Octets that from `offset` on are a text that `layout` writes again exactly."""

    offset: int
    decoded: bytes
    layout: Base64Layout


def recognise(octets: bytes, start: int = 0, end: int | None = None) -> RecognisedBase64 | None:
    """Return the decoded body `start` to `end` and its layout; None: store it as it stands.

    Needs memory for the decoded octets and a few blocks, however large the body is.
    """
    begin, stop = _trimmed(octets, start, len(octets) if end is None else end)
    layout = _observed_layout(octets[begin : min(begin + LINE_LENGTH_MAX + 2, stop)])
    if layout is None:
        return None
    decoded = io.BytesIO()  # gives its octets away without another copy
    step = _lines_per_block(layout) * layout.stride
    for at in range(begin, stop, step):
        is_last = at + step >= stop
        raw = _decoded_block(octets[at : min(at + step, stop)], layout, is_last=is_last)
        if raw is None:
            return None
        decoded.write(raw)
    return RecognisedBase64(begin, decoded.getvalue(), layout) if decoded.tell() else None


def _trimmed(octets: bytes, start: int, end: int) -> tuple[int, int]:
    """Return where the text begins and stops between empty lines."""
    while start < end and octets[start] in _LINE_ENDS:
        start += 1
    while end > start and octets[end - 1] in _LINE_ENDS:
        end -= 1
    return start, end


def _observed_layout(beginning: bytes) -> Base64Layout | None:
    """Read line length and line end off the first line; without a line end there is one line."""
    newline = beginning.find(b"\n")
    if newline < 0:
        return Base64Layout(0, is_crlf=False)
    is_crlf = beginning[newline - 1 : newline] == b"\r"
    line_length = newline - is_crlf
    return Base64Layout(line_length, is_crlf) if 0 < line_length <= LINE_LENGTH_MAX else None


def _lines_per_block(layout: Base64Layout) -> int:
    """Return a multiple of four: so many lines hold whole groups of four characters."""
    return 4 * max(1, BLOCK_BYTES // (4 * layout.stride))


def _decoded_block(block: bytes, layout: Base64Layout, *, is_last: bool) -> bytes | None:
    """Decode whole lines; None unless encoding them again gives these octets."""
    if not is_last:
        if not block.endswith(layout.line_end):
            return None
        block = block[: len(block) - len(layout.line_end)]
    text = block.translate(None, _LINE_ENDS)
    try:
        raw = binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error:
        return None
    # Unused bits of the last character may be set; then encoding gives another character.
    if binascii.b2a_base64(raw, newline=False) != text or not _is_wrapped(block, text, layout):
        return None
    is_whole = is_last or len(raw) % 3 == 0  # padding stands at the end and nowhere else
    return raw if is_whole else None


def _is_wrapped(block: bytes, text: bytes, layout: Base64Layout) -> bool:
    """Check that the line ends stand exactly where the layout puts them.

    `text` is `block` without line ends; if their number is right and each expected place holds
    one, there is none elsewhere.
    """
    if layout.line_length == 0:
        return len(text) == len(block)
    breaks = (len(text) - 1) // layout.line_length
    if len(block) - len(text) != breaks * len(layout.line_end):
        return False
    return all(
        block[layout.line_length + place :: layout.stride]
        == layout.line_end[place : place + 1] * breaks
        for place in range(len(layout.line_end))
    )
