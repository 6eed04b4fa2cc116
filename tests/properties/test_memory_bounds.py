"""Whatever comes, and however much: what readers and servers hold of it is bounded.

Two promises. A reader of text takes so many octets of memory for each octet that it reads, and no
more than a fixed amount in all; a server takes a fixed amount for a client that never ends.
"""

from __future__ import annotations

import asyncio
import base64
import tracemalloc
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from itertools import repeat

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from epost.apps.mail.mime.addresses import read_addresses
from epost.apps.mail.mime.content import read_content
from epost.apps.mail.mime.headers import decode_words, read_date, read_fields, read_message_ids
from epost.apps.mail.mime.structure import parse_structure
from epost.apps.mail.renditions.preview import preview_of
from epost.apps.mail.renditions.rendition import make_rendition
from epost.foundation.errors import EpostError
from epost.servers.imap.connection import ImapConnection
from epost.servers.imap.dispatch import VERBS, read_command
from epost.servers.imap.limits import ImapLimits
from epost.servers.imap.subjects import base_subject
from epost.servers.imap.syntax.cursor import Cursor
from epost.servers.imap.syntax.dates import date_time, day
from epost.servers.imap.syntax.errors import ImapSyntaxError
from epost.servers.imap.syntax.framing import Frame
from epost.servers.pop3 import lines as pop3
from epost.servers.pop3.connection import Pop3Connection
from epost.servers.smtp.config import PlaintextLogin, SmtpConfig
from epost.servers.smtp.parameters import BadParameters, read_mail_options, read_recipient_options
from epost.servers.smtp.paths import read_path
from tests.support.access import ALICE, MAIL_CHANNEL
from tests.support.imap_dialogue import ImapHouse
from tests.support.pop3_dialogue import Pop3House
from tests.support.submission import running

PER_OCTET_MAX = 200
IN_ALL_MAX = 24 * 2**20
"""Beside some copies of what is read."""
COPIES_MAX = 6
SPARE = 128 * 1024
SERVER_MAX = 2 * 2**20
"""Twice what is usual, a quarter of what a flood sends: octets held back would show."""

Reader = Callable[[bytes], object]


def latin(octets: bytes) -> str:
    return octets.decode("latin-1")


def imap_command(octets: bytes) -> object:
    return read_command(Frame(octets, (b"x",) * 3))


TEXT_READERS: dict[str, Reader] = {
    "addresses": lambda octets: read_addresses(latin(octets)),
    "encoded words": lambda octets: decode_words(latin(octets)),
    "date of a mail": lambda octets: read_date(latin(octets)),
    "message ids": lambda octets: read_message_ids(latin(octets)),
    "subject": lambda octets: base_subject(latin(octets)),
    "header": read_fields,
    "content type": lambda octets: read_content(read_fields(b"Content-Type: " + octets)),
    "structure": parse_structure,
    "forms of a mail": make_rendition,
    "preview": lambda octets: preview_of(octets, parse_structure(octets)),
    "IMAP date": lambda octets: day(Cursor(Frame(octets))),
    "IMAP date and time": lambda octets: date_time(Cursor(Frame(b'"' + octets))),
    "SMTP path": lambda octets: read_path("<" + latin(octets)),
    "SMTP options": lambda octets: read_mail_options(
        latin(octets), size_max=10, is_tls=True, now_ms=0
    ),
    "SMTP recipient": lambda octets: read_recipient_options(latin(octets)),
    "POP3 line": pop3.read_command,
    "POP3 numbers": lambda octets: pop3.read_numbers(octets, fewest=0, most=2),
    "POP3 mail": lambda octets: sum(map(len, pop3.stuffed(octets))),
    "IMAP command": imap_command,
}
FRAGMENTS = [
    *(b"a", b" ", b",", b".", b"@", b'"', b"\\", b"(", b")", b"[", b"<", b">", b":", b";", b"="),
    *(
        b"\r\n",
        b"\n",
        b"\0",
        b"\xff",
        b"x:y\r\n ",
        b"From: a@b\r\n",
        b"--b\r\n",
        b"<a@b>,",
        b"g:a;",
    ),
    *(b"=?utf-8?q?=C3=A4?= ", b"=?utf-8?b?YQ==?=", b" a*0*=utf-8''%20;", b"Re: ", b"[x]", b"(c"),
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n",
    b"Content-Type: message/rfc822\r\n\r\n",
    *(b"1,", b"1:", b"NOT ", b"OR ", b"{1}\r\n", b"(NOT ", b"/private/a ", b"BODY[", b"Mon, 1 "),
]
HEADS = [b"", b"(", *(b"t " + verb + b" " for verb in sorted(VERBS)), b"t UID SEARCH (OR "]
floods = st.builds(
    lambda head, some, count: head + b"".join(some) * (count // max(len(b"".join(some)), 1)),
    st.sampled_from(HEADS),
    st.lists(st.sampled_from(FRAGMENTS) | st.binary(max_size=6), max_size=3),
    st.integers(0, 6000),
)


def peak_of(work: Callable[[], object]) -> int:
    """Return how much more memory was held at most while something was done, the second time.

    The first time modules may be imported and expressions compiled, which stay.
    """
    _perform(work)
    tracemalloc.start()
    try:
        _perform(work)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _perform(work: Callable[[], object]) -> None:
    with suppress(EpostError, ImapSyntaxError, pop3.Pop3SyntaxError, BadParameters):
        work()


def allowed(size: int) -> int:
    return min(PER_OCTET_MAX * size, IN_ALL_MAX) + COPIES_MAX * size + SPARE


@given(st.sampled_from(sorted(TEXT_READERS)), floods)
@settings(max_examples=150, deadline=None)
@example("forms of a mail", b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n" * 800)
@example("addresses", b"@" * 4000)
@example("IMAP command", b"t SEARCH " + b"1 (" * 1300)
@example("IMAP command", b't LIST "" "' + b"\\\\" * 2000)
def test_what_is_read_takes_memory_in_proportion(name: str, octets: bytes) -> None:
    peak = peak_of(lambda: TEXT_READERS[name](octets))
    assert peak <= allowed(len(octets)), f"{peak} octets for {len(octets)}"


@pytest.mark.long
@given(st.sampled_from(sorted(TEXT_READERS)), floods)
@settings(max_examples=3000, deadline=None)
def test_what_is_read_takes_memory_in_proportion_in_very_many_forms(
    name: str, octets: bytes
) -> None:
    peak = peak_of(lambda: TEXT_READERS[name](octets))
    assert peak <= allowed(len(octets)), f"{peak} octets for {len(octets)}"


BIG = 1_000_000
OF_LINES = {"IMAP command", "SMTP options", "SMTP recipient", "SMTP path", "POP3 numbers"}
"""These read lines, which the servers keep short."""


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(TEXT_READERS.keys() - OF_LINES))
@pytest.mark.parametrize("fragment", [b"@", b"--b\r\n", b"From: a@b\r\n", b"\xff,", b"x:y\r\n "])
def test_what_is_read_of_a_big_mail_has_a_bound(name: str, fragment: bytes) -> None:
    head = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    octets = head + fragment * (BIG // len(fragment))
    assert peak_of(lambda: TEXT_READERS[name](octets)) <= allowed(len(octets))


class Flood:
    """A client that says something, and then the same over and over."""

    def __init__(self, first: bytes, pattern: bytes, octets: int) -> None:
        self._pieces: Iterator[bytes] = iter((first, *repeat(pattern, octets // len(pattern))))

    async def read(self, n: int = -1, /) -> bytes:
        piece = next(self._pieces, b"")
        assert len(piece) <= n
        return piece


class Sink:
    """A client that takes whatever it is sent."""

    def write(self, data: bytes, /) -> None:
        """Drop it."""

    async def drain(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        """Nothing is left."""


async def peak_while(serving: Callable[[], Awaitable[object]]) -> int:
    tracemalloc.start()
    try:
        await asyncio.wait_for(serving(), 60)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


FLOOD = 8 * 2**20
COMMANDS = 48 * 1024
"""Octets of short commands: some thousands."""
PIECE = 16 * 1024
IMAP_FLOODS = {
    "a line without end": b"x" * PIECE,
    "commands": b"a NOOP\r\n" * 1000,
    "literals that are too big": b"a APPEND INBOX {900000000+}\r\n" + b"x" * 15_000,
    "many literals": b"a SEARCH " + b"SUBJECT {3+}\r\nabc " * 500,
    "folders": b"".join(b"a CREATE %d\r\n" % number for number in range(500)),
    "watches": b"a NOTIFY SET (PERSONAL (MailboxName))\r\n" * 300,
}
POP3_FLOODS = {
    "a line without end": b"x" * PIECE,
    "commands": b"NOOP\r\n" * 2000,
    "lists": b"UIDL\r\nLIST\r\n" * 1000,
}
SMTP_FLOODS = {
    "a line without end": (b"", b"x"),
    "a mail without end": (b"MAIL FROM:<>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\n", b"x" * 70),
    "a chunk without end": (
        b"MAIL FROM:<>\r\nRCPT TO:<bob@example.org>\r\nBDAT 9000000000 LAST\r\n",
        b"x\r\n.\r\n",
    ),
}


def _volume(flood: str) -> int:
    return FLOOD if flood in {"a line without end", "literals that are too big"} else COMMANDS


@pytest.mark.parametrize("flood", sorted(IMAP_FLOODS))
@pytest.mark.parametrize("is_member", [False, True])
def test_an_imap_client_without_end_takes_bounded_memory(flood: str, is_member: bool) -> None:
    async def scene() -> int:
        house = ImapHouse(limits=ImapLimits(mail_bytes_max=100_000))
        login = f"l LOGIN {ALICE} {house.access.token}\r\n".encode() if is_member else b"n NOOP\r\n"
        reader = Flood(login, IMAP_FLOODS[flood], _volume(flood))
        connection = ImapConnection(reader, Sink(), site=house.site, channel=MAIL_CHANNEL)
        return await peak_while(connection.serve)

    assert asyncio.run(scene()) <= SERVER_MAX


@pytest.mark.parametrize("flood", sorted(POP3_FLOODS))
@pytest.mark.parametrize("is_member", [False, True])
def test_a_pop3_client_without_end_takes_bounded_memory(flood: str, is_member: bool) -> None:
    async def scene() -> int:
        house = Pop3House()
        login = f"USER {ALICE}\r\nPASS {house.access.token}\r\n" if is_member else "CAPA\r\n"
        reader = Flood(login.encode(), POP3_FLOODS[flood], _volume(flood))
        connection = Pop3Connection(reader, Sink(), site=house.site, channel=MAIL_CHANNEL)
        return await peak_while(connection.serve)

    assert asyncio.run(scene()) <= SERVER_MAX


@pytest.mark.parametrize("flood", sorted(SMTP_FLOODS))
def test_an_smtp_client_without_end_takes_bounded_memory(flood: str) -> None:
    first, pattern = SMTP_FLOODS[flood]

    async def scene() -> int:
        config = SmtpConfig(plaintext_login=PlaintextLogin.PASSWORDS, message_bytes_max=100_000)
        async with running(config) as server:
            login = base64.b64encode(f"\0{ALICE}\0{server.access.token}".encode())
            opening = b"EHLO x\r\nAUTH PLAIN %b\r\n%b" % (login, first)
            pieces = repeat(pattern * (64 * 1024 // len(pattern)), FLOOD // (64 * 1024))
            return await peak_while(lambda: server.send(opening, *pieces))

    assert asyncio.run(scene()) <= SERVER_MAX
