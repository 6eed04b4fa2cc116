"""Where a mail may hold octets that are no lines: in parts labelled binary (RFC 3030).

Everything else ends its lines with CRLF and has no NUL. Programs that disagree about where a line
ends would see another header, or another mail.
"""

from __future__ import annotations

from epost.apps.mail.mime.structure import Part
from epost.foundation.errors import RefusedError


def require_lines(octets: bytes, mail: Part) -> None:
    """Raise RefusedError for a bare CR, a bare LF or a NUL outside the parts labelled binary."""
    start = 0
    for leaf in mail.leaves():
        if leaf.content.encoding == "binary":
            _require_lines(octets, start, leaf.body.start)
            start = leaf.body.end
    _require_lines(octets, start, len(octets))


def _require_lines(octets: bytes, start: int, end: int) -> None:
    line_ends = octets.count(b"\r\n", start, end)
    if octets.count(b"\r", start, end) != line_ends or octets.count(b"\n", start, end) != line_ends:
        raise RefusedError("a CR or LF that is not part of a CRLF, outside the binary parts")
    if octets.find(b"\x00", start, end) >= 0:
        raise RefusedError("a NUL octet outside the binary parts")
