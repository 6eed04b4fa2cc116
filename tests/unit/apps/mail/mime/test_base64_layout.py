"""Base64 bodies that can be written again to the octet."""

import base64

import pytest

from epost.apps.mail.mime.base64_layout import (
    BLOCK_BYTES,
    Base64Layout,
    RecognisedBase64,
    recognise,
)

DATA = bytes(range(256)) * 3


def wrapped(length: int, line_end: bytes) -> bytes:
    text = base64.b64encode(DATA)
    return line_end.join(text[at : at + length] for at in range(0, len(text), length))


@pytest.mark.parametrize("length", [1, 3, 4, 60, 72, 76, 77, 1023, 1024, 2000])
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("around", [(b"", b""), (b"", b"\r\n"), (b"\n\r\n", b"\n\n")])
def test_any_regular_wrapping_is_recognised_and_written_again(
    length: int, line_end: bytes, around: tuple[bytes, bytes]
) -> None:
    text = wrapped(length, line_end)
    found = recognise(around[0] + text + around[1])
    assert found is not None
    assert found.decoded[:] == DATA
    assert found.offset == len(around[0])
    assert found.layout.write(DATA) == text
    assert found.layout.written_size(len(DATA)) == len(text)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\r\n",
        b"YQ",
        b"YQ==YQ==",
        b"YR==",  # its unused bits are set: encoding gives YQ==
        b"YWJj YWJj",
        b"YWJj\nYW\nJj",
        b"YWJj\r\nYWJj\nYWJj",
        b"YWJj\nYWJj\r\nYWJj",
        b"YWJj\n\nYWJj",
        b"YWJj\rYWJj",
        b"YW\nJjYW\nJjYW",
        b"YWJjYWJj\nYWJj\nYWJjYWJj",
        b"YWJ\xff",
        b"-- not base64",
        b"A\n" * 5 + b"AAA",
    ],
)
def test_anything_else_is_left_as_it_stands(body: bytes) -> None:
    assert recognise(body) is None


def test_one_line_has_no_line_length() -> None:
    assert recognise(b"YWJj\r\n") == RecognisedBase64(0, b"abc", Base64Layout(0, False))


def test_nothing_is_written_as_nothing() -> None:
    for layout in (Base64Layout(0, False), Base64Layout(76, True)):
        assert layout.write(b"") == b""
        assert layout.written_size(0) == 0


def test_lines_beyond_the_format_are_left_as_they_stand() -> None:
    text = base64.b64encode(bytes(60_000))
    assert recognise(text[:66_000] + b"\n" + text[66_000:]) is None


@pytest.mark.parametrize("line_length", [0, 1, 73, 76, 65_535])
@pytest.mark.parametrize("line_end", [b"\r\n", b"\n"])
def test_a_text_of_many_blocks_is_read_block_by_block(line_length: int, line_end: bytes) -> None:
    raw = bytes(range(256)) * (BLOCK_BYTES // 64) + b"x"
    layout = Base64Layout(line_length, is_crlf=line_end == b"\r\n" and line_length > 0)
    text = layout.write(raw)
    found = recognise(b"--b\r\n\r\n" + text + b"\r\n--b--", 7, len(text) + 9)
    assert found is not None
    assert (found.offset, found.decoded[:], found.layout) == (7, raw, layout)
    for at in (2, BLOCK_BYTES, len(text) // 2, len(text) - 1):
        for wrong in (b"=", b"\r", b"\n", b" ", b"\0"):
            assert recognise(text[:at] + wrong + text[at:]) is None
