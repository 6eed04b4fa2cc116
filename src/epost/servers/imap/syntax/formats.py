"""Strings and numbers in responses (RFC 3501 section 4)."""

import re

from epost.apps.mail.renditions.rendering import nstring, string

__all__ = ["astring", "literal", "nstring", "resp_text", "string"]

_PLAIN = re.compile(rb"[A-Za-z0-9!#$&'+,\-./:;<=>?@^_`|}~]+\Z")
_UNSHOWN = re.compile("[^ -~]")


def literal(value: bytes) -> bytes:
    """A literal; the form for large values, as nothing in it is looked at."""
    return b"{%d}\r\n%b" % (len(value), value)


def astring(value: bytes) -> bytes:
    """An atom where possible, else a string."""
    if _PLAIN.match(value) and value.upper() != b"NIL":
        return value
    return string(value)


def quoted_utf8(text: str) -> bytes:
    """A quoted string beyond ASCII, for clients that accept it (RFC 6855); one line of text."""
    return b'"' + text.encode("utf-8").replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def resp_text(text: str) -> bytes:
    """Human text for the end of a line: one line of ASCII, never empty."""
    return _UNSHOWN.sub("?", text).encode("ascii") or b"-"
