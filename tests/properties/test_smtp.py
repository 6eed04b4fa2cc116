"""Properties of the submission server's own readers."""

import asyncio
import contextlib

from hypothesis import given
from hypothesis import strategies as st

from epost.servers.smtp.message_text import END_OF_DATA, Flaw, MessageText, read_data
from epost.servers.smtp.parameters import (
    BadParameters,
    read_mail_options,
    read_recipient_options,
)
from epost.servers.smtp.paths import NULL_SENDER, read_path
from epost.servers.smtp.replies import Reply

LINES = st.lists(st.binary(max_size=20).map(lambda line: line.translate(None, b"\r\n\0")))
PRINTABLE = {chr(code) for code in range(0x20, 0x7F)}
HOSTILE = st.lists(st.sampled_from([b"\r", b"\n", b".", b"a", b"\r\n", b"\r\n."])).map(b"".join)


def receive(sent: bytes, pieces: list[int], limit: int) -> tuple[bytes | Flaw, bytes]:
    """Send octets cut at `pieces` to a reader that holds little."""

    async def run() -> tuple[bytes | Flaw, bytes]:
        reader = asyncio.StreamReader(limit=limit)
        text = MessageText(size_max=10**6, is_dot_stuffed=True)
        reading = asyncio.ensure_future(read_data(reader, text, lambda: None))
        at = 0
        for piece in [*pieces, len(sent)]:
            reader.feed_data(sent[at : at + piece])
            at += piece
            await asyncio.sleep(0)
        reader.feed_eof()
        await reading
        return await text.finish(), await reader.read()

    return asyncio.run(run())


@given(LINES, st.lists(st.integers(0, 9), max_size=20), st.integers(5, 60))
def test_a_stuffed_mail_comes_back_however_it_is_cut(
    lines: list[bytes], pieces: list[int], limit: int
) -> None:
    mail = b"".join(line + b"\r\n" for line in lines)
    stuffed = b"".join((b"." if line[:1] == b"." else b"") + line + b"\r\n" for line in lines)
    assert receive(stuffed + b".\r\nQUIT\r\n", pieces, limit) == (mail, b"QUIT\r\n")


@given(HOSTILE, st.lists(st.integers(0, 9), max_size=20), st.integers(5, 60))
def test_the_end_is_the_first_true_end_and_bare_line_ends_never_pass(
    sent: bytes, pieces: list[int], limit: int
) -> None:
    stream = sent + b"\r\n.\r\n" + b"NEXT"
    text, _, rest = (b"\r\n" + stream).partition(END_OF_DATA)
    received, left = receive(stream, pieces, limit)
    assert left == rest
    text = (text + b"\r\n")[2:]
    if text.replace(b"\r\n", b"").translate(None, b"\r\n") != text.replace(b"\r\n", b""):
        assert received is Flaw.BARE_LINE_END
    else:
        assert isinstance(received, bytes)
        assert received.count(b"\r\n") == text.count(b"\r\n")


@given(st.text(alphabet='<>@:,. "\\[]aü\r\n\x00-', max_size=40))
def test_a_path_never_holds_what_could_break_a_line(text: str) -> None:
    found = read_path(text)
    if found is not None:
        address, rest = found
        assert address == NULL_SENDER or not set(address) & set("<>\r\n\x00")
        assert text.endswith(rest)


@given(st.text())
def test_a_reply_is_always_one_line(text: str) -> None:
    line = str(Reply(451, "4.3.0", text))
    assert line.isascii()
    assert "\r" not in line
    assert "\n" not in line


WORDS = st.sampled_from(
    [
        *("SIZE", "BODY", "SMTPUTF8", "RET", "ENVID", "HOLDFOR", "HOLDUNTIL", "REQUIRETLS", "AUTH"),
        *("NOTIFY", "ORCPT", "=", "=", " ", " ", ";", ",", "+", "+2B", "+0", "8BITMIME", "FULL"),
        *("NEVER", "SUCCESS", "DELAY", "rfc822", "utf-8", "2026-11-22T00:00:00Z", "9", "\0", "ü"),
    ]
)


@given(st.lists(st.one_of(WORDS, WORDS, st.text(max_size=3)), max_size=12).map("".join))
def test_parameters_are_understood_or_refused_and_never_break_a_line(text: str) -> None:
    with contextlib.suppress(BadParameters):
        options = read_mail_options(text, size_max=1000, is_tls=True, now_ms=1_700_000_000_000)
        assert set(options.envelope_id + options.hold) <= PRINTABLE
    with contextlib.suppress(BadParameters):
        assert set(read_recipient_options(text).original) <= PRINTABLE
