"""Lines that people hand on, whatever pasting does to them."""

from __future__ import annotations

import pytest

from epost.foundation.codec import Format
from epost.foundation.errors import RefusedError
from epost.rings.handed_line import HandedLine

LINE = HandedLine("the line", "epost-test:", Format(bytes, size_max=64), length_max=59)


@pytest.mark.parametrize("said", [b"", b"a", b"ab", b"abc", b"abcd", b"abcde"])
def test_what_it_says_may_have_any_length_and_be_pasted_badly(said: bytes) -> None:
    text = LINE.write(said)
    assert LINE.read(f" {text[:5]}\r\n {text[5:].upper()} ") == said
    assert "=" not in text


def test_a_line_that_is_longer_than_one_can_be_is_not_decoded() -> None:
    text = LINE.write(b"x" * 28)
    assert len(text) == LINE.length_max
    assert LINE.read(text) == b"x" * 28
    with pytest.raises(RefusedError, match="begins with epost-test:"):
        LINE.read(text + "a")


def test_a_slip_of_the_hand_is_said() -> None:
    LINE.require_checksum(b"1234", b"1234")
    with pytest.raises(RefusedError, match="the line was mistyped"):
        LINE.require_checksum(b"1234", b"1243")
