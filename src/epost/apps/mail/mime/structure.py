"""The tree of parts of a mail, by byte offsets (RFC 2045, RFC 2046): any octets have one.

Each multipart splits its own octets by its own boundary, so an outer delimiter always ends what is
inside it (RFC 2046 section 5.1.2). What cannot be taken apart is a leaf. Depth, number of parts and
octets looked at are bounded, so the work is linear in the size of the mail.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum

from epost.apps.mail.mime.content import Content, parameter, read_content
from epost.apps.mail.mime.headers import HEADER_BYTES_READ_MAX, read_content_fields
from epost.foundation.octets import Octets, matches

DEPTH_MAX = 100
PARTS_MAX = 10_000
SCANS_MAX = 32  # how often each octet may be looked at, on average, before parts stay leaves
BOUNDARY_LENGTH_MAX = 256  # RFC 2046 allows 70; some programs write more
DELIMITER_SPACE_MAX = 998  # white space behind a delimiter, which gateways add (RFC 2046 5.1.1)

_HEADER_END = re.compile(rb"\n\r?\n")
_EMPTY_LINE = re.compile(rb"\r?\n")
_UNENCODED = frozenset({"7bit", "8bit", "binary"})
_NESTED_MAILS = frozenset({"message/rfc822", "message/global"})


class PartKind(Enum):
    """What is inside a part."""

    LEAF = "leaf"
    MULTIPART = "multipart"  # the children are its parts, at least one
    MESSAGE = "message"  # the only child is the mail inside


@dataclass(frozen=True, slots=True)
class Span:
    """Octets `start` to `end` (exclusive) of the mail."""

    start: int
    end: int

    def __len__(self) -> int:
        return self.end - self.start

    def cut(self, octets: Octets, limit: int | None = None) -> bytes:
        """Return these octets of the mail, or the first ones of them."""
        end = self.end if limit is None else min(self.end, self.start + limit)
        return octets[self.start : end]


@dataclass(frozen=True, slots=True)
class Part:
    """A mail, or a part of one.

    `header` includes the empty line that ends it; `body` leaves out the line end that belongs to
    the following delimiter. `content.media_type` fits `kind`: a multipart that could not be taken
    apart calls itself text/plain, a nested mail application/octet-stream.
    """

    kind: PartKind
    header: Span
    body: Span
    content: Content
    children: tuple["Part", ...] = ()

    def leaves(self) -> Iterator["Part"]:
        """Yield the leaves below, in the order of the mail."""
        if not self.children:
            yield self
        for child in self.children:
            yield from child.leaves()


def parse_structure(octets: Octets) -> Part:
    """Return the tree of parts of a mail; never raises."""
    return _Parser(octets).part(Span(0, len(octets)), "text/plain", depth=0)


class _Parser:
    def __init__(self, octets: Octets) -> None:
        self._octets = octets
        self._parts_left = PARTS_MAX
        self._scan_budget = SCANS_MAX * len(octets)

    def part(self, region: Span, default_type: str, depth: int) -> Part:
        self._parts_left -= 1
        header = self._header(region)
        body = Span(header.end, region.end)
        readable = header.cut(self._octets, HEADER_BYTES_READ_MAX)
        content = read_content(read_content_fields(readable), default_type)
        leaf = Part(PartKind.LEAF, header, body, content)
        may_go_deeper = depth < DEPTH_MAX and self._parts_left > 0
        if may_go_deeper and self._scan_budget >= len(body):
            if content.media_type.startswith("multipart/"):
                return self._multipart(leaf, depth)
            if content.media_type in _NESTED_MAILS and content.encoding in _UNENCODED:
                nested = self.part(body, "text/plain", depth + 1)
                return replace(leaf, kind=PartKind.MESSAGE, children=(nested,))
        return _as_leaf(leaf)

    def _multipart(self, leaf: Part, depth: int) -> Part:
        digest = leaf.content.media_type == "multipart/digest"  # RFC 2046 section 5.1.5
        default_type = "message/rfc822" if digest else "text/plain"
        regions = self._regions(leaf.body, _boundary(leaf.content))
        children = tuple(self.part(region, default_type, depth + 1) for region in regions)
        if not children:
            return _as_leaf(leaf)
        return replace(leaf, kind=PartKind.MULTIPART, children=children)

    def _header(self, region: Span) -> Span:
        end = self._after_line_end(region.start, region.end)
        if end == region.start:
            found = matches(_HEADER_END, self._octets, region.start, region.end, reach=3)
            end = next((at + match.end() for at, match in found), region.end)
        header = Span(region.start, end)
        self._scan_budget -= len(header)
        return header

    def _regions(self, body: Span, boundary: bytes) -> Iterator[Span]:
        """Yield the octets of each part between the delimiters of a multipart."""
        if not boundary:
            return
        self._scan_budget -= len(body)
        begin = None
        for at, delimiter in _delimiters(self._octets, body, boundary):
            if begin is not None:
                if self._parts_left <= 1:
                    break  # the last part that is allowed takes the rest
                yield Span(begin, max(begin, self._before_line_end(at + delimiter.start())))
            begin = self._after_line_end(at + delimiter.end(), body.end)
            if delimiter[1]:
                return
        if begin is not None:
            yield Span(begin, body.end)

    def _before_line_end(self, newline: int) -> int:
        """Step before the CR that belongs to a line's LF."""
        return newline - 1 if self._octets[newline - 1 : newline] == b"\r" else newline

    def _after_line_end(self, at: int, end: int) -> int:
        """Step over a line end, if there is one."""
        line_end = _EMPTY_LINE.match(self._octets[at : min(at + 2, end)])
        return at + line_end.end() if line_end else at


def _delimiters(
    octets: Octets, body: Span, boundary: bytes
) -> Iterator[tuple[int, re.Match[bytes]]]:
    """Yield the delimiter lines from the LF before them; group 1 is set for the closing one.

    The line end before a delimiter belongs to it; that of the first may end the header.
    """
    space = rb"[ \t]{0,%d}" % DELIMITER_SPACE_MAX
    line = re.compile(rb"\n--" + re.escape(boundary) + rb"(--)?" + space + rb"(?=\r?\n|\Z)")
    reach = len(b"\n----\r\n") + len(boundary) + DELIMITER_SPACE_MAX
    return matches(line, octets, max(0, body.start - 1), body.end, reach=reach)


def _boundary(content: Content) -> bytes:
    text = parameter(content.parameters, "boundary") or ""
    boundary = text.encode("utf-8", "surrogateescape").rstrip()
    return boundary if len(boundary) <= BOUNDARY_LENGTH_MAX else b""


def _as_leaf(part: Part) -> Part:
    """Call a part that stays a leaf by a type that leaves may have."""
    if part.content.media_type.startswith("multipart/"):
        return replace(part, content=replace(part.content, media_type="text/plain", parameters=()))
    if part.content.media_type in _NESTED_MAILS:
        content = replace(part.content, media_type="application/octet-stream", parameters=())
        return replace(part, content=content)
    return part
