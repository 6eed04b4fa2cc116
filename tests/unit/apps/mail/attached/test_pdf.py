"""What is found of a PDF, however its objects are laid out."""

from __future__ import annotations

import base64
import zlib

import pytest

from epost.apps.mail.attached.pdf import text_of_pdf
from tests.support.attached_files import pdf, pdf_object, pdf_stream

SHOWN = b"BT /F1 12 Tf (Hello) Tj ET"
PAGE = b"<< /Type /Page /Contents 2 0 R >>"


def text(octets: bytes) -> str:
    return text_of_pdf(octets, 1000)


def test_the_text_of_a_page_is_read() -> None:
    assert text(pdf(SHOWN)) == "Hello"


def test_pages_are_read_one_after_the_other() -> None:
    second = pdf_object(10, b"<< /Type /Page /Contents [ 11 0 R 12 0 R ] >>")
    streams = pdf_stream(11, b"BT (World) Tj ET") + pdf_stream(12, b"BT (!) Tj ET")
    assert text(pdf(SHOWN, b"<< >>", second, streams)) == "Hello\nWorld!"


def test_the_array_of_contents_may_be_an_object_of_its_own() -> None:
    page = pdf_object(1, PAGE) + pdf_object(2, b"[ 4 0 R ]")
    assert text(page + pdf_stream(4, SHOWN)) == "Hello"


def test_forms_are_read_too() -> None:
    assert text(pdf_stream(1, SHOWN, b"/Subtype /Form")) == "Hello"


def test_objects_that_lie_compressed_in_others_are_found() -> None:
    packed = pdf_stream(9, b"1 0  " + PAGE, b"/Type /ObjStm /N 1 /First 5")
    assert text(packed + pdf_stream(2, SHOWN)) == "Hello"


def test_fonts_may_be_named_by_the_nodes_above_a_page() -> None:
    mapping = pdf_stream(10, b"beginbfchar <01> <0041> endbfchar")
    font = b"<< /Subtype /TrueType /ToUnicode 10 0 R >>"
    page = pdf_object(1, b"<< /Type /Page /Parent 4 0 R /Contents 2 0 R >>")
    node = pdf_object(4, b"<< /Type /Pages /Resources 5 0 R >>")
    resources = pdf_object(5, b"<< /Font 6 0 R >>") + pdf_object(6, b"<< /F1 3 0 R >>")
    content = pdf_stream(2, b"BT /F1 9 Tf (\x01) Tj ET")
    assert text(page + node + resources + content + pdf_object(3, font) + mapping) == "A"


@pytest.mark.parametrize(
    ("filters", "stored"),
    [
        (b"", SHOWN),
        (
            b"/Filter [ /ASCII85Decode /FlateDecode ]",
            base64.a85encode(zlib.compress(SHOWN)) + b"~>",
        ),
        (b"/Filter /FlateDecode", zlib.compress(SHOWN)[:-4]),
    ],
)
def test_streams_are_read_as_they_are_filtered(filters: bytes, stored: bytes) -> None:
    stream = pdf_stream(2, stored, filters, deflated=False)
    assert text(pdf_object(1, PAGE) + stream) == "Hello"


@pytest.mark.parametrize("filters", [b"/Filter /LZWDecode", b"/Filter /ASCII85Decode"])
def test_a_stream_that_cannot_be_read_is_none(filters: bytes) -> None:
    stream = pdf_stream(2, b"\xff~~" + SHOWN, filters, deflated=False)
    assert text(pdf_object(1, PAGE) + stream) == ""


def test_an_encrypted_file_is_not_read() -> None:
    assert text(pdf(SHOWN) + b"trailer << /Encrypt 8 0 R >>") == ""


def test_no_more_is_read_than_is_wanted() -> None:
    assert text_of_pdf(pdf(b"BT " + b"(word) Tj " * 1000 + b"ET"), 6) == "wordwo"


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"%PDF-1.4",
        pdf_object(1, PAGE),
        pdf_object(1, b"<< /Type /Page /Contents 1 0 R /Parent 1 0 R >>"),
        pdf_object(1, b"<< /Type /Page /Resources << /Font << /F1 99 0 R"),
        pdf_stream(1, b"9 9 9 9 0 5 1 4", b"/ObjStm /First 15"),
        pdf_stream(1, b"BT (open", b"/Subtype /Form"),
    ],
)
def test_what_is_broken_has_no_text(octets: bytes) -> None:
    assert text(octets) == ""


@pytest.mark.parametrize(
    "hostile",
    [
        pdf(b" BT" * 100_000),
        pdf(b"BT " + b"(" * 300_000),
        pdf(b"BT <" * 100_000),
        pdf(b"\0" * 30_000_000),
        b"1 0 obj stream\n" * 100_000,
        b"1 " * 700_000,
        pdf_object(1, b"/Type /Page /Contents [" + b"2 0 R " * 10_000) + pdf_stream(2, b" " * 9999),
        pdf(SHOWN, b"/ToUnicode 10 0 R", pdf_stream(10, b"beginbfchar" * 50_000)),
        pdf(SHOWN, b"/ToUnicode 10 0 R", pdf_stream(10, b"beginbfrange <00><00>[" * 50_000)),
        pdf(SHOWN, b"/ToUnicode 10 0 R", pdf_stream(10, b"beginbfrange <00><ff><00> endbf" * 9999)),
    ],
    ids=range(10),
)
def test_nothing_takes_for_ever_however_it_is_built(hostile: bytes) -> None:
    assert len(text_of_pdf(hostile, 1000)) <= 1000
