"""The mail notice: its bytes, its size, and that it holds what it says."""

from __future__ import annotations

import msgspec
import pytest

from epost.apps.mail.delivery.notice import (
    INLINE_BYTES_MAX,
    NOTICE_BYTES_MAX,
    PARTS_MAX,
    InNotice,
    InStore,
    make_notice,
    read_notice,
)
from epost.apps.mail.mime.headers import read_fields
from epost.foundation.errors import PeerError
from epost.post.storage.references import Reference, Secrecy

HEADER = (
    b"From: Alice <alice@example.org>\r\nTo: bob@example.org, friends: c@x.org, d@x.org;\r\n"
    b"Cc: e@x.org\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nMessage-ID: <1@x>\r\n"
    b"Date: Mon, 1 Jan 2024 12:00:00 +0100\r\nBcc: hidden@x.org\r\n\r\n"
)
REFERENCE = Reference(b"\xff" * 32, b"\xff" * 32, Secrecy.UNIQUE, 2, 2**62)


def test_a_notice_tells_the_basics_of_the_header_and_never_bcc() -> None:
    encoded = make_notice(read_fields(HEADER), InNotice(b"octets"))
    notice = read_notice(encoded)
    assert notice.sender == "alice@example.org"
    assert notice.to == ("bob@example.org", "c@x.org", "d@x.org")
    assert notice.cc == ("e@x.org",)
    assert notice.subject == "Grüße"
    assert notice.message_id == "<1@x>"
    assert (notice.date_seconds, notice.date_zone_minutes) == (1_704_106_800, 60)
    assert notice.content == InNotice(b"octets")
    assert b"hidden" not in encoded


def test_a_notice_has_the_bytes_it_always_had() -> None:
    fields = read_fields(b"From: a@b\r\nSubject: s\r\n\r\n")
    assert (
        make_notice(fields, InNotice(b"o")).hex()
        == "9901 00 00 a3614062 90 90 a173 a0".replace(" ", "") + "9201c4016f"
    )


def test_the_longest_header_and_the_largest_content_fit() -> None:
    long = b"\xc3\xbc" * 40_000
    address = b"x" * 300 + b"@" + b"y" * 300
    header = b"From: " + address + b"\r\nSubject: " + long + b"\r\nMessage-ID: <" + long + b">\r\n"
    for name in (b"To: ", b"Cc: "):
        header += name + b", ".join([address] * 50) + b"\r\n"
    for content in (
        InNotice(bytes(INLINE_BYTES_MAX)),
        InStore(64 * 2**20, REFERENCE, (REFERENCE,) * PARTS_MAX),
    ):
        encoded = make_notice(read_fields(header + b"\r\n"), content)
        assert len(encoded) <= NOTICE_BYTES_MAX
        assert read_notice(encoded).content == content


def test_octets_that_are_no_text_become_text() -> None:
    notice = read_notice(
        make_notice(read_fields(b"Subject: \xff\xfe\x00 u\xcc\x88\r\n\r\n"), InNotice(b""))
    )
    assert notice.subject == "\ufffd\ufffd \u00fc"
    assert notice.sender == ""
    assert notice.date_seconds == 0


@pytest.mark.parametrize("content", [InNotice(bytes(INLINE_BYTES_MAX + 1))])
def test_more_than_fits_is_not_decoded(content: InNotice) -> None:
    fields = [1, 0, 0, "", [], [], "", "", [1, content.octets]]
    with pytest.raises(PeerError):
        read_notice(msgspec.msgpack.encode(fields))
