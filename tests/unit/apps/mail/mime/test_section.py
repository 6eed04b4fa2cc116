"""Octets of IMAP sections."""

import pytest

from epost.apps.mail.mime.section import SectionText, find_part, locate
from epost.apps.mail.mime.structure import parse_structure

INNER = b"Subject: inner\n\ninner text\n"
DEEP = b"Content-Type: multipart/mixed; boundary=d\nSubject: deep\n\n--d\n\ndeep one\n--d--"
MAIL = (
    b"Subject: outer\nContent-Type: multipart/mixed; boundary=b\n\n"
    b"--b\nContent-Type: text/html\n\nhtml\n"
    b"--b\nContent-Type: message/rfc822\n\n" + INNER + b"\n"
    b"--b\nContent-Type: message/rfc822\n\n" + DEEP + b"\n--b--\n"
)
OUTER_HEADER = b"Subject: outer\nContent-Type: multipart/mixed; boundary=b\n\n"
PLAIN = b"Subject: plain\n\nbody\n"


def section(mail: bytes, name: str) -> bytes | None:
    """Cut the section of a name such as 1.2.MIME out of a mail."""
    words = name.split(".") if name else []
    numbers = [int(word) for word in words if word.isdigit()]
    text = SectionText(next((word for word in words if not word.isdigit()), ""))
    span = locate(parse_structure(mail), numbers, text)
    return None if span is None else span.cut(mail)


@pytest.mark.parametrize(
    ("name", "octets"),
    [
        ("", MAIL),
        ("HEADER", OUTER_HEADER),
        ("TEXT", MAIL[len(OUTER_HEADER) :]),
        ("1", b"html"),
        ("1.MIME", b"Content-Type: text/html\n\n"),
        ("2", INNER),
        ("2.MIME", b"Content-Type: message/rfc822\n\n"),
        ("2.HEADER", b"Subject: inner\n\n"),
        ("2.TEXT", b"inner text\n"),
        ("2.1", b"inner text\n"),
        ("2.1.MIME", b"Subject: inner\n\n"),
        ("3", DEEP),
        ("3.1", b"deep one"),
        ("3.1.MIME", b"\n"),
        ("3.TEXT", b"--d\n\ndeep one\n--d--"),
    ],
)
def test_sections_of_a_nested_mail(name: str, octets: bytes) -> None:
    assert section(MAIL, name) == octets


@pytest.mark.parametrize(
    "name",
    ["MIME", "0", "4", "1.1", "1.HEADER", "1.TEXT", "2.2", "2.1.1", "2.1.HEADER", "3.1.1", "3.2"],
)
def test_sections_that_do_not_exist(name: str) -> None:
    assert section(MAIL, name) is None


def test_a_mail_without_parts_has_one_part() -> None:
    assert section(PLAIN, "1") == b"body\n"
    assert section(PLAIN, "1.MIME") == b"Subject: plain\n\n"
    assert section(PLAIN, "2") is None
    assert section(PLAIN, "1.1") is None


def test_a_mail_that_is_a_nested_mail_has_it_as_its_part() -> None:
    mail = b"Content-Type: message/rfc822\n\n" + INNER
    assert section(mail, "1") == INNER
    assert section(mail, "1.HEADER") == b"Subject: inner\n\n"
    assert section(mail, "1.1") == b"inner text\n"
    assert section(mail, "1.1.1") is None


def test_a_part_is_found_for_the_structure_of_its_content() -> None:
    part = find_part(parse_structure(MAIL), (1,))
    assert part is not None
    assert part.content.media_type == "text/html"
