"""Tolerant access to header fields (RFC 5322, RFC 6532, RFC 2047): never raises, always linear.

Text is UTF-8; octets that are not are kept as surrogate escapes, so that
`text.encode("utf-8", "surrogateescape")` gives back what stood in the mail.
"""

import base64
import binascii
import codecs
import email.utils
import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from epost.apps.mail.mailbox import MailTime

HEADER_BYTES_READ_MAX = 512 * 1024  # fields beyond are stored and shown, but not interpreted
FIELDS_READ_MAX = 5_000
CONTENT_FIELDS_READ_MAX = 100
VALUE_CHARACTERS_MAX = 64 * 1024
DATE_CHARACTERS_MAX = 256
MESSAGE_IDS_MAX = 1_000

_VALUE = rb"[ \t]*:(?P<value>[^\n]*(?:\n[ \t][^\n]*)*)"
_FIELD = re.compile(rb"^(?P<name>[!-9;-~]{1,128})" + _VALUE, re.MULTILINE)
_CONTENT_FIELD = re.compile(rb"(?i)^(?P<name>content-[a-z0-9-]{2,60})" + _VALUE, re.MULTILINE)
_LINE_ENDS = re.compile(r"[\r\n\x00]")
_ENCODED_WORD = re.compile(
    r"=\?(?P<charset>[A-Za-z0-9_.:+-]{1,64})(?:\*[A-Za-z0-9-]{1,32})?\?"
    r"(?P<encoding>[BbQq])\?(?P<text>[^?\s]{0,2048})\?="
)
_COMMENT = re.compile(r"\([^()]*\)")
_SPACED_COLON = re.compile(r"[ \t]*:[ \t]*")
_MESSAGE_ID = re.compile(r"<[^<>\s]{1,998}>")

# Codecs of Python that are no charsets of mail; punycode takes quadratic time.
_NOT_CHARSETS = frozenset({"punycode", "idna", "unicode-escape", "raw-unicode-escape", "undefined"})


@dataclass(frozen=True, slots=True)
class HeaderField:
    """One field: the name in lower case, the value unfolded and stripped."""

    name: str
    value: str


class HeaderFields:
    """The fields of one header block, in order."""

    def __init__(self, fields: tuple[HeaderField, ...]) -> None:
        self._fields = fields
        self._first: dict[str, str] = {}
        for field in fields:
            self._first.setdefault(field.name, field.value)

    def __iter__(self) -> Iterator[HeaderField]:
        return iter(self._fields)

    def first(self, name: str) -> str | None:
        """Return the value of the first field of that (lower-case) name."""
        return self._first.get(name)

    def every(self, name: str) -> tuple[str, ...]:
        """Return the values of all fields of that (lower-case) name."""
        return tuple(field.value for field in self._fields if field.name == name)


def read_fields(block: bytes) -> HeaderFields:
    """Read a header block; lines that are no field are passed over."""
    return _read(_FIELD, block, FIELDS_READ_MAX)


def read_content_fields(block: bytes) -> HeaderFields:
    """Read only the Content-* fields of a header block."""
    return _read(_CONTENT_FIELD, block, CONTENT_FIELDS_READ_MAX)


def read_first_values(block: bytes, names: frozenset[str]) -> Mapping[str, str]:
    """Read the first field of each of these (lower-case) names, and pass over all else.

    A fifth of the work of `read_fields`, for those who want little of very many headers.
    """
    found: dict[str, str] = {}
    lines = b"\n" + block[:HEADER_BYTES_READ_MAX]
    for name, value in itertools.islice(_named(names).findall(lines), FIELDS_READ_MAX):
        found.setdefault(name.decode("ascii").lower(), unfold(value))
    return found


@lru_cache(maxsize=64)
def _named(names: frozenset[str]) -> re.Pattern[bytes]:
    """Looks at the first letter before it tries names: there are many lines and few of them."""
    letters = "".join(sorted({re.escape(name[:1]) for name in names}))
    either = "|".join(map(re.escape, sorted(names)))
    field = rf"\n(?=[{letters}])(?P<name>{either})"
    return re.compile(field.encode("ascii") + _VALUE, re.IGNORECASE)


def _read(grammar: re.Pattern[bytes], block: bytes, fields_max: int) -> HeaderFields:
    found = itertools.islice(grammar.finditer(block, 0, HEADER_BYTES_READ_MAX), fields_max)
    return HeaderFields(
        tuple(
            HeaderField(match["name"].decode("ascii").lower(), unfold(match["value"]))
            for match in found
        )
    )


def unfold(value: bytes) -> str:
    """Return a field's value as one line of bounded length (RFC 5322 section 2.2.3)."""
    text = value[:VALUE_CHARACTERS_MAX].decode("utf-8", "surrogateescape")
    text = text.strip(" \t\r\n\0")
    return text if text.isprintable() else _LINE_ENDS.sub("", text)  # as a rule none is within


def decode_words(text: str) -> str:
    """Decode the encoded words of a text (RFC 2047); what cannot be decoded stays as it is.

    White space between two encoded words is not part of the text (section 6.2).
    """
    pieces: list[str] = []
    after_word = 0  # end of the last decoded word; 0: none yet
    copied_to = 0
    for match in _ENCODED_WORD.finditer(text, 0, VALUE_CHARACTERS_MAX):
        decoded = _decode_word(match)
        if decoded is None:
            continue
        between = text[copied_to : match.start()]
        if not (after_word and after_word == copied_to and not between.strip(" \t")):
            pieces.append(between)
        pieces.append(decoded)
        after_word = copied_to = match.end()
    return "".join(pieces) + text[copied_to:]


def _decode_word(match: re.Match[str]) -> str | None:
    text = match["text"]
    try:
        if match["encoding"] in "Bb":
            octets = base64.b64decode(text + "=" * (-len(text) % 4))
        else:
            octets = binascii.a2b_qp(text.encode("utf-8", "surrogateescape"), header=True)
    except (binascii.Error, ValueError):
        return None
    return decode_text(octets, match["charset"])


def decode_text(octets: bytes, charset: str) -> str | None:
    """Decode octets in a named charset, replacing what is wrong; None for an unknown charset."""
    try:
        codec = codecs.lookup(charset)
        if codec.name in _NOT_CHARSETS:
            return None
        return octets.decode(charset, "replace")
    except (LookupError, ValueError):  # unknown, not a text encoding, or a codec that gives up
        return None


def read_date(text: str) -> MailTime | None:
    """Read a Date: value (RFC 5322 section 3.3 and the obsolete forms); None if unreadable."""
    plain = _SPACED_COLON.sub(":", _COMMENT.sub("", text[:DATE_CHARACTERS_MAX]))
    try:
        fields = email.utils.parsedate_tz(plain)
        if fields is None:
            return None
        seconds = email.utils.mktime_tz((*fields[:9], fields[9] or 0))
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    zone_minutes = (fields[9] or 0) // 60
    if not (-(10**12) < seconds < 10**12 and abs(zone_minutes) < 24 * 60):
        return None
    return MailTime(int(seconds), zone_minutes)


def read_message_ids(text: str) -> tuple[str, ...]:
    """Return the message ids of a Message-ID, In-Reply-To or References value, with brackets."""
    found = itertools.islice(_MESSAGE_ID.finditer(text), MESSAGE_IDS_MAX)
    return tuple(match[0] for match in found)
