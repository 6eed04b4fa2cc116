"""Tokens, where dialogues do not reach."""

import pytest

from epost.servers.imap.syntax.cursor import Cursor
from epost.servers.imap.syntax.errors import ImapSyntaxError
from epost.servers.imap.syntax.formats import resp_text
from epost.servers.imap.syntax.framing import Frame


def cursor(text: bytes, *literals: bytes) -> Cursor:
    return Cursor(Frame(text, literals))


@pytest.mark.parametrize(
    ("text", "value"),
    [(b"atom]", b"atom]"), (b'"a\\"b"', b'a"b'), (b'""', b""), (b"{3}\r\n", b"abc")],
)
def test_a_string_is_an_atom_quoted_or_a_literal(text: bytes, value: bytes) -> None:
    assert cursor(text, b"abc").astring() == value


@pytest.mark.parametrize("text", [b"", b"(", b'"open', b'"a\\b"', b"{3}", b"{3}\r\n", b"{x}\r\n"])
def test_what_is_no_astring(text: bytes) -> None:
    with pytest.raises(ImapSyntaxError):
        cursor(text).astring()


def test_nil_is_a_word_of_its_own() -> None:
    assert cursor(b"NIL").nstring() is None
    assert cursor(b'"NIL"').nstring() == b"NIL"
    assert not cursor(b"NILS").nil()


def test_numbers_have_a_greatest() -> None:
    assert cursor(b"4294967295").number() == 2**32 - 1
    with pytest.raises(ImapSyntaxError, match="too big"):
        cursor(b"4294967296").number()
    with pytest.raises(ImapSyntaxError):
        cursor(b"-1").number()


def test_text_is_utf_8() -> None:
    assert cursor('"é"'.encode()).text() == "é"
    with pytest.raises(ImapSyntaxError):
        cursor(b'"\xe9"').text()


def test_a_list_has_members_with_one_space_between_them() -> None:
    one = cursor(b"(a b)")
    assert one.listed(one.atom) == [b"a", b"b"]
    for wrong in (b"()", b"(a", b"(a  b)", b"a"):
        bad = cursor(wrong)
        with pytest.raises(ImapSyntaxError):
            bad.listed(bad.atom)


def test_response_text_is_one_line_of_ascii() -> None:
    assert resp_text("a\r\nb é") == b"a??b ?"
    assert resp_text("") == b"-"
