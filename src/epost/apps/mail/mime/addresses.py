"""Address lists (RFC 5322 section 3.4), read for IMAP's ENVELOPE: tolerant and linear.

Display names are given without quotes and comments, encoded words left as they are.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from epost.apps.mail.mime.headers import VALUE_CHARACTERS_MAX

_TOKEN = re.compile(
    r'(?P<quoted>"(?:[^"\\]|\\.)*(?:"|\\?\Z))'
    r"|(?P<literal>\[[^\[\]]*(?:\]|\Z))"
    r"|(?P<special>[<>,;:@()])"
    r"|(?P<space>\s+)"
    r'|(?P<atom>[^\s"\[<>,;:@()]+)'
    r"|(?P<other>.)",
    re.DOTALL,
)
TEXTS_REMEMBERED_MAX = 512
"""The same few people write and are written to, and each From is read several times."""
REMEMBERED_CHARACTERS_MAX = 256
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class MailboxAddress:
    """One mailbox; `domain` is empty if the list names none, `name` if it has no display name."""

    name: str
    local_part: str
    domain: str
    route: str = ""  # the obsolete source route, e.g. "@a,@b"


@dataclass(frozen=True, slots=True)
class GroupStart:
    """The name before a group's members (`friends: a@x, b@y;`)."""

    name: str


@dataclass(frozen=True, slots=True)
class GroupEnd:
    """The semicolon after a group's members."""


AddressItem = MailboxAddress | GroupStart | GroupEnd


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str


def read_addresses(text: str) -> tuple[AddressItem, ...]:
    """Read the value of From, To, Cc and their like; what makes no sense is left out."""
    if len(text) <= REMEMBERED_CHARACTERS_MAX:
        return _read_short(text)
    return _read(text[:VALUE_CHARACTERS_MAX])


def _read(text: str) -> tuple[AddressItem, ...]:
    return tuple(_AddressReader(_tokens(text)).items())


_read_short = lru_cache(maxsize=TEXTS_REMEMBERED_MAX)(_read)


def mailboxes(text: str) -> tuple[MailboxAddress, ...]:
    """Return only the mailboxes of an address list, those within groups included."""
    return tuple(item for item in read_addresses(text) if isinstance(item, MailboxAddress))


def _tokens(text: str) -> Iterator[_Token]:
    """Cut a text into tokens; comments become tokens of their own (they nest)."""
    comment_depth = 0
    comment: list[str] = []
    for match in _TOKEN.finditer(text):
        kind, word = match.lastgroup or "other", match[0]
        if word == "(" or comment_depth:
            comment_depth += (word == "(") - (word == ")")
            comment.append(word)
            if comment_depth == 0:
                yield _Token("comment", "".join(comment)[1:-1])
                comment = []
        elif kind == "quoted":
            is_closed = len(word) > 1 and word.endswith('"')
            yield _Token(kind, _QUOTED_PAIR.sub(r"\1", word[1:-1] if is_closed else word[1:]))
        else:
            yield _Token(kind, word)


class _AddressReader:
    """Collects the words of one address until something ends it."""

    def __init__(self, tokens: Iterator[_Token]) -> None:
        self._tokens = tokens
        self._is_in_group = False
        self._begin_address()

    def _begin_address(self) -> None:
        self._words: list[_Token] = []  # outside of angle brackets: the name, or a bare address
        self._comment = ""
        self._angle: list[_Token] = []  # within them: the address
        self._has_angle = False
        self._is_in_angle = False

    def items(self) -> Iterator[AddressItem]:
        for token in self._tokens:
            match token:
                case _Token("special", ",") if self._is_in_route():
                    self._take(token)
                case _Token("special", "," | ";" as end):
                    yield from self._finish_address()
                    if end == ";" and self._is_in_group:
                        self._is_in_group = False
                        yield GroupEnd()
                case _Token("special", ":") if not (self._is_in_group or self._is_in_angle):
                    yield GroupStart(_phrase(self._words))
                    self._is_in_group = True
                    self._begin_address()
                case _:
                    self._take(token)
        yield from self._finish_address()
        if self._is_in_group:
            yield GroupEnd()

    def _take(self, token: _Token) -> None:
        if token.kind == "comment":
            self._comment = self._comment or token.text.strip()
        elif token == _Token("special", "<"):
            self._angle = []
            self._has_angle = self._is_in_angle = True
        elif token == _Token("special", ">"):
            self._is_in_angle = False
        elif self._is_in_angle:
            self._angle.append(token)
        else:
            self._words.append(token)

    def _is_in_route(self) -> bool:
        """Whether a comma belongs to an obsolete source route, `<@a,@b:c@d>`."""
        return self._is_in_angle and bool(self._angle) and self._angle[0].text == "@"

    def _finish_address(self) -> Iterator[MailboxAddress]:
        if self._has_angle:
            name = _phrase(self._words) or self._comment
            yield from _mailbox(name, *_cut_route(self._angle))
        elif any(word.kind != "space" for word in self._words):
            yield from _mailbox(self._comment, self._words)
        self._begin_address()


def _phrase(words: list[_Token]) -> str:
    """Join a display name, one space between its words."""
    text = "".join(" " if word.kind == "space" else word.text for word in words)
    return " ".join(text.split())


def _cut_route(words: list[_Token]) -> tuple[list[_Token], str]:
    """Drop white space; return the address and the source route before it (RFC 5322 4.4)."""
    inner = [word for word in words if word.kind != "space"]
    colon = _Token("special", ":")
    if not inner or inner[0].text != "@" or colon not in inner:
        return inner, ""
    end = inner.index(colon)
    return inner[end + 1 :], "".join(word.text for word in inner[:end])


def _mailbox(name: str, words: list[_Token], route: str = "") -> Iterator[MailboxAddress]:
    """Split an address at its last `@`; nothing at all yields nothing."""
    at_signs = [place for place, word in enumerate(words) if word == _Token("special", "@")]
    split_at = at_signs[-1] if at_signs else len(words)
    local_part = "".join(word.text for word in words[:split_at]).strip()
    domain = "".join(word.text for word in words[split_at + 1 :] if word.kind != "space")
    if local_part or domain or name:
        yield MailboxAddress(name, local_part, domain, route)
