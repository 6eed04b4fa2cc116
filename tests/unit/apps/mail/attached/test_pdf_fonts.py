"""What the codes of fonts stand for."""

from __future__ import annotations

import pytest

from epost.apps.mail.attached.pdf_fonts import CODES_MAX, PLAIN, read_font

COMPOSITE = b"<< /Subtype /Type0 >>"
SIMPLE = b"<< /Subtype /TrueType >>"


def test_a_font_of_which_nothing_is_known_is_read_as_western_text() -> None:
    assert PLAIN.read(b"Gr\xfc\xdfe \x80") == "Grüße €"
    assert read_font(SIMPLE, b"/MacRomanEncoding", b"").read(b"\x9f") == "ü"


def test_a_mapping_to_characters_counts_most() -> None:
    mapping = b"""begincodespacerange <0000> <ffff> endcodespacerange
        2 beginbfchar <0003> <0020> <0010> <00660069> endbfchar
        2 beginbfrange <0024> <0026> <0041> <0030> <0031> [<00E4> <00F6>] endbfrange"""
    font = read_font(COMPOSITE, b"/Identity-H", mapping)
    assert font.read(bytes.fromhex("0024 0025 0026 0003 0010 0030 0031 9999")) == "ABC fiäö"


def test_without_a_mapping_numbers_of_glyphs_say_nothing() -> None:
    assert read_font(COMPOSITE, b"/Identity-H", b"").read(b"\0\1\0\2") == ""


@pytest.mark.parametrize(
    ("name", "character"),
    [
        (b"a", "a"),
        (b"comma", ","),
        (b"seven", "7"),
        (b"backslash", "\\"),
        (b"asciitilde", "~"),
        (b"ffi", "ffi"),
        (b"germandbls", "ß"),
        (b"Odieresis", "Ö"),
        (b"uni20AC", "€"),
        (b"uniQQQQ", "\x0b"),
        (b"g123", "\x0b"),
    ],
)
def test_glyphs_have_names(name: bytes, character: str) -> None:
    font = read_font(SIMPLE, b"<< /Differences [ 11 /" + name + b" /b 65 /c ] >>", b"")
    assert font.read(b"\x0b\x0cA") == character + "bc"


def test_a_mapping_has_only_so_many_characters() -> None:
    ranges = b"".join(b"<%06x> <%06x> <0041>" % (n << 8, n << 8 | 255) for n in range(300))
    assert len(read_font(SIMPLE, b"", b"beginbfrange" + ranges + b"endbf").characters) <= CODES_MAX
