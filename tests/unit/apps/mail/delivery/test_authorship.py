"""Who a mail may say it is from (threat 35), and that Bcc goes no further."""

from __future__ import annotations

import unicodedata
from typing import Literal

import pytest

from epost.apps.mail.delivery.authorship import (
    is_own_name,
    read_checked_header,
    require_own_names,
    require_unreserved,
    without_blind_copies,
)
from epost.apps.mail.delivery.notice import (
    SUBJECT_BYTES_MAX,
    InNotice,
    make_notice,
    read_notice,
)
from epost.apps.mail.mime.headers import FIELDS_READ_MAX, HEADER_BYTES_READ_MAX
from epost.apps.mail.mime.structure import parse_structure
from epost.crypto.certificates import AccountFlag
from epost.foundation.errors import NotPermitted
from tests.support.mail import ALICE, account


def check(header: bytes, *, flags: int = 0) -> None:
    octets = header + b"\r\n\r\nbody"
    fields = read_checked_header(octets, parse_structure(octets))
    require_unreserved(fields)
    me = account("alice@example.org", aliases=("al@example.org",), flags=flags)
    require_own_names(fields, me)


@pytest.mark.parametrize(
    "header",
    [
        b"From: alice@example.org",
        b"From: Alice <ALICE@Example.ORG>",
        b"from : al@example.org",
        b'From: "Boss, The" <alice@example.org>',
        b"From: alice@example.org (Alice)\r\nSender: al@example.org",
        b"From: alice@example.org, al@example.org",
        b"From:\r\n alice@example.org",
        b"From: alice@example.org\nSubject: bare line feeds",
    ],
)
def test_own_names_may_stand_there(header: bytes) -> None:
    check(header)


@pytest.mark.parametrize(
    "header",
    [
        b"From: boss@example.org",
        b"Subject: nobody wrote this",
        b"From: ",
        b"From: nobody;",
        b"From: alice@example.org, boss@example.org",
        b"From: alice@example.org\r\nFrom: boss@example.org",
        b"From: alice@example.org\r\nSender: boss@example.org",
        b"From: <boss@example.org> <alice@example.org>",
        b"From: alice@example.org <boss@example.org>",
        b"From: alice@example.org@evil.org",
        b"From: alice@example.org\rFrom: boss@example.org",
        b"From: alice@example.org\r\nX-ePOST-Secure: True",
        b"From: alice@example.org\r\nx-epost-anything: y",
        b"From: =?utf-8?q?alice=40example.org?=",
        b"From: alice@example.org\r\nX: " + b"y" * HEADER_BYTES_READ_MAX,
        b"From: alice@example.org\r\n" + b"X: y\r\n" * FIELDS_READ_MAX + b"X: y",
    ],
)
def test_other_names_and_headers_that_hide_some_are_not_permitted(header: bytes) -> None:
    with pytest.raises(NotPermitted):
        check(header)


def test_a_gateway_passes_on_mail_from_anybody() -> None:
    check(b"From: boss@example.com", flags=AccountFlag.GATEWAY)


@pytest.mark.parametrize(
    "address", ["", "alice", "alice@", "al ice@example.org", '"x"@example.org']
)
def test_what_is_no_name_of_ours_is_not_ones_own(address: str) -> None:
    assert not is_own_name(address, {ALICE.name})


@pytest.mark.parametrize(
    ("header", "remaining"),
    [
        (b"A: b\r\n\r\n", b"A: b\r\n\r\n"),
        (b"A: b\r\nBcc: x\r\nC: d\r\n\r\n", b"A: b\r\nC: d\r\n\r\n"),
        (b"bcc : x,\r\n\ty,\r\n z\r\nC: d\r\n\r\n", b"C: d\r\n\r\n"),
        (b"A: b\nBCC: x\nResent-Bcc: y\n\n", b"A: b\n\n"),
        (b"A: b\r\nBcc: x", b"A: b\r\n"),
        (b"X-Bcc: x\r\nA: Bcc: y\r\n\r\n", b"X-Bcc: x\r\nA: Bcc: y\r\n\r\n"),
    ],
)
def test_only_bcc_is_taken_out_and_nothing_else_changes(header: bytes, remaining: bytes) -> None:
    body = b"Bcc: this is text\r\n"
    octets = header + body if header.endswith(b"\n") else header
    expected = remaining + body if header.endswith(b"\n") else remaining
    assert without_blind_copies(octets, parse_structure(octets)) == expected


def test_sec_49_combining_characters_of_a_stranger_are_not_sorted_by_the_ten_thousand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Their normal form takes the square of their number: seconds, for one mail."""
    lengths: list[int] = []
    normalize = unicodedata.normalize

    def watched(form: Literal["NFC", "NFD", "NFKC", "NFKD"], text: str) -> str:
        lengths.append(len(text))
        return normalize(form, text)

    monkeypatch.setattr(unicodedata, "normalize", watched)
    marks = "a\u0301\u0316" * 20_000
    with pytest.raises(NotPermitted):
        check(f"From: {marks}@example.org".encode())
    octets = f"From: {marks}@example.org\r\nSubject: {marks}\r\n\r\n".encode()
    fields = read_checked_header(octets, parse_structure(octets))
    notice = make_notice(fields, InNotice(octets[:10]))
    read_notice(notice)
    assert max(lengths, default=0) <= SUBJECT_BYTES_MAX
