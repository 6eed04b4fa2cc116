"""What of a mail is searched: decoded header fields, and the text of its parts."""

from __future__ import annotations

import pytest

from epost.apps.mail.attached.kinds import FILE_BYTES_MAX, FileKind
from epost.apps.mail.mime.headers import read_fields
from epost.apps.mail.mime.structure import parse_structure
from epost.apps.mail.renditions.text_search import (
    BODY_CHARACTERS_MAX,
    body_text,
    files_to_read,
    header_text,
)


def body_of(octets: bytes) -> str:
    return body_text(octets, parse_structure(octets))


def leaf(content: bytes, encoding: bytes = b"7bit", kind: bytes = b"text/plain") -> bytes:
    return (
        b"Content-Type: " + kind + b"\r\nContent-Transfer-Encoding: " + encoding + b"\r\n\r\n"
    ) + content


def test_header_fields_are_decoded_one_a_line() -> None:
    block = b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n an ALLE\r\nX: a\xff\r\n\r\n"
    assert header_text(read_fields(block)) == "subject: grüsse an alle\nx: a\ufffd\n"


def test_an_address_with_comments_within_is_found_without_them() -> None:
    block = b"From: <bob (the cook)@ (home) x.org>\r\n\r\n"
    assert header_text(read_fields(block)).endswith("\nfrom: bob@x.org\n")


def test_no_field_can_pretend_to_be_two() -> None:
    block = b"Subject: =?utf-8?q?a=0AFrom:_boss?=\r\n\r\n"
    assert header_text(read_fields(block)).count("\n") == 1


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (leaf(b"Plain TEXT"), "plain text"),
        (leaf(b"Gr=C3=BC=\r\ne", b"quoted-printable", b"text/plain; charset=utf-8"), "grüe"),
        (leaf(b"SGFs\r\nbG8h\r\n", b"base64"), "hallo!"),
        (leaf(b"SGFsbG8", b"base64"), "hallo"),
        (leaf(b"SGFsbG8h*A", b"base64"), "hallo!"),
        (leaf(b"\xfc", kind=b"text/plain; charset=latin-1"), "ü"),
        (leaf(b"\xfc", kind=b"text/plain; charset=unheard-of"), "\ufffd"),
        (leaf(b"binary", kind=b"image/png"), ""),
        (b"", ""),
    ],
)
def test_text_is_decoded_as_the_part_says(octets: bytes, text: str) -> None:
    assert body_of(octets) == text


def test_all_texts_of_a_mail_and_of_its_attachments_are_searched() -> None:
    octets = (
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nFirst\r\n--b\r\n"
        b"Content-Type: text/csv\r\n"
        b"Content-Disposition: attachment; filename=Prices.csv\r\n\r\nTea;4\r\n--b\r\n"
        b"Content-Type: image/png\r\n"
        b"Content-Disposition: attachment; filename=Cat.png\r\n\r\nPurr\r\n--b\r\n"
        b"Content-Type: message/rfc822\r\n\r\nSubject: Inner\r\n\r\nNested\r\n--b--\r\n"
    )
    text = body_of(octets)
    assert "first" in text
    assert "subject: inner" in text
    assert "nested" in text
    assert "prices.csv\ntea;4" in text
    assert "cat.png" in text
    assert "purr" not in text


def test_html_is_searched_as_it_is_shown() -> None:
    octets = leaf(b"<p>Gr&uuml;<b>&szlig;e</b><br>an <i>alle</i>", kind=b"text/html")
    assert "grüsse an alle" in body_of(octets)


def test_files_that_are_read_later_stand_there_with_their_names() -> None:
    octets = leaf(b"%PDF-1.7", kind=b"application/pdf; name=Report.PDF")
    assert body_of(octets) == "report.pdf"
    assert [kind for kind, _ in files_to_read(parse_structure(octets))] == [FileKind.PDF]


@pytest.mark.parametrize(
    "octets",
    [
        leaf(b"x" * (FILE_BYTES_MAX + 1), kind=b"application/pdf"),
        leaf(b"x", kind=b"text/plain; name=notes.pdf"),
        leaf(b"x", kind=b"image/png"),
    ],
)
def test_what_is_too_large_and_what_is_no_such_file_is_not_read_later(octets: bytes) -> None:
    assert not list(files_to_read(parse_structure(octets)))


def test_only_so_much_of_a_mail_is_searched() -> None:
    octets = leaf(b"x" * 3 * BODY_CHARACTERS_MAX)
    assert len(body_of(octets)) == BODY_CHARACTERS_MAX
