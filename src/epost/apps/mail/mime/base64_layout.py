"""How a base64 body is wrapped, and whether it can be written again to the octet.

A body is stored decoded only if encoding it again gives back every octet: alphabet, padding, line
length and line ends. The text is read in blocks of whole lines, so that a large one is never held
in several forms at a time, and a block is compared in large slices, not line by line.
"""

import binascii
import io
from dataclasses import dataclass

from epost.foundation.octets import Octets

LINE_LENGTH_MAX = 65_535
BLOCK_BYTES = 256 * 1024
KEPT_BYTES_MAX = 4 * 1024 * 1024
"""Longer texts are decoded again where they are looked at, instead of held decoded."""
_MARGIN_BYTES = 4 * 1024
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

    def place(self, character: int) -> int:
        """Return where a character of the text stands, from the beginning of the body."""
        if self.line_length == 0:
            return character
        return character + character // self.line_length * len(self.line_end)

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


class Base64Writer:
    """Writes a body whose octets come bit by bit."""

    def __init__(self, layout: Base64Layout) -> None:
        self._layout = layout
        self._unit = 3 * max(1, layout.line_length)  # octets that end with a line
        self._kept = b""
        self._has_begun = False

    def feed(self, decoded: bytes) -> bytes:
        """Return what can be written of it now."""
        octets = self._kept + decoded
        whole = len(octets) - len(octets) % self._unit
        self._kept = octets[whole:]
        return self._written(octets[:whole])

    def finish(self) -> bytes:
        """Return the rest."""
        return self._written(self._kept)

    def _written(self, octets: bytes) -> bytes:
        if not octets:
            return b""
        between = self._layout.line_end if self._has_begun else b""
        self._has_begun = True
        return between + self._layout.write(octets)


class DecodedBody:
    """What a body with a regular layout stands for, decoded where it is looked at."""

    def __init__(self, octets: Octets, offset: int, layout: Base64Layout, size: int) -> None:
        self._octets = octets
        self._offset = offset
        self._layout = layout
        self._size = size

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, key: slice, /) -> bytes:
        start, stop, _ = key.indices(self._size)
        if start >= stop:
            return b""
        first, last = start // 3, -(-stop // 3)  # groups of three octets, four characters
        begin = self._offset + self._layout.place(4 * first)
        end = self._offset + self._layout.place(4 * last - 1) + 1
        text = self._octets[begin:end].translate(None, _LINE_ENDS)
        return binascii.a2b_base64(text)[start - 3 * first : stop - 3 * first]


@dataclass(frozen=True, slots=True)
class RecognisedBase64:
    """Octets that from `offset` on are a text that `layout` writes again exactly."""

    offset: int
    decoded: Octets
    layout: Base64Layout


def recognise(octets: Octets, start: int = 0, end: int | None = None) -> RecognisedBase64 | None:
    """Return the decoded body `start` to `end` and its layout; None: store it as it stands.

    Needs memory for a few blocks and KEPT_BYTES_MAX decoded octets, however large the body is.
    """
    begin, stop = _trimmed(octets, start, len(octets) if end is None else end)
    layout = _observed_layout(octets[begin : min(begin + LINE_LENGTH_MAX + 2, stop)])
    if layout is None:
        return None
    kept = io.BytesIO() if stop - begin <= KEPT_BYTES_MAX else None
    size = 0
    step = _lines_per_block(layout) * layout.stride
    for at in range(begin, stop, step):
        is_last = at + step >= stop
        raw = _decoded_block(octets[at : min(at + step, stop)], layout, is_last=is_last)
        if raw is None:
            return None
        size += len(raw)
        if kept is not None:
            kept.write(raw)
    if size == 0:
        return None
    decoded = DecodedBody(octets, begin, layout, size) if kept is None else kept.getvalue()
    return RecognisedBase64(begin, decoded, layout)


def _trimmed(octets: Octets, start: int, end: int) -> tuple[int, int]:
    """Return where the text begins and stops between empty lines."""
    while start < end:
        margin = octets[start : min(start + _MARGIN_BYTES, end)]
        kept = margin.lstrip(_LINE_ENDS)
        start += len(margin) - len(kept)
        if kept:
            break
    while start < end:
        margin = octets[max(start, end - _MARGIN_BYTES) : end]
        kept = margin.rstrip(_LINE_ENDS)
        end -= len(margin) - len(kept)
        if kept:
            break
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
