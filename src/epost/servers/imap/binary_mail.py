"""Mails with NUL octets in binary parts, which only BINARY can carry (RFC 3516).

They are kept with such parts in base64, so that every FETCH can send them to every client.
"""

import base64
import re

from epost.apps.mail.mime.structure import Part, parse_structure
from epost.foundation.octets import Octets, windows

_BASE64_LINE = 57  # octets that make 76 characters
_ENCODING_FIELD = re.compile(rb"(?im)^content-transfer-encoding[ \t]*:[^\n]*(?:\n[ \t][^\n]*)*\n")


class UnknownEncoding(Exception):  # noqa: N818 - an answer of the protocol: UNKNOWN-CTE
    """Octets that no transfer encoding of ours stands for."""


ENCODED_MAIL_BYTES_MAX = 64 * 1024 * 1024
"""Longer mails with NULs are refused: they would be encoded in memory."""


def without_nul(mail: Octets) -> Octets:
    """Encode binary parts that hold NULs; raises UnknownEncoding for NULs anywhere else."""
    if not any(b"\0" in window for window in windows(mail)):
        return mail
    if len(mail) > ENCODED_MAIL_BYTES_MAX:
        raise UnknownEncoding
    kept = octets = mail[:]
    for part in reversed(list(parse_structure(octets).leaves())):
        if part.content.encoding == "binary" and b"\0" in part.body.cut(octets):
            kept = _encoded(kept, octets, part)
    if b"\0" in kept:
        raise UnknownEncoding
    return kept


def _encoded(kept: bytes, octets: bytes, part: Part) -> bytes:
    """Replace a part, which stands in `kept` where it stood: those behind were done before."""
    body = part.body.cut(octets)
    lines = (
        base64.b64encode(body[at : at + _BASE64_LINE]) + b"\r\n"
        for at in range(0, len(body), _BASE64_LINE)
    )
    header = _ENCODING_FIELD.sub(
        b"Content-Transfer-Encoding: base64\r\n", part.header.cut(octets), count=1
    )
    before, between = kept[: part.header.start], octets[part.header.end : part.body.start]
    return before + header + between + b"".join(lines) + kept[part.body.end :]
