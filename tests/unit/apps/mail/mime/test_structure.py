"""The tree of parts."""

import email
import time

import pytest

from epost.apps.mail.mime.structure import (
    DEPTH_MAX,
    PARTS_MAX,
    Part,
    PartKind,
    Span,
    parse_structure,
)
from tests.support.corpus import mails

MULTIPART = b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n'
MEGABYTE = 2**20


def bodies(octets: bytes) -> list[bytes]:
    return [leaf.body.cut(octets) for leaf in parse_structure(octets).leaves()]


def types(octets: bytes) -> list[str]:
    return [leaf.content.media_type for leaf in parse_structure(octets).leaves()]


def test_a_plain_mail_is_one_leaf() -> None:
    mail = b"Subject: hi\r\n\r\nhello\r\n"
    part = parse_structure(mail)
    assert (part.kind, part.children) == (PartKind.LEAF, ())
    assert part.header == Span(0, 15)
    assert part.body.cut(mail) == b"hello\r\n"
    assert part.content.media_type == "text/plain"
    assert len(part.header) == 15


def test_the_line_end_before_a_delimiter_belongs_to_the_delimiter() -> None:
    mail = MULTIPART + b"preamble\r\n--b\r\n\r\none\r\n\r\n--b  \r\n\r\ntwo\r\n--b--\r\nepilogue"
    assert bodies(mail) == [b"one\r\n", b"two"]
    assert bodies(mail.replace(b"\r\n", b"\n")) == [b"one\n", b"two"]


def test_a_part_may_have_no_header_and_no_body() -> None:
    mail = MULTIPART + b"--b\r\n\r\nbody\r\n--b\r\nContent-Type: text/html\r\n--b\r\n\r\n--b--"
    assert bodies(mail) == [b"body", b"", b""]
    assert types(mail) == ["text/plain", "text/html", "text/plain"]


def test_a_delimiter_that_shares_its_line_end_ends_an_empty_part() -> None:
    assert bodies(MULTIPART + b"--b\n--b\n\nx\n--b--\n") == [b"", b"x"]


def test_a_longer_line_is_no_delimiter() -> None:
    mail = MULTIPART + b"--b\r\n\r\n--bc\r\n --b\r\nx--b\r\n--b--x\r\n--b--\r\n--b\r\n\r\nafter"
    assert bodies(mail) == [b"--bc\r\n --b\r\nx--b\r\n--b--x"]


def test_a_multipart_that_is_not_closed_goes_to_the_end() -> None:
    assert bodies(MULTIPART + b"--b\r\n\r\none\r\n--b\r\n\r\ntwo") == [b"one", b"two"]


def test_an_outer_delimiter_ends_what_is_inside() -> None:
    mail = (
        MULTIPART
        + b"--b\r\nContent-Type: multipart/alternative; boundary=inner\r\n\r\n"
        + b"--inner\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--inner--\r\n--b--"
    )
    outer = parse_structure(mail)
    assert [child.kind for child in outer.children] == [PartKind.MULTIPART, PartKind.LEAF]
    assert bodies(mail) == [b"one", b"two\r\n--inner--"]


def test_a_nested_mail_has_its_own_header_and_parts() -> None:
    inner = b"Subject: inner\r\n" + MULTIPART.replace(b'"b"', b"c") + b"--c\r\n\r\nx\r\n--c--"
    mail = MULTIPART + b"--b\r\nContent-Type: message/rfc822\r\n\r\n" + inner + b"\r\n--b--\r\n"
    message = parse_structure(mail).children[0]
    assert message.kind is PartKind.MESSAGE
    assert message.body.cut(mail) == inner
    assert message.children[0].kind is PartKind.MULTIPART
    assert bodies(mail) == [b"x"]


def test_parts_of_a_digest_are_mails_by_default() -> None:
    mail = (
        b"Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: one\n\nbody\n"
        b"--b\nContent-Type: text/plain\n\ntext\n--b--\n"
    )
    first, second = parse_structure(mail).children
    assert first.kind is PartKind.MESSAGE
    assert first.content.media_type == "message/rfc822"
    assert first.children[0].body.cut(mail) == b"body"
    assert second.kind is PartKind.LEAF


@pytest.mark.parametrize(
    ("header", "type_shown"),
    [
        (b"Content-Type: multipart/mixed\n", "text/plain"),
        (b"Content-Type: multipart/mixed; boundary=\n", "text/plain"),
        (b"Content-Type: multipart/mixed; boundary=" + b"b" * 300 + b"\n", "text/plain"),
        (b"Content-Type: multipart/mixed; boundary=other\n", "text/plain"),
        (
            b"Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n",
            "application/octet-stream",
        ),
        (b"Content-Type: garbage\n", "text/plain"),
    ],
)
def test_what_cannot_be_taken_apart_is_a_leaf(header: bytes, type_shown: str) -> None:
    mail = header + b"\n--b\n\nx\n--b--\n"
    part = parse_structure(mail)
    assert (part.kind, part.content.media_type) == (PartKind.LEAF, type_shown)
    assert part.body.cut(mail) == b"--b\n\nx\n--b--\n"


@pytest.mark.parametrize("octets", [b"", b"\n", b"\r\n", b"x", b"\x00\xff", b"a: b", b"--b"])
def test_any_octets_have_a_structure(octets: bytes) -> None:
    part = parse_structure(octets)
    assert part.header.start == 0
    assert part.header.end == part.body.start
    assert part.body.end == len(octets)


def test_depth_is_bounded() -> None:
    nest = b"Content-Type: message/rfc822\n\n"
    part, depth = parse_structure(nest * (DEPTH_MAX + 5) + b"x"), 0
    while part.children:
        part, depth = part.children[0], depth + 1
    assert depth == DEPTH_MAX
    assert part.content.media_type == "application/octet-stream"


def test_the_number_of_parts_is_bounded_and_the_last_takes_the_rest() -> None:
    mail = MULTIPART + b"--b\n\nx\n" * (PARTS_MAX + 10) + b"--b--\n"
    found = bodies(mail)
    assert len(found) == PARTS_MAX - 1
    assert found[0] == b"x"
    assert found[-1].endswith(b"--b--\n")


@pytest.mark.parametrize(
    "octets",
    [
        MULTIPART + b"-" * (16 * MEGABYTE),
        MULTIPART + b"--\n" * (6 * MEGABYTE),
        MULTIPART + b"--bx\n" * (3 * MEGABYTE),
        MULTIPART + b"--b\n" * (4 * MEGABYTE),
        MULTIPART + b"--b" + b" " * (16 * MEGABYTE) + b"x",
        b"a:\n" * (5 * MEGABYTE),
        b"Content-Id:\n" * MEGABYTE,
        b"Content-Type: message/rfc822\n\n" * (MEGABYTE // 2),
        b"".join(
            b'Content-Type: multipart/mixed; boundary="b%d"\n\n--b%d\n' % (n, n) for n in range(150)
        )
        + b"\n--b" * (4 * MEGABYTE),
        b"Content-Type: text/plain; " + b'a="\\' * MEGABYTE,
    ],
    ids=lambda octets: octets[:40].decode() + f"... {len(octets) >> 20} MB",
)
def test_hostile_mails_take_time_linear_in_their_size(octets: bytes) -> None:
    start = time.process_time()
    parse_structure(octets)
    assert time.process_time() - start < 30, "some 1.5 s; of quadratic time, hours"


def python_types(mail: email.message.Message) -> list[str]:
    if mail.is_multipart():
        return [kind for part in mail.get_payload() for kind in python_types(part)]
    return [mail.get_content_type()]


def test_well_formed_mails_have_the_parts_that_python_finds() -> None:
    compared = 0
    for name, octets in mails():
        theirs = email.message_from_bytes(octets)
        if any(part.defects for part in theirs.walk()) or octets.startswith(b"From "):
            continue
        ours = types(octets)
        # Python takes reports and references to mails elsewhere apart; doubled delimiters count
        # as an empty part with us.
        if any(kind.startswith("message/") for kind in ours) or name.endswith(
            ("malformed/000.eml", "msg_37.txt")
        ):
            continue
        assert ours == python_types(theirs), name
        compared += 1
    print(f"{compared} mails compared")
    assert compared > 20


def test_spans_of_the_corpus_nest() -> None:
    def check(part: Part, within: Span) -> None:
        assert within.start <= part.header.start <= part.header.end <= part.body.start
        assert part.body.start <= part.body.end <= within.end
        at = part.body.start
        for child in part.children:
            assert child.header.start >= at
            check(child, part.body)
            at = child.body.end

    for _, octets in mails():
        check(parse_structure(octets), Span(0, len(octets)))
