"""Flags on the wire (RFC 3501 2.3.2)."""

import re
from collections.abc import Iterable
from functools import lru_cache

from epost.apps.mail.mailbox import SYSTEM_FLAGS
from epost.servers.imap.limits import KEYWORD_LENGTH_MAX
from epost.servers.imap.syntax.cursor import Cursor
from epost.servers.imap.syntax.errors import ImapSyntaxError

RECENT = "\\Recent"

_FLAG = re.compile(rb"\\?[!#$&'+,\-./0-9:;<=>?@A-Z\[^_`a-z|}~]+")
_SYSTEM_FLAGS = {flag.lower(): flag for flag in (*SYSTEM_FLAGS, RECENT)}


def flag(cursor: Cursor) -> str:
    """Take a flag; system flags come back in their usual spelling."""
    text = cursor.match(_FLAG, "Flag").decode("ascii")
    if text.startswith("\\"):
        if text.lower() not in _SYSTEM_FLAGS:
            raise ImapSyntaxError(f"{text} is not a flag of this server")
        return _SYSTEM_FLAGS[text.lower()]
    return keyword_of(text)


def keyword(cursor: Cursor) -> str:
    """Take a flag that is not a system flag."""
    return keyword_of(cursor.atom().decode("ascii"))


def keyword_of(text: str) -> str:
    """Check a keyword's length."""
    if len(text) > KEYWORD_LENGTH_MAX:
        raise ImapSyntaxError("Keyword is too long")
    return text


def settable(flags: Iterable[str]) -> frozenset[str]:
    r"""What a client may set: \Recent is ignored, as it belongs to the server."""
    return frozenset(flags) - {RECENT}


def spelled_as(flags: frozenset[str], known: Iterable[str]) -> frozenset[str]:
    """Keywords in the spelling that is already in use: they are equal without case."""
    return spelled_alike(flags, spellings_of(known))


def spellings_of(known: Iterable[str]) -> dict[str, str]:
    """The spellings in use, by keyword in lower case."""
    return {keyword.lower(): keyword for keyword in known}


def spelled_alike(flags: frozenset[str], spellings: dict[str, str]) -> frozenset[str]:
    """Keywords in the spellings that are in use; those of new ones are added."""
    return frozenset(spellings.setdefault(name.lower(), name) for name in sorted(flags))


@lru_cache(maxsize=4096)
def flag_list(flags: frozenset[str]) -> bytes:
    """Flags in parentheses, always in the same order."""
    return b"(" + " ".join(sorted(flags)).encode("ascii") + b")"
