"""The text of documents, sheets and presentations."""

from __future__ import annotations

import zipfile

import pytest

from epost.apps.mail.attached.office import INFLATED_BYTES_MAX, text_of_office
from tests.support.attached_files import archive


def text(octets: bytes) -> str:
    return text_of_office(octets, 10_000).strip()


@pytest.mark.parametrize(
    ("name", "xml", "shown"),
    [
        (
            "word/document.xml",
            '<w:p><w:r><w:t>Re</w:t></w:r><w:r><w:t xml:space="preserve">venue &amp; </w:t></w:r>'
            "<w:t>more</w:t></w:p><w:p><wp:offset>7</wp:offset><w:t>Next</w:t></w:p>",
            "Revenue & more\nNext",
        ),
        ("word/footnotes.xml", "<w:t>one</w:t><w:tab/><w:t>two</w:t>", "one\ntwo"),
        ("xl/sharedStrings.xml", "<sst><si><t>Tea</t></si><si><t>Milk</t></si>", "Tea\nMilk"),
        ("xl/worksheets/sheet1.xml", "<c><v>9</v></c><c><is><t>Inline</t></is></c>", "Inline"),
        ("ppt/slides/slide1.xml", "<a:p><a:t>Title</a:t></a:p>", "Title"),
        ("content.xml", "<text:p>An <text:span>o</text:span>dt<text:tab/>x</text:p>", "An odt\nx"),
        ("word/styles.xml", "<w:t>not text</w:t>", ""),
    ],
)
def test_what_is_shown_is_read(name: str, xml: str, shown: str) -> None:
    assert text(archive(("mimetype", "x"), (name, xml), ("other.xml", "<t>no</t>"))) == shown


def test_members_may_be_stored_as_they_are() -> None:
    octets = archive(("content.xml", "<text:p>plain</text:p>"), method=zipfile.ZIP_STORED)
    assert text(octets) == "plain"


def test_no_more_is_read_than_is_wanted() -> None:
    octets = archive(*((f"ppt/slides/s{n}.xml", "<a:t>slide</a:t>") for n in range(9)))
    assert text_of_office(octets, 12) == "slide\nslide\nsl"


@pytest.mark.parametrize("octets", [b"", b"PK\x03\x04", b"PK\x03\x04" * 100, b"PK\x05\x06" * 9])
def test_what_is_no_archive_has_no_text(octets: bytes) -> None:
    assert text(octets) == ""


def test_a_member_that_swells_is_read_in_part() -> None:
    octets = archive(("content.xml", "a" * 2 * INFLATED_BYTES_MAX))
    assert text_of_office(octets, 100) == "a" * 100


@pytest.mark.parametrize("piece", ["<w:t ", "<w:br ", "<", "<w:t>"])
def test_what_never_ends_takes_no_longer_than_what_does(piece: str) -> None:
    octets = archive(("word/document.xml", piece * 300_000), ("content.xml", piece * 300_000))
    assert len(text_of_office(octets, 100)) <= 101
