"""Whole submission sessions: what comes in by BDAT comes out, and no input breaks a session."""

import asyncio
import re

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.access import ALICE
from tests.support.submission import Server, running
from tests.unit.servers.smtp.test_session import BOB, login_line

REPLY = re.compile(rb"(?:[2-5]\d\d[- ](?:[245]\.\d{1,3}\.\d{1,3} )?[\x20-\x7e]*\r\n)*")
BEGIN = f"MAIL FROM:<{ALICE}> BODY=BINARYMIME\r\nRCPT TO:<{BOB}>\r\n".encode()
COMMANDS = st.sampled_from(
    [
        *(b"EHLO me\r\n", b"HELO me\r\n", b"NOOP\r\n", b"RSET\r\n", b"HELP\r\n", b"QUIT\r\n"),
        *(BEGIN, f"MAIL FROM:<{ALICE}> HOLDFOR=5\r\n".encode(), b"MAIL FROM:<> RET=FULL\r\n"),
        f"RCPT TO:<{BOB}> NOTIFY=SUCCESS ORCPT=rfc822;x\r\n".encode(),
        *(b"DATA\r\n", b".\r\n", b"\r\n.\r\n", b"BDAT 0 LAST\r\n", b"BDAT 3\r\nabc", b"BDAT 9\r\n"),
        *(b"BDAT 4 LAST\r\n\r\n\0\n", b"AUTH PLAIN\r\n", b"STARTTLS\r\n", b"VRFY x\r\n", b"\r\n"),
    ]
)
ANYTHING = st.binary(max_size=40)


def session(*pieces: bytes) -> tuple[bytes, Server, list[str]]:
    """Send the pieces after a login; return what came back, the server and its troubles."""
    troubles: list[str] = []

    async def run() -> tuple[bytes, Server]:
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: troubles.append(str(context.get("exception")))
        )
        async with running() as server:
            return await server.send(login_line(server), *pieces), server

    received, server = asyncio.run(run())
    return received, server, troubles


@settings(max_examples=40, deadline=None)
@given(st.lists(st.binary(max_size=200), min_size=1, max_size=8))
def test_any_octets_in_any_chunks_arrive_byte_for_byte(chunks: list[bytes]) -> None:
    pieces = [b"BDAT %d\r\n%b" % (len(chunk), chunk) for chunk in chunks]
    received, server, troubles = session(BEGIN, *pieces, b"BDAT 0 LAST\r\nNOOP\r\n")
    assert [mail.octets for mail in server.submitter.mails] == [b"".join(chunks)]
    assert received.endswith(b"250 2.0.0 OK\r\n")
    assert not troubles


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(COMMANDS, COMMANDS, ANYTHING), max_size=15))
def test_no_input_breaks_a_session_or_its_replies(pieces: list[bytes]) -> None:
    received, _, troubles = session(*pieces)
    assert REPLY.fullmatch(received), received
    assert not troubles
