"""Reading files: what is found until a limit, or until something is wrong, is the text."""

from __future__ import annotations

import pytest

from epost.apps.mail.attached.kinds import FileKind
from epost.apps.mail.attached.reading import read_pieces
from tests.support.attached_files import archive, pdf, pdf_of_pages, pdf_stream


def text(kind: FileKind, octets: bytes, characters_max: int = 1000) -> str:
    return "|".join(piece.strip() for piece in read_pieces(kind, octets, characters_max))


def test_the_pages_of_a_pdf_are_read_one_after_the_other() -> None:
    assert text(FileKind.PDF, pdf(b"BT /F1 12 Tf (Hello) Tj ET")) == "Hello"
    pages = pdf_of_pages(b"BT (Hello) Tj ET", b"BT (World) Tj ET")
    assert text(FileKind.PDF, pages) == "Hello|World"


def test_office_documents_are_read() -> None:
    octets = archive(("content.xml", "<text:p>plain</text:p>"))
    assert text(FileKind.OFFICE, octets) == "plain"


def test_no_more_is_read_than_is_wanted() -> None:
    pages = pdf_of_pages(*(b"BT (Hello) Tj ET" for _ in range(3)))
    assert text(FileKind.PDF, pages, 7) == "Hello|He"


def test_a_page_that_cannot_be_read_is_passed_over() -> None:
    unknown = pdf_stream(11, b"x", b"/Filter /Unheard", deflated=False)
    pages = pdf_of_pages(b"BT (one) Tj ET", b"BT (two) Tj ET").replace(
        b"trailer", unknown + b"trailer"
    )
    assert text(FileKind.PDF, pages) == "two"


@pytest.mark.parametrize("kind", list(FileKind))
@pytest.mark.parametrize("octets", [b"", b"%PDF-1.7", b"PK\3\4", b"\xff" * 1000])
def test_what_is_no_such_file_has_no_text(kind: FileKind, octets: bytes) -> None:
    assert text(kind, octets) == ""
