"""What messages are sorted by (RFC 5256 3, RFC 5957)."""

import pytest

from epost.apps.mail.mailbox import MailTime, MessageRow
from epost.servers.imap.sort_order import Criterion, SortKey, fields_needed, place, sortable


def key_of(key: SortKey, header: bytes, *, is_reverse: bool = False):
    row = MessageRow(7, 2, frozenset(), 99, MailTime(1000), "0" * 32, MailTime(500))
    criteria = [Criterion(key, is_reverse)]
    return place(sortable(row, header, fields_needed(criteria)), criteria)[0]


@pytest.mark.parametrize(
    ("key", "header", "value"),
    [
        (SortKey.ARRIVAL, b"\r\n", 1000),
        (SortKey.DATE, b"\r\n", 500),
        (SortKey.SIZE, b"\r\n", 99),
        (SortKey.SUBJECT, b"Subject: Re: tea\r\n\r\n", "TEA"),
        (SortKey.FROM, b"From: Ann <zoe@x.org>, b@x.org\r\n\r\n", "ZOE"),
        (SortKey.TO, b"To: friends: a@x.org;\r\n\r\n", "FRIENDS"),
        (SortKey.CC, b"To: a@x.org\r\n\r\n", ""),
        (SortKey.DISPLAYFROM, b"From: =?utf-8?q?J=C3=B6rg?= <a@x.org>\r\n\r\n", "JO\u0308RG"),
        (SortKey.DISPLAYFROM, b"From: a@x.org\r\n\r\n", "A@X.ORG"),
        (SortKey.DISPLAYTO, b"To: friends: a@x.org;\r\n\r\n", "FRIENDS"),
        (SortKey.DISPLAYTO, b"\r\n", ""),
        (SortKey.DISPLAYTO, b"To: ;\r\n\r\n", ""),
    ],
)
def test_each_key_has_its_value(key: SortKey, header: bytes, value: object) -> None:
    assert key_of(key, header) == value


def test_backwards_turns_the_order_round_and_keeps_equals_equal() -> None:
    tea, tee = (
        key_of(SortKey.SUBJECT, b"Subject: %b\r\n\r\n" % subject, is_reverse=True)
        for subject in (b"tea", b"tee")
    )
    assert tee < tea
    assert not tea < tee
    again = key_of(SortKey.SUBJECT, b"Subject: tea\r\n\r\n", is_reverse=True)
    assert (tea, hash(tea)) == (again, hash(again))
    assert tea != tee
