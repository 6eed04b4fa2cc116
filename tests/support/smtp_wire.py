"""SMTP on a raw socket: the octets of a mail go out as they are, by DATA or by BDAT."""

from __future__ import annotations

import base64
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Answer:
    """The last line of a reply."""

    code: int
    text: str


class SmtpWire:
    """A connection that is logged in."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._file = connection.makefile("rb")

    def command(self, line: bytes) -> Answer:
        self._connection.sendall(line + b"\r\n")
        return self.reply()

    def reply(self) -> Answer:
        while True:
            line = self._file.readline()
            assert line.endswith(b"\r\n"), "the server hung up"
            if line[3:4] != b"-":
                return Answer(int(line[:3]), line[4:].decode().rstrip())

    def submit(self, sender: str, recipient: str, octets: bytes) -> Answer:
        """One transaction: DATA if the mail ends with a line end, else BDAT."""
        envelope = f"MAIL FROM:<{sender}> BODY=8BITMIME\r\nRCPT TO:<{recipient}>\r\n".encode()
        if octets.endswith(b"\r\n"):
            self._connection.sendall(envelope + b"DATA\r\n")
            text = (b"\r\n" + octets).replace(b"\r\n.", b"\r\n..")[2:] + b".\r\n"
        else:
            self._connection.sendall(envelope)
            text = b"BDAT %d LAST\r\n%b" % (len(octets), octets)
        for _ in range(2):
            assert self.reply().code == 250
        if text.endswith(b".\r\n") and octets.endswith(b"\r\n"):
            assert self.reply().code == 354
        self._connection.sendall(text)
        return self.reply()


@contextmanager
def smtp_wire(node: dict[str, Any]) -> Iterator[SmtpWire]:
    """Connect to a node of demo.json and log in."""
    service = node["smtp"]
    with socket.create_connection((service["host"], service["port"]), timeout=120) as connection:
        wire = SmtpWire(connection)
        assert wire.reply().code == 220
        assert wire.command(b"EHLO tests.example.org").code == 250
        token = f"\0{node['username']}\0{node['password']}".encode()
        assert wire.command(b"AUTH PLAIN " + base64.b64encode(token)).code == 235
        yield wire
