"""Reads the tokens of one command, left to right (RFC 3501 section 9)."""

import base64
import binascii
import re
from collections.abc import Callable
from typing import TypeVar

from epost.foundation.octets import Octets
from epost.servers.imap.syntax.errors import ImapSyntaxError
from epost.servers.imap.syntax.framing import Frame

T = TypeVar("T")

_ATOM = re.compile(rb"[!#$&'+,\-./0-9:;<=>?@A-Z\[\]^_`a-z|}~]+")
# RFC 3501 leaves "]" out of atoms in responses only: it is no special in what clients send.
_ASTRING = _ATOM
_PATTERN = re.compile(rb"[!#$%&'*+,\-./0-9:;<=>?@A-Z\[\]^_`a-z|}~\x80-\xff]+")
_QUOTED = re.compile(rb'"((?:[^"\\\r\n\0]|\\["\\])*)"')
_ESCAPED = re.compile(rb'\\(["\\])')
_LITERAL = re.compile(rb"~?\{[0-9]{1,10}\+?\}\r\n")
_NUMBER = re.compile(rb"[0-9]{1,20}")
_NIL = re.compile(rb"[Nn][Ii][Ll](?=[ )]|\Z)")
_BASE64 = re.compile(rb"[A-Za-z0-9+/]*={0,2}")
_TAG = re.compile(rb"[!#$&',\-./0-9:;<=>?@A-Z\[\]^_`a-z|}~]+")

NUMBER_MAX = 2**32 - 1
NUMBER64_MAX = 2**63 - 1


class Cursor:
    """A position in a frame; every method takes one token or raises ImapSyntaxError."""

    def __init__(self, frame: Frame, *, is_utf8: bool = False) -> None:
        """`is_utf8`: the client writes folder names in UTF-8 (RFC 6855, RFC 9051)."""
        self.is_utf8 = is_utf8
        self._text = frame.text
        self._at = 0
        self._literals = iter(frame.literals)

    def at_end(self) -> bool:
        return self._at == len(self._text)

    def at(self, token: bytes) -> bool:
        """Whether `token` comes next; takes nothing."""
        return self._text.startswith(token, self._at)

    def at_digit(self) -> bool:
        return self._text[self._at : self._at + 1].isdigit()

    def at_word(self, word: bytes) -> bool:
        """Whether a word of the protocol comes next, followed by a space; takes nothing."""
        following = self._text[self._at : self._at + len(word) + 1]
        return following.upper() == word + b" "

    def at_option(self, option: bytes) -> bool:
        """Whether a word of the protocol with what surrounds it comes next; takes nothing."""
        return self._text[self._at : self._at + len(option)].upper() == option

    def skip(self, token: bytes) -> bool:
        """Take `token` if it comes next."""
        found = self.at(token)
        if found:
            self._at += len(token)
        return found

    def skip_match(self, pattern: "re.Pattern[bytes]") -> bool:
        """Take what `pattern` matches, if it does."""
        found = pattern.match(self._text, self._at)
        if found is not None:
            self._at = found.end()
        return found is not None

    def expect(self, token: bytes) -> None:
        if not self.skip(token):
            raise ImapSyntaxError(f"{_shown(token)} expected")

    def space(self) -> None:
        self.expect(b" ")

    def end(self) -> None:
        if not self.at_end():
            raise ImapSyntaxError("Command is too long or has a superfluous space")

    def match(self, pattern: "re.Pattern[bytes]", name: str) -> bytes:
        """Take what `pattern` matches; `name` tells the client what was expected."""
        return self.groups(pattern, name)[0]

    def groups(self, pattern: "re.Pattern[bytes]", name: str) -> "re.Match[bytes]":
        """Like `match`, for a pattern with groups."""
        found = pattern.match(self._text, self._at)
        if found is None:
            raise ImapSyntaxError(f"{name} expected")
        self._at = found.end()
        return found

    def tag(self) -> bytes:
        return self.match(_TAG, "Tag")

    def atom(self) -> bytes:
        return self.match(_ATOM, "Atom")

    def word(self) -> bytes:
        """An atom of the protocol itself, in upper case."""
        return self.atom().upper()

    def number(self, maximum: int = NUMBER_MAX) -> int:
        value = int(self.match(_NUMBER, "Number"))
        if value > maximum:
            raise ImapSyntaxError("Number is too big")
        return value

    def string(self) -> bytes:
        if self.at(b"{"):
            return self.literal()
        return _ESCAPED.sub(rb"\1", self.match(_QUOTED, "String")[1:-1])

    def literal(self) -> bytes:
        literal = self.long_literal()
        if not isinstance(literal, bytes):
            raise ImapSyntaxError("Only mails are that long")
        return literal

    def long_literal(self) -> Octets:
        """A literal that may be a whole mail."""
        self.match(_LITERAL, "Literal")
        literal = next(self._literals, None)
        if literal is None:
            raise ImapSyntaxError("Literal expected")
        return literal

    def astring(self) -> bytes:
        if self.at(b'"') or self.at(b"{"):
            return self.string()
        return self.match(_ASTRING, "String")

    def list_pattern(self) -> bytes:
        """A folder name or a pattern with % and *."""
        if self.at(b'"') or self.at(b"{"):
            return self.string()
        return self.match(_PATTERN, "Folder pattern")

    def nil(self) -> bool:
        """Take NIL if it comes next."""
        found = _NIL.match(self._text, self._at)
        if found is not None:
            self._at = found.end()
        return found is not None

    def nstring(self) -> bytes | None:
        return None if self.nil() else self.string()

    def base64(self) -> bytes:
        """The base64 of SASL; "=" alone is the empty response (RFC 4959)."""
        text = self.match(_BASE64, "Base64")
        try:
            return b"" if text == b"=" else base64.b64decode(text, validate=True)
        except binascii.Error as error:
            raise ImapSyntaxError("Base64 expected") from error

    def text(self) -> str:
        """An astring in UTF-8, e.g. a login name."""
        try:
            return self.astring().decode("utf-8")
        except UnicodeDecodeError as error:
            raise ImapSyntaxError("String is not UTF-8") from error

    def listed(self, item: Callable[[], T]) -> list[T]:
        """One or more items in parentheses, with a space between them."""
        self.expect(b"(")
        items = [item()]
        while not self.skip(b")"):
            self.space()
            items.append(item())
        return items

    def listed_or_none(self, item: Callable[[], T]) -> list[T]:
        """Like `listed`, but the list may be empty."""
        return [] if self.skip(b"()") else self.listed(item)


def _shown(token: bytes) -> str:
    return "Space" if token == b" " else token.decode("ascii")
