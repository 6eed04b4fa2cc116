"""Whatever octets a mail has, POP3 brings them; whatever a client sends, the server stands."""

import asyncio

from hypothesis import example, given, settings
from hypothesis import strategies as st

from epost.servers.pop3.limits import OUTPUT_BYTES_PER_SLICE
from epost.servers.pop3.lines import (
    END,
    Pop3SyntaxError,
    read_command,
    read_numbers,
    stuffed,
    top,
)
from tests.support.imap_dialogue import MAIL, put
from tests.support.pop3_dialogue import Pop3House

mails = st.lists(st.sampled_from([b".", b"..", b"\r\n", b"\n", b"\r", b"a", b"\xff", b""])).map(
    b"".join
)


def received(answer: bytes, line_end: bytes) -> bytes:
    """What a client makes of the body of an answer that ends lines so."""
    assert answer.endswith(b"\r\n.\r\n")
    lines = answer.split(line_end)
    end = next(n for n, line in enumerate(lines) if line.removesuffix(b"\r") == b".")
    assert end == len(lines) - 2, "the answer ends before its end"
    return line_end.join(line.removeprefix(b".") for line in lines[:end]) + line_end


@given(mails)
@example(b".")
@example(b".\r\n")
@example(b"a\n.\n")
@example(b"x" * (OUTPUT_BYTES_PER_SLICE - 1) + b"\n.\r\n")
@example(b"x" * OUTPUT_BYTES_PER_SLICE + b".\r\n")
def test_a_mail_comes_out_as_it_went_in_wherever_a_client_sees_line_ends(octets: bytes) -> None:
    answer = b"".join(stuffed(octets)) + END
    whole = octets if octets.endswith(b"\r\n") else octets + b"\r\n"
    assert received(answer, b"\n") == whole
    if b"\n" not in octets.replace(b"\r\n", b""):
        assert received(answer, b"\r\n") == whole


@given(mails, st.integers(0, 5))
def test_top_is_a_beginning_of_the_mail_with_so_many_lines(body: bytes, lines: int) -> None:
    header = b"Subject: x\r\n\r\n"
    cut = top(header + body, len(header), lines)
    assert (header + body).startswith(cut)
    assert cut.count(b"\n") == min(lines, body.count(b"\n")) + 2 or cut == header + body


@given(st.binary(max_size=80) | st.binary(max_size=80).map(lambda data: data + b"\r\n"))
def test_a_line_is_a_command_or_fails_in_one_way(line: bytes) -> None:
    try:
        command = read_command(line)
        read_numbers(command.rest, fewest=0, most=2)
    except Pop3SyntaxError:
        return


WORDS = [
    *b"USER PASS AUTH CAPA STLS UTF8 STAT LIST RETR DELE NOOP RSET TOP UIDL PLAIN =".split(),
    *(b"SCRAM-SHA-256", b"LOGIN", b"*", b"alice@example.org", b"1", b"2", b"0", b"-1", b"x" * 300),
    *(b"", b"\xff", b"\0", b"AGEAYg==", b"\r", b"\n"),
]
lines = st.lists(st.sampled_from(WORDS), max_size=4).map(b" ".join).map(lambda text: text + b"\r\n")


@given(st.lists(lines, max_size=12), st.booleans())
@settings(max_examples=150, deadline=None)
def test_the_server_stands_whatever_comes_and_removes_nothing_without_quit(
    sent: list[bytes], is_member: bool
) -> None:
    async def scene() -> None:
        house = Pop3House()
        await put(house.mail, MAIL)
        client = await house.member() if is_member else house.stranger()
        client.send(b"".join(sent))
        await client.hang_up()
        assert client.writer.is_closed
        assert list(house.mail.folder("INBOX").uids()) == [1]
        other = await house.member()  # the maildrop is free again
        await other.hang_up()

    asyncio.run(scene())
