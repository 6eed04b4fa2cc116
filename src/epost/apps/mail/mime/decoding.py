"""Undoes the transfer encodings of MIME (RFC 2045 6)."""

import binascii

from epost.apps.mail.mime.headers import decode_text
from epost.apps.mail.mime.structure import Part
from epost.foundation.octets import Octets

IDENTITIES = frozenset({"7bit", "8bit", "binary"})
ENCODINGS = IDENTITIES | {"base64", "quoted-printable"}

_ENCODED_PER_DECODED_MAX = 4
_BASE64 = bytes(range(ord("A"), ord("Z") + 1)) + bytes(range(ord("a"), ord("z") + 1))
_NOT_BASE64 = bytes(set(range(256)) - set(_BASE64 + b"0123456789+/"))


def decoded(encoded: bytes, encoding: str) -> bytes:
    """Undo a transfer encoding as far as it can be undone; unknown ones are left as they are."""
    if encoding == "quoted-printable":
        return binascii.a2b_qp(_without_line_tails(encoded))
    if encoding == "base64":
        digits = encoded.translate(None, _NOT_BASE64)
        usable = digits[: len(digits) - (len(digits) % 4 == 1)]
        return binascii.a2b_base64(usable + b"=" * (-len(usable) % 4))
    return encoded


def _without_line_tails(encoded: bytes) -> bytes:
    """White space at the end of a line was added on the way (RFC 2045 6.7 (3))."""
    if b" \n" not in encoded and b" \r" not in encoded and b"\t" not in encoded:
        return encoded
    lines = encoded.split(b"\n")
    return b"\n".join(
        line[:-1].rstrip(b" \t") + b"\r" if line.endswith(b"\r") else line.rstrip(b" \t")
        for line in lines
    )


def leaf_text(octets: Octets, part: Part, characters_max: int) -> str:
    """The text of a part without children, about as much of it as is asked for."""
    encoded = part.body.cut(octets, characters_max * _ENCODED_PER_DECODED_MAX)
    raw = decoded(encoded, part.content.encoding)
    text = decode_text(raw, part.content.charset)
    return raw.decode("utf-8", "replace") if text is None else text
