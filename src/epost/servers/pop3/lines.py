"""Lines in and out: commands, answers, and mails behind dots (RFC 1939 section 3)."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from epost.foundation.octets import Octets, excerpt, windows
from epost.servers.pop3.limits import OUTPUT_BYTES_PER_SLICE

END = b".\r\n"
NUMBER_DIGITS_MAX = 10


class Pop3SyntaxError(ValueError):
    """What the client sent is no command; the text tells it why."""


@dataclass(frozen=True, slots=True)
class Command:
    """A word, in upper case, and what follows it."""

    name: str
    rest: bytes = field(default=b"", repr=False)  # may hold a password


def read_command(line: bytes) -> Command:
    """Read a line with its end; raises Pop3SyntaxError and nothing else, whatever the octets."""
    if not line.endswith(b"\r\n") or b"\r" in line[:-2] or b"\0" in line:
        raise Pop3SyntaxError("A line ends with CRLF and holds no other CR and no NUL")
    name, _, rest = line[:-2].partition(b" ")
    if not name.isascii() or not name.decode("ascii").isalnum():
        raise Pop3SyntaxError("A command is a word")
    return Command(name.decode("ascii").upper(), rest)


def read_numbers(rest: bytes, *, fewest: int, most: int) -> list[int]:
    """Read so many numbers with spaces between; raises Pop3SyntaxError."""
    words = rest.split(b" ") if rest else []
    if not fewest <= len(words) <= most:
        raise Pop3SyntaxError("Wrong number of arguments")
    if not all(word.isdigit() and len(word) <= NUMBER_DIGITS_MAX for word in words):
        raise Pop3SyntaxError("A number is expected")
    return [int(word) for word in words]


def ok(text: str) -> bytes:
    """The command was done."""
    return b"+OK %b\r\n" % text.encode("ascii", "replace")


def err(text: str, code: str = "") -> bytes:
    """The command was not done; `code` is one of RFC 2449, RFC 3206 or RFC 6856."""
    shown = f"[{code}] {text}" if code else text
    return b"-ERR %b\r\n" % shown.encode("ascii", "replace")


def stuffed(octets: Octets) -> Iterator[bytes]:
    """A mail as the body of an answer, in pieces; `END` comes behind it.

    A dot is doubled behind every LF, not just behind CRLF: to a client that takes a bare LF for the
    end of a line, a mail could otherwise pass for the end of the answer and the next one.
    """
    is_line_start = True
    for start in range(0, len(octets), OUTPUT_BYTES_PER_SLICE):
        piece = octets[start : start + OUTPUT_BYTES_PER_SLICE]
        if is_line_start and piece.startswith(b"."):
            yield b"."
        yield piece.replace(b"\n.", b"\n..")
        is_line_start = piece.endswith(b"\n")
    if octets[-2:] != b"\r\n":
        yield b"\r\n"


def top(octets: Octets, header_size: int, lines: int) -> Octets:
    """The header block with its empty line, and the first lines of the body (RFC 1939 TOP)."""
    at = header_size
    for window in windows(octets, header_size):
        end = 0
        while lines and (found := window.find(b"\n", end)) >= 0:
            end, lines = found + 1, lines - 1
        if not lines:
            return excerpt(octets, 0, at + end)
        at += len(window)
    return octets
