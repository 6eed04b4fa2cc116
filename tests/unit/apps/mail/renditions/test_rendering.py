"""ENVELOPE, BODY and BODYSTRUCTURE of real and broken mails."""

import pytest

from epost.apps.mail.mailbox import Rendered
from epost.apps.mail.mime.structure import parse_structure
from epost.apps.mail.renditions.rendering import nstring, render, string


def rendered(octets: bytes) -> Rendered:
    return render(octets, parse_structure(octets))


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (b"", b'""'),
        (b"plain", b'"plain"'),
        (rb'a "b" \c', rb'"a \"b\" \\c"'),
        (b"two\r\nlines", b"{10}\r\ntwo\r\nlines"),
        ("café".encode(), b"{5}\r\ncaf\xc3\xa9"),
        (b"x" * 1025, b"{1025}\r\n" + b"x" * 1025),
    ],
)
def test_strings_are_quoted_where_every_client_can_read_it(value: bytes, written: bytes) -> None:
    assert string(value) == nstring(value) == written


def test_an_envelope_names_everybody() -> None:
    octets = (
        b"Date: Mon, 1 Jan 2024 12:00:00 +0100\r\n"
        b"Subject: =?utf-8?q?caf=C3=A9?=\r\n"
        b'From: "Bob, jr." <bob@x.org>\r\n'
        b"Sender: s@x.org\r\nReply-To: r@x.org\r\n"
        b"To: friends: a@x.org, b@y.org;, c@z.org\r\n"
        b"Cc: d@x.org\r\nBcc: e@x.org\r\n"
        b"In-Reply-To: <0@x.org>\r\nMessage-ID: <1@x.org>\r\n\r\n"
    )
    assert rendered(octets).envelope == (
        b'("Mon, 1 Jan 2024 12:00:00 +0100" "=?utf-8?q?caf=C3=A9?=" '
        b'(("Bob, jr." NIL "bob" "x.org")) ((NIL NIL "s" "x.org")) ((NIL NIL "r" "x.org")) '
        b'((NIL NIL "friends" NIL)(NIL NIL "a" "x.org")(NIL NIL "b" "y.org")(NIL NIL NIL NIL)'
        b'(NIL NIL "c" "z.org")) '
        b'((NIL NIL "d" "x.org")) ((NIL NIL "e" "x.org")) "<0@x.org>" "<1@x.org>")'
    )


def test_sender_and_reply_to_default_to_from() -> None:
    envelope = rendered(b"From: a@x\r\nSender:\r\n\r\n").envelope
    author = b'((NIL NIL "a" "x"))'
    assert envelope == b"(NIL NIL " + b" ".join([author] * 3) + b" NIL NIL NIL NIL NIL)"


def test_a_mail_without_header_has_an_empty_envelope() -> None:
    assert rendered(b"").envelope == b"(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"


def test_an_address_without_domain_is_not_taken_for_a_group() -> None:
    assert b'((NIL NIL "root" ""))' in rendered(b"To: root\r\n\r\n").envelope


def test_a_leaf_tells_its_fields() -> None:
    octets = (
        b'Content-Type: image/png; name="a.png"\r\nContent-Transfer-Encoding: BASE64\r\n'
        b"Content-ID: <c@x>\r\nContent-Description: A picture\r\n"
        b'Content-Disposition: attachment; filename="a.png"\r\n'
        b"Content-Language: de, en\r\nContent-Location: http://x/a.png\r\n\r\nAAAA\r\n"
    )
    body = b'("image" "png" ("name" "a.png") "<c@x>" "A picture" "base64" 6'
    assert rendered(octets).body == body + b")"
    assert rendered(octets).bodystructure == (
        body + b' NIL ("attachment" ("filename" "a.png")) ("de" "en") "http://x/a.png")'
    )


def test_parts_and_nested_mails_are_taken_apart() -> None:
    octets = (
        b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n'
        b"--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\none\r\ntwo\r\n"
        b"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\nx\r\n\r\n--b--\r\n"
    )
    text = b'"text" "html" ("charset" "utf-8") NIL NIL "7bit" 8 1'
    inner = b'"text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 3 1'
    mail = (
        b'"message" "rfc822" NIL NIL NIL "7bit" 18 '
        b'(NIL "in" NIL NIL NIL NIL NIL NIL NIL NIL) (%b) 3'
    )
    result = rendered(octets)
    assert result.body == b"((%b)(%b) " % (text, mail % inner) + b'"mixed")'
    none = b" NIL NIL NIL NIL"
    assert result.bodystructure == (
        b"((%b)(%b) " % (text + none, mail % (inner + none) + none)
        + b'"mixed" ("boundary" "b") NIL NIL NIL)'
    )
