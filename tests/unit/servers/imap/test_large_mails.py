"""Mails that are not held in memory: they come by APPEND and go by FETCH bit by bit."""

from __future__ import annotations

import asyncio
import base64
import gc
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

from epost.daemon.spool import DiskSpool, SpooledOctets
from epost.foundation.spool import Spool
from epost.servers.access.conversation import SLICE_BYTES
from epost.servers.imap.limits import SENT_BYTES_PER_SLICE
from tests.support.imap_dialogue import ImapHouse, WireClient
from tests.support.spools import MIB, FullSpool, disk_spool

LINE = b"x" * 99_998 + b"\r\n"
BODY = LINE * 31
MAIL = b"Subject: large\r\n\r\n" + BODY
FILE = bytes(range(11, 256)) * 18_000  # without line ends
PARTS = (
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhello\r\n--b\r\n"
    b"Content-Type: application/zip\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    + base64.b64encode(FILE)
    + b"\r\n--b--\r\n"
)

Scene = Callable[[WireClient, ImapHouse], Awaitable[None]]


def play(spool: Spool, scene: Scene) -> None:
    async def run() -> None:
        house = ImapHouse()
        house.site = replace(house.site, spool=spool)
        client = await house.member()
        await client.command("SELECT INBOX")
        await scene(client, house)
        await client.hang_up()

    asyncio.run(run())


async def append(client: WireClient, mail: bytes, *, is_asked: bool = True) -> str:
    """Return the tagged answer to an APPEND."""
    client.send(b"a APPEND INBOX {%d%b}\r\n" % (len(mail), b"" if is_asked else b"+"))
    if is_asked:
        assert (await client.line()).startswith(b"+ ")
    for at in range(0, len(mail), 50_000):
        client.send(mail[at : at + 50_000])
        await asyncio.sleep(0)
    client.send(b"\r\n")
    while not (line := await client.line()).startswith(b"a "):
        pass
    return line.decode()


async def fetched(client: WireClient, item: str) -> bytes:
    """Return the literal of one item of message 1."""
    before = len(client.writer.written)
    await client.command(f"FETCH 1 ({item})")
    answer = bytes(client.writer.written[before:])
    size = int(answer[answer.index(b"{") + 1 : answer.index(b"}")])
    start = answer.index(b"}\r\n") + 3
    assert answer[start + size :].startswith(b")\r\nt OK")
    return answer[start : start + size]


def test_a_large_mail_comes_back_octet_for_octet(tmp_path: Path) -> None:
    async def scene(client: WireClient, house: ImapHouse) -> None:
        for is_asked in (True, False):
            assert "APPENDUID" in await append(client, MAIL, is_asked=is_asked)
        assert isinstance(await house.mail.folder("INBOX").octets(1), SpooledOctets)
        assert await fetched(client, "BODY.PEEK[]") == MAIL
        assert await fetched(client, "BODY.PEEK[TEXT]") == BODY
        assert await fetched(client, "BODY.PEEK[]<1000000.2000000>") == MAIL[10**6 : 3 * 10**6]
        assert await fetched(client, "RFC822.TEXT") == BODY

    play(disk_spool(tmp_path), scene)


def test_a_large_part_is_decoded_bit_by_bit(tmp_path: Path) -> None:
    async def scene(client: WireClient, _: ImapHouse) -> None:
        await append(client, PARTS)
        assert await fetched(client, "BINARY.PEEK[2]") == FILE
        assert await fetched(client, "BINARY.PEEK[2]<100.2000000>") == FILE[100:2_000_100]
        assert await fetched(client, "BODY.PEEK[1]") == b"hello"
        assert f"BINARY.SIZE[2] {len(FILE)}" in (await client.command("FETCH 1 BINARY.SIZE[2]"))[0]

    play(disk_spool(tmp_path), scene)


def test_nothing_piles_up_for_a_client_that_does_not_read(tmp_path: Path) -> None:
    async def scene(client: WireClient, _: ImapHouse) -> None:
        await append(client, MAIL)
        before = len(client.writer.written)
        client.writer.is_open_for_writing.clear()
        client.send(b"b FETCH 1 BODY.PEEK[]\r\n")
        for _turn in range(100):
            await asyncio.sleep(0)
        assert len(client.writer.written) - before <= SLICE_BYTES + SENT_BYTES_PER_SLICE
        client.writer.is_open_for_writing.set()
        while not (await client.line()).startswith(b"b "):
            pass

    play(disk_spool(tmp_path), scene)


def test_a_full_disk_is_told_and_the_connection_goes_on(tmp_path: Path) -> None:
    async def scene(client: WireClient, house: ImapHouse) -> None:
        for is_asked in (True, False):
            answer = await append(client, MAIL, is_asked=is_asked)
            assert answer.startswith("a NO [UNAVAILABLE] This mail cannot be taken now: no room")
        assert "APPENDUID" in await append(client, b"Subject: small\r\n\r\n")
        assert len(house.mail.folder("INBOX")._rows) == 1

    play(FullSpool(), scene)


def test_a_client_that_stops_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    spool: DiskSpool = disk_spool(tmp_path)

    async def scene(client: WireClient, house: ImapHouse) -> None:
        client.send(b"a APPEND INBOX {%d+}\r\n" % len(MAIL) + MAIL[: 2 * MIB])
        while not spool.used_bytes:
            await asyncio.sleep(0)
        await client.hang_up()
        assert not house.mail.folder("INBOX")._rows

    play(spool, scene)
    gc.collect()
    assert spool.used_bytes == 0


def test_a_large_literal_holds_no_nul(tmp_path: Path) -> None:
    async def scene(client: WireClient, _: ImapHouse) -> None:
        answer = await append(client, MAIL[:-5] + b"\0xxxx")
        assert answer == "a BAD A literal holds no NUL"

    play(disk_spool(tmp_path), scene)
