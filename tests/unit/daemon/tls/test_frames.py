"""Frames: what is refused before anything of it is kept."""

import pytest

from epost.daemon.tls.frames import (
    CLOSE_TEXT_BYTES_MAX,
    FRAME_BYTES_MAX,
    HELLO_BYTES_MAX,
    CloseReason,
    Frame,
    close_frame,
    frame,
    header,
    parse_close,
    parse_header,
    parse_u32,
)
from epost.foundation.errors import LimitExceeded, MalformedPacket


def test_a_frame_is_a_kind_a_length_and_a_payload() -> None:
    assert frame(Frame.WHOLE, b"abc") == b"\x02\x00\x00\x03abc"
    assert parse_header(memoryview(b"??\x02\x00\x00\x03abc"), 2) == (Frame.WHOLE, 3)


@pytest.mark.parametrize(
    ("kind", "size_max"),
    [
        (Frame.HELLO, HELLO_BYTES_MAX),
        (Frame.WHOLE, FRAME_BYTES_MAX),
        (Frame.FIRST, FRAME_BYTES_MAX),
        (Frame.MORE, FRAME_BYTES_MAX),
        (Frame.CREDIT, 4),
        (Frame.PING, 0),
        (Frame.PONG, 0),
        (Frame.CLOSE, 1 + CLOSE_TEXT_BYTES_MAX),
    ],
)
def test_every_kind_has_a_longest_payload(kind: Frame, size_max: int) -> None:
    assert parse_header(memoryview(header(kind, size_max)), 0) == (kind, size_max)
    with pytest.raises(LimitExceeded):
        parse_header(memoryview(header(kind, size_max + 1)), 0)


@pytest.mark.parametrize("kind", [0, 11, 255])
def test_unknown_kinds_are_malformed(kind: int) -> None:
    with pytest.raises(MalformedPacket):
        parse_header(memoryview(bytes((kind, 0, 0, 0))), 0)


def test_a_close_says_why_in_words_that_cannot_harm_a_terminal() -> None:
    data = memoryview(close_frame(CloseReason.STALLED, "silent\x1b[2J\né"))[4:]
    assert parse_close(data) == (CloseReason.STALLED, "silent?[2J?é")
    assert parse_close(memoryview(b"\x77")) == (CloseReason.UNKNOWN, "")
    with pytest.raises(MalformedPacket):
        parse_close(memoryview(b""))


def test_the_text_of_a_close_is_bounded() -> None:
    assert len(close_frame(CloseReason.REFUSED, "x" * 1000)) == 4 + 1 + CLOSE_TEXT_BYTES_MAX


def test_a_credit_has_four_bytes() -> None:
    assert parse_u32(memoryview(b"\0\0\1\0")) == 256
    with pytest.raises(MalformedPacket):
        parse_u32(memoryview(b"\0\0\1"))
