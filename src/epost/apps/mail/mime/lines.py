"""Where a mail may hold octets that are no lines: in parts labelled binary (RFC 3030).

Everything else ends its lines with CRLF and has no NUL. Programs that disagree about where a line
ends would see another header, or another mail.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from epost.apps.mail.mime.structure import Part
from epost.foundation.errors import RefusedError
from epost.foundation.octets import WINDOW_BYTES, Octets

_BARE = re.compile(rb"\r(?!\n)|(?<!\r)\n")


def require_lines(octets: Octets, mail: Part) -> None:
    """Raise RefusedError for a bare CR, a bare LF or a NUL outside the parts labelled binary."""
    start = 0
    for leaf in mail.leaves():
        if leaf.content.encoding == "binary":
            _require_lines(octets, start, leaf.body.start)
            start = leaf.body.end
    _require_lines(octets, start, len(octets))


def _require_lines(octets: Octets, start: int, end: int) -> None:
    for block in _blocks(octets, start, end):
        if _BARE.search(block):
            raise RefusedError("a CR or LF that is not part of a CRLF, outside the binary parts")
        if b"\x00" in block:
            raise RefusedError("a NUL octet outside the binary parts")


def _blocks(octets: Octets, start: int, end: int) -> Iterator[bytes]:
    """Yield the octets piece by piece, no CRLF cut in two."""
    while start < end:
        block = octets[start : min(start + WINDOW_BYTES, end)]
        if block.endswith(b"\r") and start + len(block) < end:
            block = block[:-1]
        start += len(block)
        yield block
