"""What of a mail is searched: decoded header fields, and the text of its parts."""

from __future__ import annotations

import pytest

from epost.apps.mail.mime.headers import read_fields
from epost.apps.mail.mime.structure import parse_structure
from epost.apps.mail.text_search import BODY_CHARACTERS_MAX, body_text, header_text


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


def test_all_texts_of_a_mail_are_searched_and_no_attachments() -> None:
    octets = (
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nFirst\r\n--b\r\n"
        b"Content-Type: text/plain\r\nContent-Disposition: attachment\r\n\r\nFile\r\n--b\r\n"
        b"Content-Type: message/rfc822\r\n\r\nSubject: Inner\r\n\r\nNested\r\n--b--\r\n"
    )
    text = body_of(octets)
    assert "first" in text
    assert "subject: inner" in text
    assert "nested" in text
    assert "file" not in text


def test_only_so_much_of_a_mail_is_searched() -> None:
    octets = leaf(b"x" * 3 * BODY_CHARACTERS_MAX)
    assert len(body_of(octets)) == BODY_CHARACTERS_MAX
