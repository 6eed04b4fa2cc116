"""The base subject: a subject without "Re:", "(fwd)" and the like (RFC 5256 2.1)."""

import re
import unicodedata

import msgspec

SUBJECT_CHARACTERS_MAX = 1000  # more does not count when subjects are compared

_SPACES = re.compile(r"\s+")
_BLOB = r"\[[^\[\]]*\]\s*"
_BLOB_BEFORE = re.compile(_BLOB)
_REPLY_BEFORE = re.compile(rf"(?:{_BLOB})*(?:re|fwd?)\s*(?:{_BLOB})?:\s*", re.IGNORECASE)
_FORWARDED_AFTER = re.compile(r"\(fwd\)\Z", re.IGNORECASE)
_FORWARDED_AROUND = re.compile(r"\[fwd:(.*)\]\Z", re.IGNORECASE)


class BaseSubject(msgspec.Struct, frozen=True, gc=False):
    """A subject to compare by, and whether it was that of a reply or a forwarded mail."""

    text: str  # case-mapped
    is_reply: bool


def base_subject(decoded: str) -> BaseSubject:
    """Extract it from a subject whose encoded words are decoded."""
    text = _SPACES.sub(" ", decoded[:SUBJECT_CHARACTERS_MAX]).strip()
    is_reply = False
    while True:
        text, was_reply = _without_marks(text)
        is_reply |= was_reply
        around = _FORWARDED_AROUND.match(text)
        if around is None:
            return BaseSubject(case_mapped(text), is_reply)
        text, is_reply = around[1].strip(), True


def case_mapped(text: str) -> str:
    """Texts that are equal by i;unicode-casemap (RFC 5051) become equal, and sort by it."""
    mapped = text.upper()
    return mapped if mapped.isascii() else unicodedata.normalize("NFKD", mapped)


def _without_marks(text: str) -> tuple[str, bool]:
    """Steps 2 to 5 of the RFC."""
    is_reply = False
    while _FORWARDED_AFTER.search(text):
        text, is_reply = text[: -len("(fwd)")].rstrip(), True
    while True:
        reply, blob = _REPLY_BEFORE.match(text), _BLOB_BEFORE.match(text)
        if reply is not None:
            text, is_reply = text[reply.end() :], True
        elif blob is not None and blob.end() < len(text):
            text = text[blob.end() :]
        else:
            return text, is_reply
