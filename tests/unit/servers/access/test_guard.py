"""Recognising peers that speak something else."""

import asyncio

import pytest

from epost.servers.access import EveryPeer, looks_like_foreign_protocol


@pytest.mark.parametrize(
    "line",
    [
        b"GET / HTTP/1.1\r\n",
        b"POST /x HTTP/1.1\r\n",
        b"post /x HTTP/1.0",
        b"PUT",
        b"PRI * HTTP/2.0\r\n",
        b"REPORT /cal HTTP/1.1\r\n",
        b"OPTIONS * HTTP/1.1",
        b"\x16\x03\x01\x02\x00\x01",
        b"\x16",
        b"EHLO \x00\r\n",
        b"\xff\xfe\xfd",
        b"EHLO \xff\r\n",
    ],
)
def test_browsers_tls_and_binary_are_foreign(line: bytes) -> None:
    assert looks_like_foreign_protocol(line)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"EHLO [127.0.0.1]\r\n",
        b"a1 LOGIN x y\r\n",
        b"a1 SEARCH ALL\r\n",
        b"MOVE 1 Trash\r\n",
        b"EHLO m\xc3\xbcnchen.example\r\n",
        b"EHLO m\xc3",
        b"GETTING\r\n",
        b"\tx\r\n",
    ],
)
def test_lines_of_mail_clients_are_not(line: bytes) -> None:
    assert not looks_like_foreign_protocol(line)


def test_a_listener_may_serve_every_peer() -> None:
    assert asyncio.run(EveryPeer().allowed("192.0.2.1", 1, 2))
