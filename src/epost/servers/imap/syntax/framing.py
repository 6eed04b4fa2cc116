"""Cuts a byte stream into commands: lines joined by their literals (RFC 3501 4.3, RFC 7888).

A command that breaks a rule is *poisoned*: its bytes are still consumed to their end, so that the
next command is found, and the refusal is reported in its place.
"""

import re
from dataclasses import dataclass, field

from epost.foundation.octets import Octets
from epost.servers.imap.limits import LITERAL_IN_MEMORY_BYTES_MAX, ImapLimits

_LITERAL = re.compile(rb"(~?)\{([0-9]{1,10})(\+?)\}\Z")
_TAG = re.compile(rb"([\x21#$&',\-./0-9:;<=>?@A-Z\[\]^_`a-z|}~]+) ")
_COMMAND_NAME = re.compile(rb"[^ ]+ (?:UID )?([A-Za-z]+)", re.IGNORECASE)
_TAKING_MAILS = (b"APPEND", b"REPLACE")
_FIRST_LINE_BYTES = 512


@dataclass(frozen=True, slots=True)
class Frame:
    """A whole command: its lines, joined by CRLF where a literal stood, and the literals."""

    text: bytes
    literals: tuple[Octets, ...] = ()


@dataclass(frozen=True, slots=True)
class LiteralAwaited:
    """The client waits for a continuation request before it sends a literal."""


@dataclass(frozen=True, slots=True)
class LongLiteral:
    """A mail that is too long to be held here: `take` its octets, then `put_literal`."""

    size: int
    is_awaited: bool  # the client waits for a continuation request


@dataclass(frozen=True, slots=True)
class Refused:
    """A command that cannot be taken; the connection goes on. With a code it is a NO, else BAD."""

    tag: bytes
    text: str
    code: bytes = b""


@dataclass(frozen=True, slots=True)
class Hopeless:
    """The stream can no longer be followed: say BYE and hang up."""

    text: str


FrameEvent = Frame | LiteralAwaited | LongLiteral | Refused | Hopeless


@dataclass(slots=True)
class _Command:
    """The command being read."""

    text: bytearray = field(default_factory=bytearray)
    literals: list[Octets] = field(default_factory=list)
    literal_bytes: int = 0  # in memory
    is_binary: bool = False  # the literal being read is a literal8 (RFC 3516)
    poison: Refused | None = None

    def tag(self) -> bytes:
        match = _TAG.match(self.text)
        return bytes(match[1]) if match else b"*"

    def is_append(self) -> bool:
        return self._name() in _TAKING_MAILS

    def takes_binary(self) -> bool:
        """Whether it may bring octets of any kind (RFC 3516 4.4, RFC 5464 4.3)."""
        return self.is_append() or self._name() == b"SETMETADATA"

    def _name(self) -> bytes:
        match = _COMMAND_NAME.match(self.text)
        return match[1].upper() if match else b""

    def refuse(self, text: str, code: bytes = b"") -> None:
        """Poison the command; the first reason stays."""
        if self.poison is None:
            self.poison = Refused(self.tag(), text, code)
            self.literals.clear()


class Framer:
    """Feed it with `receive`, then ask `next_event` until it returns None.

    What it buffers is bounded as long as the caller does so before it reads more.
    """

    def __init__(self, limits: ImapLimits) -> None:
        self.is_logged_in = False
        self._limits = limits
        self._buffer = bytearray()
        self._scanned = 0  # where to go on looking for the end of the line
        self._command = _Command()
        self._literal: int | None = None  # size of the literal being read
        self._skipping = 0  # octets of a refused literal still to come

    def receive(self, data: bytes) -> None:
        """Take what came from the client, cut anywhere."""
        self._buffer += data

    def discard(self) -> None:
        """Forget everything unread: plaintext sent ahead of TLS (RFC 3501 6.2.1) is not heard."""
        self._buffer.clear()
        self._scanned = 0

    def start_of_line(self) -> bytes:
        """The first line as far as it is here, for a look at what protocol the peer speaks."""
        return bytes(self._buffer[:_FIRST_LINE_BYTES]).split(b"\n", 1)[0]

    def next_event(self) -> FrameEvent | None:
        """The next command, or what it needs; None if more bytes must be received first."""
        while True:
            if self._skipping and not self._skip():
                return None
            if self._literal is not None and not self._take_literal(self._literal):
                return None
            line = self.next_line()
            if line is None or isinstance(line, Hopeless):
                return line
            event = self._take_line(line)
            if event is not None:
                return event

    def next_line(self) -> bytes | Hopeless | None:
        """The next line with its line end; only for answers to a continuation request."""
        end = self._buffer.find(b"\n", self._scanned)
        length = len(self._buffer) if end < 0 else end
        if length + len(self._command.text) > self._limits.line_bytes_max:
            return Hopeless("Command line is too long")
        if end < 0:
            self._scanned = len(self._buffer)
            return None
        line = bytes(self._buffer[: end + 1])
        del self._buffer[: end + 1]
        self._scanned = 0
        return line

    def _take_line(self, line: bytes) -> FrameEvent | None:
        command = self._command
        if command.text:
            command.text += b"\r\n"
        text = line[:-2] if line.endswith(b"\r\n") else line[:-1]
        command.text += text
        if not line.endswith(b"\r\n") or b"\r" in text or b"\0" in text:
            command.refuse("A line ends with CRLF and holds no other CR and no NUL")
        literal = _LITERAL.search(text) if text.endswith(b"}") else None
        if literal is None:
            return self._finish()
        return self._announce_literal(int(literal[2]), literal[1] + literal[3])

    def _announce_literal(self, size: int, marks: bytes) -> FrameEvent | None:
        command, is_unasked = self._command, marks.endswith(b"+")
        command.is_binary = marks.startswith(b"~")
        if command.is_binary and not command.takes_binary():
            command.refuse("Only APPEND takes binary literals")
        elif not self._allows(size):
            command.refuse(f"Literal of {size} octets is too big", b"TOOBIG")
        if command.poison is None:
            if size > LITERAL_IN_MEMORY_BYTES_MAX:
                return LongLiteral(size, not is_unasked)
            self._literal = size
            return None if is_unasked else LiteralAwaited()
        if not is_unasked:  # the client does not send it when it gets a tagged answer instead
            return self._finish()
        skippable = self._limits.skipped_literal_bytes_max if self.is_logged_in else 0
        if size > max(skippable, self._limits.login_literal_bytes_max):
            return Hopeless("Literal is too big")
        self._skipping = size
        return None

    def _allows(self, size: int) -> bool:
        """Whether a literal fits, alone and with those before it."""
        limits, command = self._limits, self._command
        if not self.is_logged_in:
            one = all_ = limits.login_literal_bytes_max
        elif command.is_append():
            one, all_ = limits.mail_bytes_max, limits.append_bytes_max
        else:
            one = all_ = limits.literal_bytes_max
        return (
            size <= one
            and (size > LITERAL_IN_MEMORY_BYTES_MAX or command.literal_bytes + size <= all_)
            and len(command.literals) < limits.literals_per_command_max
        )

    def _take_literal(self, size: int) -> bool:
        if len(self._buffer) < size:
            return False
        literal = bytes(memoryview(self._buffer)[:size])
        del self._buffer[:size]
        self._literal = None
        self._check_octets(literal)
        self.put_literal(literal)
        return True

    def take(self, size: int) -> bytes:
        """Return octets of a LongLiteral that are here, at most `size`."""
        piece = bytes(memoryview(self._buffer)[:size])
        del self._buffer[:size]
        self._check_octets(piece)
        return piece

    def put_literal(self, literal: Octets) -> None:
        """Go on behind a literal."""
        if isinstance(literal, bytes):
            self._command.literal_bytes += len(literal)
        self._command.literals.append(literal)

    def refuse(self, text: str, code: bytes) -> None:
        """Answer the command with a NO when it is here whole."""
        self._command.refuse(text, code)

    def _check_octets(self, octets: bytes) -> None:
        if b"\0" in octets and not self._command.is_binary:  # CHAR8 of the grammar
            self._command.refuse("A literal holds no NUL")

    def _skip(self) -> bool:
        skipped = min(self._skipping, len(self._buffer))
        del self._buffer[:skipped]
        self._skipping -= skipped
        return self._skipping == 0

    def _finish(self) -> Frame | Refused:
        command, self._command = self._command, _Command()
        if command.poison is not None:
            return command.poison
        return Frame(bytes(command.text), tuple(command.literals))
