"""IMAP on a raw socket: whole batches of mails in one command, octets untouched by a library."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

_LITERAL = re.compile(rb"\{([0-9]+)\}\r\n\Z")
_UID = re.compile(rb"\bUID ([0-9]+)")
_APPENDED = re.compile(rb"\[APPENDUID ([0-9]+) ([0-9:,]+)\]")


class ImapWire:
    """A logged-in connection; a refused command fails."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._file = connection.makefile("rb")
        self._count = 0

    def greet(self) -> bytes:
        return self._file.readline()

    def command(self, *pieces: bytes) -> list[tuple[bytes, list[bytes]]]:
        """Send a command; return (text, literals) of each untagged response, then the tagged."""
        self._count += 1
        tag = b"w%d" % self._count
        self._connection.sendall(tag + b" " + b"".join(pieces) + b"\r\n")
        responses = []
        while True:
            response, literals = self._response()
            responses.append((response, literals))
            if response.startswith(tag + b" "):
                assert response.startswith(tag + b" OK"), response
                return responses

    def append(self, folder: bytes, mails: Sequence[bytes]) -> tuple[int, list[int]]:
        """Append all mails in one command (RFC 3502); return UIDVALIDITY and UIDs."""
        literals = (b" {%d+}\r\n%b" % (len(mail), mail) for mail in mails)
        text, _ = self.command(b"APPEND ", folder, *literals)[-1]
        match = _APPENDED.search(text)
        assert match is not None, text
        return int(match[1]), expand(match[2])

    def fetch(self, uids: str) -> dict[int, bytes]:
        """Return the octets of mails of the selected folder by UID.

        A FETCH response without BODY[] was not asked for: another session changed flags meanwhile
        (RFC 3501 7: clients must be ready for any response at any time).
        """
        found = {}
        for text, literals in self.command(b"UID FETCH %b (UID BODY.PEEK[])" % uids.encode()):
            if b" FETCH (" in text and b"BODY[] " in text:
                match = _UID.search(text)
                assert match is not None, text
                assert literals, text
                found[int(match[1])] = literals[0]
        return found

    def _response(self) -> tuple[bytes, list[bytes]]:
        text, literals = b"", []
        while True:
            line = self._file.readline()
            assert line.endswith(b"\n"), "the server hung up"
            text += line
            match = _LITERAL.search(line)
            if match is None:
                return text, literals
            literals.append(self._file.read(int(match[1])))


def expand(uids: bytes) -> list[int]:
    """Return the numbers of a UID set without stars."""
    numbers: list[int] = []
    for item in uids.split(b","):
        first, _, last = item.partition(b":")
        numbers += range(int(first), int(last or first) + 1)
    return numbers


@contextmanager
def imap_wire(node: dict[str, Any]) -> Iterator[ImapWire]:
    """Connect to a node of demo.json and log in."""
    service = node["imap"]
    with socket.create_connection((service["host"], service["port"]), timeout=120) as connection:
        wire = ImapWire(connection)
        assert wire.greet().startswith(b"* OK")
        wire.command(b"LOGIN %b %b" % (node["username"].encode(), node["password"].encode()))
        yield wire
