"""Receiving the text of a mail."""

import asyncio

import pytest

from epost.servers.smtp.message_text import (
    PIECE_BYTES,
    FarTooLarge,
    Flaw,
    MessageText,
    read_chunk,
    read_data,
)


def receive(sent: bytes, *, limit: int = 1000, size_max: int = 10**6) -> tuple[bytes | Flaw, bytes]:
    """Read DATA with a reader that holds `limit`; return the mail and what is left unread."""

    async def run() -> tuple[bytes | Flaw, bytes]:
        reader = asyncio.StreamReader(limit=limit)
        reader.feed_data(sent)
        reader.feed_eof()
        text = MessageText(size_max=size_max, is_dot_stuffed=True)
        await read_data(reader, text, lambda: None)
        return await text.finish(), await reader.read()

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("sent", "mail"),
    [
        (b".\r\n", b""),
        (b"\r\n.\r\n", b"\r\n"),
        (b"\r\n\r\n.\r\n", b"\r\n\r\n"),
        (b"a\r\n.\r\n", b"a\r\n"),
        (b"..\r\n.\r\n", b".\r\n"),
        (b"..a\r\n..\r\n.b\r\n.\r\n", b".a\r\n.\r\nb\r\n"),
        (b"a.\r\n.\r\n", b"a.\r\n"),
        (b".a\r\n.\r\n", b"a\r\n"),
    ],
)
@pytest.mark.parametrize("limit", [5, 6, 7, 8, 9, 1000])
def test_the_mail_ends_at_the_first_lone_dot(sent: bytes, mail: bytes, limit: int) -> None:
    assert receive(sent + b"QUIT\r\n", limit=limit) == (mail, b"QUIT\r\n")


@pytest.mark.parametrize(
    "sent",
    [
        b"a\n.\n\r\n.\r\n",
        b"a\n.\r\nMAIL FROM:<x>\r\n.\r\n",
        b"a\r.\r\n.\r\n",
        b"a\r\r\n.\r\n",
        b"\r.\r\n.\r\n",
        b"\r\r\n.\r\n",
        b"\n.\n\r\n.\r\n",
        b"a\r\n\r.\r\n.\r\n",
    ],
)
@pytest.mark.parametrize("limit", [5, 6, 7, 1000])
def test_a_bare_cr_or_lf_is_read_to_the_true_end_and_refused(sent: bytes, limit: int) -> None:
    assert receive(sent + b"QUIT\r\n", limit=limit) == (Flaw.BARE_LINE_END, b"QUIT\r\n")


def test_many_empty_lines_at_the_beginning_are_a_mail_too() -> None:
    mail = b"\r\n" * PIECE_BYTES
    assert receive(mail + b".\r\nQUIT\r\n") == (mail, b"QUIT\r\n")


@pytest.mark.parametrize(("size_max", "fits"), [(6, True), (5, False)])
def test_the_limit_counts_the_octets_of_the_mail_alone(size_max: int, fits: bool) -> None:
    mail, rest = receive(b"..ab\r\n.\r\nQUIT\r\n", size_max=size_max)
    assert (mail, rest) == (b".ab\r\n" if size_max >= 5 else Flaw.TOO_LARGE, b"QUIT\r\n")
    mail, rest = receive(b"abcd\r\n.\r\nQUIT\r\n", size_max=size_max)
    assert (mail, rest) == (b"abcd\r\n" if fits else Flaw.TOO_LARGE, b"QUIT\r\n")


def test_a_mail_over_the_limit_is_read_to_its_end_but_not_for_ever() -> None:
    line = b"x" * 98 + b"\r\n"
    assert receive(line * 500 + b".\r\nQUIT\r\n", size_max=1000) == (Flaw.TOO_LARGE, b"QUIT\r\n")
    with pytest.raises(FarTooLarge):
        receive(line * 5000 + b".\r\n", size_max=1000)


def test_a_client_that_goes_away_leaves_no_mail() -> None:
    for sent in (b"", b"a", b"a\r\n.", b"\r\n.\r"):
        with pytest.raises(asyncio.IncompleteReadError):
            receive(sent)


def test_chunks_keep_their_dots_and_may_split_a_line_end() -> None:
    async def run() -> bytes | Flaw:
        reader = asyncio.StreamReader()
        reader.feed_data(b".a\r" + b"\n.\r\nb" + b"MAIL")
        text = MessageText(size_max=100, is_dot_stuffed=False)
        await read_chunk(reader, 3, text, lambda: None)
        await read_chunk(reader, 5, text, lambda: None)
        assert await reader.readexactly(4) == b"MAIL"
        return await text.finish()

    assert asyncio.run(run()) == b".a\r\n.\r\nb"


def test_a_last_chunk_that_ends_in_a_lone_cr_is_refused() -> None:
    text = MessageText(size_max=100, is_dot_stuffed=False)
    text.feed(b"a\r")
    assert asyncio.run(text.finish()) is Flaw.BARE_LINE_END


def test_waiting_is_announced_before_each_piece() -> None:
    announced = []

    async def run() -> None:
        reader = asyncio.StreamReader(limit=100)
        reader.feed_data(b"x" * 1000 + b"\r\n.\r\n")
        text = MessageText(size_max=10**6, is_dot_stuffed=True)
        await read_data(reader, text, lambda: announced.append(1))

    asyncio.run(run())
    assert len(announced) > 1
