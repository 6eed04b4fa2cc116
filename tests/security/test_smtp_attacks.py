"""Attacks on the submission server: smuggling, garbage, floods, other protocols."""

import asyncio
import os
from dataclasses import replace

import pytest

from tests.support.submission import PLAIN, MemorySubmitter, read_all, running
from tests.unit.servers.smtp.test_session import BOB, TEXT, envelope, login_line, talk

SMUGGLED = b"MAIL FROM:<boss@example.org>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\nevil\r\n"


@pytest.mark.parametrize(
    "end_of_data",
    [
        b"\n.\n",
        b"\n.\r\n",
        b"\r.\r",
        b"\r.\r\n",
        b"\r\n.\n",
        b"\r\n.\r",
        b"\r\r\n.\r\r\n",
        b"\n\n.\r\n",
    ],
)
def test_no_mail_can_be_smuggled_inside_another(end_of_data: bytes) -> None:
    lines, mails = talk(
        envelope() + b"DATA\r\nSubject: x\r\n\r\nhi" + end_of_data + SMUGGLED + b".\r\nQUIT\r\n"
    )
    assert mails == []
    assert [line[:9] for line in lines[2:]] == ["354 end w", "550 5.6.0", "221 2.0.0"]


def test_bare_line_ends_in_a_chunk_are_refused() -> None:
    lines, mails = talk(envelope() + b"BDAT 4 LAST\r\na\nb\nQUIT\r\n")
    assert mails == []
    assert lines[-2].startswith("550 5.6.0")


@pytest.mark.parametrize("line", [b"NOOP\n", b"NOOP\r\r\n", b"NO\rOP\r\n", b"\n"])
def test_a_command_with_another_line_end_ends_the_session(line: bytes) -> None:
    lines, mails = talk(line + envelope() + b"DATA\r\n" + TEXT + b".\r\n")
    assert lines == ["500 5.5.2 commands end with CRLF, and have no other CR or LF"]
    assert mails == []


@pytest.mark.parametrize(
    "opening",
    [
        b"POST / HTTP/1.1\r\nHost: 127.0.0.1:2525\r\n\r\nEHLO me\r\n",
        b"GET /\r\nEHLO me\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 40,
        b"\x00\x01\x02\r\n",
        b"\xff\xfb\x01\r\n",
    ],
)
def test_other_protocols_are_hung_up_on_without_a_word(opening: bytes) -> None:
    lines, _ = talk(opening, login=False)
    assert lines == ["220 mail.test ESMTP ePOST"]


def test_a_tls_hello_is_hung_up_on_while_the_client_waits() -> None:
    async def run() -> bytes:
        async with running() as server, server.connection() as (reader, writer):
            writer.write(b"\x16\x03\x01")
            return await read_all(reader)

    assert asyncio.run(run()).startswith(b"220")


def test_http_later_in_the_session_is_hung_up_on_too() -> None:
    lines, _ = talk(b"EHLO me\r\nPOST / HTTP/1.1\r\nNOOP\r\n", login=False)
    assert lines[-1].startswith("250 AUTH")


def test_commands_pipelined_after_a_failed_login_do_nothing() -> None:
    lines, mails = talk(
        b"EHLO me\r\nAUTH PLAIN AGEAYg==\r\n" + envelope() + b"DATA\r\n" + TEXT + b".\r\n",
        login=False,
    )
    assert mails == []
    assert [line[:3] for line in lines if line.startswith("5")][:4] == ["535", "530", "530", "530"]


def test_binary_garbage_after_login_ends_the_session() -> None:
    lines, _ = talk(os.urandom(5000).replace(b"\n", b"x") + b"\r\nNOOP\r\n")
    assert lines == []


@pytest.mark.parametrize("size", [20_000, 10**6])
def test_an_endless_line_ends_the_session(size: int) -> None:
    for line in (b"x" * size, b"AUTH PLAIN " + b"A" * size):
        lines, _ = talk(b"EHLO me\r\n" + line + b"\r\nNOOP\r\n", login=False)
        assert lines[-1] == "500 5.5.2 the line is too long"


def test_many_errors_end_the_session() -> None:
    lines, _ = talk(b"FOO\r\n" * 100, config=replace(PLAIN, errors_max=3))
    assert [line[:9] for line in lines] == ["500 5.5.1"] * 4 + ["421 4.7.0"]


def test_many_dead_addresses_do_not() -> None:
    dead = b"RCPT TO:<dead@example.org>\r\n" * 200
    lines, mails = talk(envelope() + dead + b"DATA\r\n" + TEXT + b".\r\n")
    assert sum(line.startswith("550 5.1.1") for line in lines) == 200
    assert len(mails) == 1


def test_a_mail_over_the_limit_is_refused_and_the_session_goes_on() -> None:
    config = replace(PLAIN, message_bytes_max=1000)
    small = b"x" * 998 + b"\r\n"
    large = b"x" * 999 + b"\r\n"
    for end, mail in ((b".\r\n", b"DATA\r\n%s"), (b"", b"BDAT %d LAST\r\n%s")):
        texts = [
            mail % ((len(text), text) if mail.count(b"%") > 1 else text) + end
            for text in (large, small)
        ]
        lines, mails = talk(envelope() + texts[0] + envelope() + texts[1], config=config)
        assert [mail.octets for mail in mails] == [small]
        assert "552 5.3.4 the mail is larger than the limit" in lines


@pytest.mark.parametrize("start", [b"DATA\r\n", b"BDAT 999999999\r\n"])
def test_a_flood_of_data_is_cut_off(start: bytes) -> None:
    flood = (b"x" * 98 + b"\r\n") * 5000
    lines, _ = talk(envelope() + start, flood, config=replace(PLAIN, message_bytes_max=1000))
    assert lines == [] or lines[-1].startswith("421 4.3.4")


def test_a_client_that_never_reads_is_cut_off() -> None:
    async def run() -> int:
        config = replace(PLAIN, login_seconds=0.2, idle_seconds=0.2)
        async with running(config) as server:
            async with server.connection() as (reader, writer):
                reader._transport.pause_reading()  # type: ignore[attr-defined]
                writer.write(login_line(server) + b"HELP\r\n" * 400_000)
                while server.listener.session_count:
                    await asyncio.sleep(0.01)
            return server.listener.session_count

    assert asyncio.run(run()) == 0


def test_a_refused_mail_leaves_nothing_behind() -> None:
    submitter = MemorySubmitter()
    lines, _ = talk(
        envelope() + b"DATA\r\na\nb\r\n.\r\n" + b"DATA\r\n" + f"RCPT TO:<{BOB}>\r\n".encode(),
        submitter=submitter,
    )
    assert [line[:3] for line in lines[3:]] == ["550", "503", "503"]
