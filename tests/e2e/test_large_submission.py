"""A mail of a gigabyte goes in and comes out, and the daemon grows by what is under way only."""

from __future__ import annotations

import base64
import hashlib
import imaplib
import re
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests.support.demo import RunningDemo, eventually, running_demo

MIB = 1024 * 1024
MAIL_BYTES = 1000 * MIB
PIECE_BYTES = 8 * MIB
GROWTH_MAX = 2 * 80 * MIB
"""Chunks on their way to the vault and to other machines, whatever the size of the mail; twice
what was seen."""
SECONDS_MAX = 1800

pytestmark = [pytest.mark.daemons, pytest.mark.long, pytest.mark.timeout(2 * SECONDS_MAX)]


def megabytes(pid: int, figure: str) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(rf"{figure}:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) // 1024


def large_mail(address: str) -> Iterator[bytes]:
    """Yield a mail with one large file, piece by piece; always the same."""
    yield (
        f"From: {address}\r\nTo: {address}\r\nSubject: large\r\nMIME-Version: 1.0\r\n"
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhello\r\n"
        "--b\r\nContent-Type: application/x-test\r\nContent-Disposition: attachment\r\n"
        "Content-Transfer-Encoding: base64\r\n\r\n"
    ).encode()
    random, left = Random(1), MAIL_BYTES
    while left > 0:
        piece = base64.encodebytes(random.randbytes(57 * 4096)).replace(b"\n", b"\r\n")
        left -= len(piece)
        yield piece
    yield b"--b--\r\n"


def submitted(demo: RunningDemo) -> tuple[int, str]:
    """Submit the mail; return its size and hash."""
    size, hasher = 0, hashlib.sha256()
    address = demo.node("alice")["user"]
    with demo.smtp("alice") as client:
        assert client.sock is not None
        client.sock.settimeout(SECONDS_MAX)
        client.mail(address)
        client.rcpt(address)
        assert client.docmd("DATA")[0] == 354
        for piece in large_mail(address):
            client.sock.sendall(piece)
            size += len(piece)
            hasher.update(piece)
        code, text = client.docmd(".")
        assert code == 250, text
    return size, hasher.hexdigest()


def hash_of(client: imaplib.IMAP4, number: str, size: int) -> str:
    """Fetch a mail bit by bit, as phones do."""
    hasher = hashlib.sha256()
    for at in range(0, size, PIECE_BYTES):
        _, data = client.fetch(number, f"(BODY.PEEK[]<{at}.{PIECE_BYTES}>)")
        assert isinstance(data[0], tuple)
        hasher.update(data[0][1])
    return hasher.hexdigest()


def newest_of_size(client: imaplib.IMAP4, size: int) -> str | None:
    """Return the number of the newest mail, if it has that size."""
    number = client.select("INBOX")[1][0]
    if not number or number == b"0":
        return None
    _, sizes = client.fetch(number.decode(), "(RFC822.SIZE)")
    return number.decode() if f"RFC822.SIZE {size}".encode() in (sizes[0] or b"") else None


def test_a_mail_of_a_gigabyte_is_never_in_memory(tmp_path: Path) -> None:
    with running_demo(tmp_path / "demo", nodes=3, users="alice") as demo:
        pid = demo.node("alice")["pid"]
        before = megabytes(pid, "VmRSS")
        size, expected = submitted(demo)
        after_submission = megabytes(pid, "VmHWM") - before
        with demo.imap("alice") as client:
            eventually(lambda: newest_of_size(client, size), "the large mail", SECONDS_MAX)
            number = newest_of_size(client, size)
            assert number is not None
            assert hash_of(client, number, size) == expected
        growth = megabytes(pid, "VmHWM") - before
        print(f"\n{size} octets: from {before} MB by {after_submission} MB in, {growth} MB in all")
        assert growth * MIB < GROWTH_MAX
        assert list((tmp_path / "demo" / "nodes" / "alice" / "spool").iterdir()) == []
