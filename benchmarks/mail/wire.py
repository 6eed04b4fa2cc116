"""A thin IMAP and SMTP client for benchmarks, and the mails that it brings.

It reads responses as octets and never parses them: the client must not be what is measured.
"""

from __future__ import annotations

import email.utils
import random
import re
import socket
from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_TEXT = (
    "the of overlay message store replica letter answer meeting budget river garden window paper "
    "station morning report figure signal packet circle stone letterhead folder inbox reply thread"
)
WORDS = _TEXT.split()
NEEDLE = b"needleword"
FLAGS = (b"()", b"(\\Seen)", b"(\\Seen)", b"(\\Seen \\Flagged)", b"(\\Seen \\Answered)")


@dataclass(frozen=True)
class Account:
    """Where a mailbox is served, and its password."""

    port: int
    user: str
    password: str
    host: str = "127.0.0.1"


class Imap:
    """One logged-in connection."""

    def __init__(self, account: Account, folder: str | None = None) -> None:
        self.socket = socket.create_connection((account.host, account.port), timeout=600)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self._buffer = b""
        self._tags = random.Random(account.port)
        self.line()
        self.ok(f'LOGIN "{account.user}" "{account.password}"'.encode())
        if folder:
            self.ok(f'SELECT "{folder}"'.encode())

    def __enter__(self) -> Imap:
        return self

    def __exit__(self, *_: object) -> None:
        self.ok(b"LOGOUT")
        self.socket.close()

    def line(self) -> bytes:
        while b"\n" not in self._buffer:
            self._receive()
        line, self._buffer = self._buffer.split(b"\n", 1)
        return line.rstrip(b"\r")

    def _receive(self) -> None:
        data = self.socket.recv(1 << 18)
        if not data:
            raise SystemExit("the server hung up")
        self._buffer += data

    def tag(self) -> bytes:
        """Random, so that no literal can match by chance."""
        return b"t%08x" % self._tags.getrandbits(32)

    def ok(self, command: bytes) -> bytes:
        """Send a command; return what came before its OK, and that."""
        tag = self.tag()
        self.socket.sendall(tag + b" " + command + b"\r\n")
        return self.until(tag)

    def until(self, tag: bytes) -> bytes:
        pieces = [self._buffer]
        end = re.compile(rb"(?:\A|\n)" + tag + rb" (\S+)[^\n]*\n\Z")
        tail = self._buffer
        while (found := end.search(tail)) is None:
            data = self.socket.recv(1 << 18)
            if not data:
                raise SystemExit("the server hung up")
            pieces.append(data)
            tail = tail[-4096:] + data if len(data) < 4096 else data[-8192:]
        self._buffer = b""
        if found[1] != b"OK":
            raise SystemExit(f"IMAP: {tail[-300:]!r}")
        return b"".join(pieces)

    def drain(self, command: bytes) -> int:
        """Send a command and read all of its answer, keeping none; return how many octets."""
        tag = self.tag()
        self.socket.sendall(tag + b" " + command + b"\r\n")
        end = re.compile(rb"(?:\A|\n)" + tag + rb" (\S+)[^\n]*\n\Z")
        tail, size = self._buffer, len(self._buffer)
        self._buffer = b""
        while (found := end.search(tail, max(0, len(tail) - 4096))) is None:
            data = self.socket.recv(1 << 18)
            if not data:
                raise SystemExit("the server hung up")
            size += len(data)
            tail = tail[-4096:] + data
        if found[1] != b"OK":
            raise SystemExit(f"IMAP: {tail[-300:]!r}")
        return size

    def append(self, folder: str, octets: bytes, flags: bytes = b"()") -> None:
        tag = self.tag()
        head = tag + f' APPEND "{folder}" '.encode() + flags + b" {%d+}\r\n" % len(octets)
        self.socket.sendall(head + octets + b"\r\n")
        self.until(tag)

    def append_many(self, folder: str, mails: Iterable[tuple[bytes, bytes]]) -> None:
        """One APPEND of several mails (RFC 3502): pairs of flags and octets."""
        tag = self.tag()
        pieces = [tag + f' APPEND "{folder}"'.encode()]
        for flags, octets in mails:
            pieces += (b" %b {%d+}\r\n" % (flags, len(octets)), octets)
        self.socket.sendall(b"".join([*pieces, b"\r\n"]))
        self.until(tag)

    def count(self, folder: str) -> int:
        answer = self.ok(f'STATUS "{folder}" (MESSAGES)'.encode())
        return int(re.search(rb"MESSAGES (\d+)", answer)[1])


class Smtp:
    """One connection for submissions, logged in where there is a password."""

    def __init__(self, account: Account) -> None:
        self.socket = socket.create_connection((account.host, account.port), timeout=120)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self.socket.makefile("rb")
        self._reply()
        self._say(b"EHLO bench.example.org")
        if account.password:
            login = f"\0{account.user}\0{account.password}".encode()
            self._say(b"AUTH PLAIN " + b64encode(login))

    def _reply(self) -> None:
        while True:
            line = self._file.readline()
            if not line or line[:1] not in b"23":
                raise SystemExit(f"SMTP: {line!r}")
            if line[3:4] != b"-":
                return

    def _say(self, line: bytes) -> None:
        self.socket.sendall(line + b"\r\n")
        self._reply()

    def send(self, sender: str, recipient: str, octets: bytes) -> None:
        """Return when the 250 has come."""
        self.socket.sendall(f"MAIL FROM:<{sender}>\r\nRCPT TO:<{recipient}>\r\nDATA\r\n".encode())
        for _ in range(3):
            self._reply()
        self._say(octets.replace(b"\r\n.", b"\r\n..") + b".")


def mail(number: int, size: int, sender: str = "bench@example.test") -> bytes:
    """Return a mail of about `size` octets; equal for equal arguments."""
    rnd = random.Random(number)
    date = email.utils.formatdate(1_700_000_000 + number)
    lines = [
        f"Return-Path: <bench{number % 97}@example.test>",
        f"Received: from a.example.test (127.0.0.1) by b.example.test; {date}",
        f"From: Sender {number % 97} <{sender}>",
        f"To: Reader <reader@example.test>, Other <other{number % 13}@example.test>",
        "Cc: team@example.test",
        f"Subject: bench message n{number} {rnd.choice(WORDS)}",
        f"Date: {date}",
        f"Message-ID: <bench.{number}.{rnd.getrandbits(32):08x}@example.test>",
        f"In-Reply-To: <bench.{max(number - 1, 0)}@example.test>",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        "",
    ]
    if number % 100 == 7:
        lines.append("this line holds the " + NEEDLE.decode() + " once")
    length = sum(len(line) + 2 for line in lines)
    while length < size:
        lines.append(" ".join(rnd.choices(WORDS, k=10))[: max(1, min(76, size - length - 2))])
        length += len(lines[-1]) + 2
    return ("\r\n".join(lines) + "\r\n").encode()


def as_set(numbers: Sequence[int]) -> bytes:
    """Message numbers as IMAP writes them."""
    return b",".join(b"%d" % number for number in numbers)
