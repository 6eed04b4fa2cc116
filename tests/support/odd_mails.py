"""Mails as programs really write them, and as they should not: from a seed, by kind.

Every kind is a function of a random source; the same seed gives the same mails for ever.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

AUTHOR = b"Alice <alice@example.org>"
SOMEBODY_ELSE = b"Mallory <mallory@elsewhere.example>"
WORDS = (
    b"the ring delegates a mail to nodes whose ids are closest and each block proves itself "
    b"after crash repair copies come back while users sleep notices wait sealed until read"
).split()
BOUNDARIES = (
    b"b", b"bb", b"b-", b"b--", b"=_x", b"a b", b"'()+_,-./:=?", b"x" * 70, b"0" * 200, b"",
)  # fmt: skip
FRAGMENTS = (
    b"\n", b"\r\n", b"\r", b"\n\n", b"\r\n\r\n", b"--b", b"--b--", b"--", b": ", b" ", b"\t",
    b"Content-Type: multipart/mixed; boundary=b", b"Content-Type: message/rfc822",
    b"content-transfer-encoding: BASE64", b"YWJjZGVm", b"YQ==", b"Subject: x", b"hello", b".",
    b"=?utf-8?q?a=?=", b"\xff\xfe", b"\xc3\xa4", b"From alice", b">From ", b"begin 644 x",
)  # fmt: skip


@dataclass(frozen=True)
class OddMail:
    """One mail and what is odd about it."""

    kind: str
    octets: bytes


def odd_mails(count: int, seed: int = 1) -> Iterator[OddMail]:
    """Generate mails, the kinds in turn."""
    random = Random(seed)
    kinds = tuple(KINDS.items())
    for number in range(count):
        kind, make = kinds[number % len(kinds)]
        yield OddMail(kind, make(random))


def header(random: Random, end: bytes = b"\r\n", *more: bytes) -> bytes:
    """Return header lines without the empty line behind them; mostly from the author."""
    author = AUTHOR if random.random() < 0.8 else SOMEBODY_ELSE
    fields = [
        b"From: " + author,
        b"To: bob@example.org" + (b",\r\n carol@example.org" if random.random() < 0.2 else b""),
        b"Subject: " + words(random, 8),
        b"Message-ID: <%d.%d@example.org>" % (random.getrandbits(40), random.getrandbits(40)),
        b"Date: Mon, 1 Jan 2024 12:00:%02d +0000" % random.randrange(60),
        *more,
    ]
    random.shuffle(fields)
    return b"".join(field.replace(b"\r\n", end) + end for field in fields)


def words(random: Random, count: int) -> bytes:
    """Return some words."""
    return b" ".join(random.choices(WORDS, k=max(1, count)))


def text(random: Random, end: bytes = b"\r\n", lines: int = 40) -> bytes:
    """Return lines of words."""
    count = random.randrange(lines)
    return b"".join(words(random, random.randrange(1, 15)) + end for _ in range(count))


def plain(random: Random) -> bytes:
    return header(random) + b"\r\n" + text(random)


def bare_line_feeds(random: Random) -> bytes:
    return header(random, b"\n") + b"\n" + text(random, b"\n")


def bare_carriage_returns(random: Random) -> bytes:
    return header(random, random.choice((b"\r", b"\r\n"))) + b"\r" + text(random, b"\r")


def mixed_line_ends(random: Random) -> bytes:
    ends = (b"\r\n", b"\n", b"\r", b"\r\r\n", b"\n\r")
    lines = (words(random, 5) + random.choice(ends) for _ in range(random.randrange(60)))
    return header(random, random.choice(ends[:2])) + b"\r\n" + b"".join(lines)


def nested_multiparts(random: Random) -> bytes:
    return header(random, b"\r\n", b"MIME-Version: 1.0").rstrip(b"\r\n") + b"\r\n" + part(random, 6)


def part(random: Random, depth: int, end: bytes = b"\r\n") -> bytes:
    """Return a MIME part: its header lines, an empty line, its body."""
    kind = random.choice(("text", "file", "text") + ("multipart", "message") * (depth > 0))
    if kind == "text":
        return b"Content-Type: text/plain; charset=utf-8" + end * 2 + text(random, end, 20)
    if kind == "file":
        name = b'Content-Disposition: attachment; filename="%d.bin"' % random.getrandbits(20)
        return name + end + wrapped_base64(random, 3000, end)
    if kind == "message":
        inner = header(random, end) + part(random, depth - 1, end)
        return b"Content-Type: message/rfc822" + end * 2 + inner
    boundary = random.choice(BOUNDARIES) + b"%d" % depth
    inner = b"".join(
        b"--" + boundary + end + part(random, depth - 1, end) + end
        for _ in range(random.randrange(4))
    )
    preamble = random.choice((b"", b"This is MIME." + end, b"--" + boundary[:-1] + end))
    closing = random.choice((b"--" + boundary + b"--" + end, b"--" + boundary + b"--", b""))
    kind_of = random.choice((b"mixed", b"alternative", b"digest", b"related"))
    field = b'Content-Type: multipart/%b; boundary="%b"' % (kind_of, boundary)
    return field + end * 2 + preamble + inner + closing


def wrapped_base64(random: Random, size: int, end: bytes = b"\r\n") -> bytes:
    """Return a transfer encoding field, an empty line and base64 in lines of any length."""
    encoded = base64.b64encode(random.randbytes(random.randrange(size)))
    width = random.choice((76, 76, 72, 60, 64, 1000, random.randrange(1, 200)))
    lines = [encoded[at : at + width] for at in range(0, len(encoded), width)]
    field = random.choice((b"base64", b"BASE64", b" base64 ", b"base64; x"))
    tail = random.choice((b"", end, end * 2, b" " + end))
    return b"Content-Transfer-Encoding: " + field + end * 2 + end.join(lines) + tail


def odd_base64(random: Random) -> bytes:
    body = bytearray(wrapped_base64(random, 20_000, random.choice((b"\r\n", b"\n"))))
    for _ in range(random.randrange(4)):  # a flaw, so that it cannot be stored decoded
        body.insert(random.randrange(len(body)), random.choice(b" =\t-A\r\n"))
    return header(random) + bytes(body)


def attachment(random: Random) -> bytes:
    fields = header(random, b"\r\n", b"MIME-Version: 1.0")
    boundary = b"=_%x" % random.getrandbits(60)
    size = 2_000_000 if random.random() < 0.03 else 30_000
    parts = (
        b"Content-Type: text/plain\r\n\r\n" + text(random),
        b"Content-Type: application/octet-stream\r\n" + wrapped_base64(random, size),
    )
    body = b"".join(b"--" + boundary + b"\r\n" + p + b"\r\n" for p in parts)
    field = b"Content-Type: multipart/mixed; boundary=" + b'"' + boundary + b'"\r\n\r\n'
    return fields + field + body + b"--" + boundary + b"--\r\n"


def eight_bit(random: Random) -> bytes:
    letters = "äöüß€漢字😀ñ"
    lines = ("".join(random.choices(letters, k=random.randrange(1, 30))) for _ in range(30))
    encoding = random.choice(("utf-8", "utf-16-be", "utf-8"))
    body = b"\r\n".join(line.encode(encoding) for line in lines).replace(b"\0", b"\1")
    return header(random, b"\r\n", "Subject: Grüße".encode()) + b"\r\n" + body


def every_octet(random: Random) -> bytes:
    return header(random) + b"\r\n" + bytes(random.choices(range(1, 256), k=5000))


def huge_line(random: Random) -> bytes:
    line = random.choice(WORDS) * random.randrange(200, 40_000)
    return header(random) + b"\r\n" + line + random.choice((b"", b"\r\n"))


def huge_header(random: Random) -> bytes:
    name = b"References: " + b"\r\n ".join(
        b"<%d@example.org>" % random.getrandbits(60) for _ in range(random.randrange(1, 2000))
    )
    return header(random, b"\r\n", name) + b"\r\n" + text(random)


def many_fields(random: Random) -> bytes:
    fields = (b"X-%d: %b" % (n, words(random, 3)) for n in range(random.randrange(900)))
    return header(random, b"\r\n", *fields) + b"\r\n" + text(random)


def dots(random: Random) -> bytes:
    lines = random.choices((b".", b"..", b".x", b"", b"x.", b". "), k=random.randrange(1, 60))
    return header(random) + b"\r\n" + b"\r\n".join(lines)


def message_in_message(random: Random) -> bytes:
    inner = random.choice((plain, nested_multiparts, no_header, header_only))(random)
    return header(random, b"\r\n", b"Content-Type: message/rfc822") + b"\r\n" + inner


def no_header(random: Random) -> bytes:
    return random.choice((b"\r\n", b"\n", b"")) + text(random, random.choice((b"\r\n", b"\n")))


def header_only(random: Random) -> bytes:
    return header(random) + random.choice((b"", b"\r\n"))


def broken_header(random: Random) -> bytes:
    flaws = (b"no colon here", b": no name", b"\tfolded: first", b"Subject : space", b"X:", b"=")
    return header(random, b"\r\n", *random.choices(flaws, k=2)) + b"\r\n" + text(random)


def unclosed_multipart(random: Random) -> bytes:
    whole = nested_multiparts(random)
    return whole[: random.randrange(1, len(whole) + 1)]


def garbage(random: Random) -> bytes:
    return b"".join(random.choices(FRAGMENTS, k=random.randrange(1, 200)))


def tiny(random: Random) -> bytes:
    return random.choice(
        (b"", b"\r", b"\n", b"\r\n", b" ", b"x", b".", b"\r\n.\r\n", b"--", b"\xff")
    )


def with_nul(random: Random) -> bytes:
    octets = bytearray(random.choice((plain, attachment, nested_multiparts, every_octet))(random))
    for _ in range(random.randrange(1, 10)):
        octets.insert(random.randrange(len(octets) + 1), 0)
    return bytes(octets)


KINDS: dict[str, Callable[[Random], bytes]] = {
    "plain text": plain,
    "nested multiparts": nested_multiparts,
    "attachment in base64": attachment,
    "base64 with odd lines or flaws": odd_base64,
    "bare line feeds": bare_line_feeds,
    "bare carriage returns": bare_carriage_returns,
    "mixed line ends": mixed_line_ends,
    "8 bit text": eight_bit,
    "every octet but NUL": every_octet,
    "message in a message": message_in_message,
    "lines of dots": dots,
    "no header at all": no_header,
    "header only": header_only,
    "broken header fields": broken_header,
    "hundreds of header fields": many_fields,
    "huge header field": huge_header,
    "huge line": huge_line,
    "multipart cut short": unclosed_multipart,
    "garbage": garbage,
    "two octets at most": tiny,
    "with NUL": with_nul,
}
