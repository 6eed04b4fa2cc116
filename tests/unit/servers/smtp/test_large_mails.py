"""Mails that are not held in memory on their way in."""

from __future__ import annotations

import asyncio
import base64
import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from epost.daemon.spool import SpooledOctets
from tests.support.access import ALICE
from tests.support.spools import MIB, FullSpool, disk_spool
from tests.support.submission import Server, running

MAIL = b"From: alice@example.org\r\n\r\n" + (b"." * 998 + b"\r\n") * 3000


def dialogue(server: Server, how: str) -> Iterator[bytes]:
    password = base64.b64encode(f"\0{ALICE}\0{server.access.token}".encode())
    yield b"EHLO me\r\nAUTH PLAIN " + password + b"\r\n"
    yield b"MAIL FROM:<" + ALICE.encode() + b">\r\nRCPT TO:<bob@example.org>\r\n"
    if how == "DATA":
        yield b"DATA\r\n" + MAIL.replace(b"\r\n.", b"\r\n..") + b".\r\n"
    else:
        yield b"BDAT 2000000\r\n" + MAIL[:2_000_000]
        yield b"BDAT %d LAST\r\n" % (len(MAIL) - 2_000_000) + MAIL[2_000_000:]
    yield b"NOOP\r\nQUIT\r\n"


@pytest.mark.parametrize("how", ["DATA", "BDAT"])
def test_a_large_mail_arrives_octet_for_octet(tmp_path: Path, how: str) -> None:
    async def story() -> None:
        async with running(spool=disk_spool(tmp_path)) as server:
            replies = await server.send(*dialogue(server, how))
            assert b"\r\n250 2.0.0 ring-durable" in replies
            (mail,) = server.submitter.mails
            assert isinstance(mail.octets, SpooledOctets)
            assert mail.octets[:] == MAIL

    asyncio.run(story())


@pytest.mark.parametrize("how", ["DATA", "BDAT"])
def test_a_full_disk_is_told_when_the_mail_is_over(how: str) -> None:
    async def story() -> None:
        async with running(spool=FullSpool()) as server:
            replies = (await server.send(*dialogue(server, how))).splitlines()
            assert any(reply.startswith(b"452 4.3.1 no room") for reply in replies)
            assert replies[-1].startswith(b"221 ")
            assert server.submitter.mails == []

    asyncio.run(story())


def test_a_client_that_stops_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    spool = disk_spool(tmp_path)

    async def story() -> None:
        async with running(spool=spool) as server:
            pieces = list(dialogue(server, "DATA"))[:3]
            await server.send(*pieces[:2], pieces[2][: 2 * MIB])
            assert server.submitter.mails == []

    asyncio.run(story())
    gc.collect()
    assert spool.used_bytes == 0
