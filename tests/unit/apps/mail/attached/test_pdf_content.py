"""Strings that a page shows, and where words and lines end."""

from __future__ import annotations

import pytest

from epost.apps.mail.attached.pdf_content import shown_text
from epost.apps.mail.attached.pdf_fonts import Font


def shown(content: bytes) -> str:
    return shown_text(content, {b"F2": Font(2, {1: "A", 2: "B"}, None)}, 1000)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"BT (a (b) c) Tj ET", "a (b) c"),
        (rb"BT (a\)\(\\\101\n\q\t) Tj ET", "a)(\\A\nq\t"),
        (b"BT (long\\\nline) Tj ET", "longline"),
        (b"BT <48 65 6C6c6F> Tj ET", "Hello"),
        (b"BT /F2 12 Tf <00010002> Tj ET", "AB"),
        (b"BT /F2 12 Tf <00010009> Tj /Unknown 1 Tf (x) Tj ET", "Ax"),
        (b"BT [(He) 20 (l) -40 (lo) -250 (world)] TJ ET", "Hello world"),
        (b"BT (a) Tj 0 -14 Td (b) Tj T* (c) Tj (d) ' ET", "a\nb\nc\nd"),
        (b"BT (a) Tj 30 0 Td (b) Tj ET", "a b"),
        (b"BT 1 0 0 1 50 700 Tm (He) Tj ET BT 1 0 0 1 62 700 Tm (llo) Tj ET", "Hello"),
        (b"BT 50 700 Td (up) Tj ET q 1 0 0 1 0 0 cm Q BT 50 680 Td (down) Tj ET", "up\ndown"),
        (b"BT % (not this)\n(this) Tj ET (nor this) BT", "this"),
        (b"BT 1 Td Tm Tf (a) Tj", "a"),
        (b"BT /Span << /ActualText (x) >> BDC (y) Tj EMC ET", "y"),
    ],
)
def test_text_is_read_in_the_order_in_which_it_is_shown(content: bytes, text: str) -> None:
    assert shown(content).strip() == text.strip()
