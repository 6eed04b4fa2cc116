"""Folder names on the wire: modified UTF-7 (RFC 3501 5.1.3)."""

import base64
import binascii
import re

from epost.servers.imap.syntax.errors import ImpossibleName

_SHIFTED = re.compile("[^\x20-\x7e]+|&")
_ENCODED = re.compile(rb"&([A-Za-z0-9+,]*)-")


def encode(name: str) -> bytes:
    """The only allowed spelling of a name."""
    return _SHIFTED.sub(lambda run: _shift(run[0]), name).encode("ascii")


def decode(wire: bytes) -> str:
    """The name meant; raises ImpossibleName for any spelling that `encode` does not give."""
    try:
        name = b"".join(_parts(wire)).decode("utf-8")
        if encode(name) == wire:
            return name
    except (ValueError, binascii.Error):
        pass
    raise ImpossibleName("Folder name is not modified UTF-7")


def _shift(run: str) -> str:
    if run == "&":
        return "&-"
    text = base64.b64encode(run.encode("utf-16-be")).decode("ascii")
    return "&" + text.rstrip("=").replace("/", ",") + "-"


def _parts(wire: bytes) -> list[bytes]:
    """Alternating plain and encoded stretches, as UTF-8."""
    stretches = _ENCODED.split(wire)
    for index in range(1, len(stretches), 2):
        stretches[index] = _unshift(stretches[index])
    return stretches


def _unshift(code: bytes) -> bytes:
    if not code:
        return b"&"
    padded = code.replace(b",", b"/") + b"=" * (-len(code) % 4)
    return base64.b64decode(padded, validate=True).decode("utf-16-be").encode("utf-8")
