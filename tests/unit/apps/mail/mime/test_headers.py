"""Header fields, read tolerantly."""

import time

import pytest

from epost.apps.mail.mailbox import MailTime
from epost.apps.mail.mime.headers import (
    FIELDS_READ_MAX,
    VALUE_CHARACTERS_MAX,
    HeaderField,
    decode_text,
    decode_words,
    read_content_fields,
    read_date,
    read_fields,
    read_first_values,
    read_message_ids,
    unfold,
)


def test_fields_are_unfolded_and_keep_their_order() -> None:
    fields = read_fields(
        b"Subject: a\r\n b\r\n\tc\r\nX-Empty:\r\nsubject : second\r\nno field\r\n body: x\r\n\r\n"
    )
    assert list(fields) == [
        HeaderField("subject", "a b\tc"),
        HeaderField("x-empty", ""),
        HeaderField("subject", "second"),
    ]
    assert fields.first("subject") == "a b\tc"
    assert fields.first("to") is None
    assert fields.every("subject") == ("a b\tc", "second")


def test_octets_that_are_not_utf8_survive() -> None:
    value = unfold(b" caf\xe9 \xc3\xa9")
    assert value.encode("utf-8", "surrogateescape") == b"caf\xe9 \xc3\xa9"


def test_nul_and_bare_cr_do_not_survive() -> None:
    assert unfold(b" a\x00b\rc") == "abc"


def test_fields_and_values_are_bounded() -> None:
    assert len(list(read_fields(b"a:\n" * (FIELDS_READ_MAX + 1)))) == FIELDS_READ_MAX
    assert len(unfold(b"x" * (VALUE_CHARACTERS_MAX + 1))) == VALUE_CHARACTERS_MAX


def test_content_fields_are_read_alone() -> None:
    fields = read_content_fields(b"Subject: x\nCONTENT-Type: text/html\nContent: x\n")
    assert list(fields) == [HeaderField("content-type", "text/html")]


def test_few_fields_are_read_as_among_all_of_them() -> None:
    block = (
        b"Subject-Line: no\r\nSUBJECT :  long\r\n\tand  folded \r\nX: subject: no\r\n"
        b" message-id: no\r\nSubject: second\r\nMessage-ID:<1@x>\r\nFrom: a\0\xff\n\r\n"
    )
    names = frozenset({"subject", "message-id", "references", "from"})
    fields, few = read_fields(block), read_first_values(block, names)
    assert few == {name: v for name in names if (v := fields.first(name)) is not None}
    assert (few["subject"], few["message-id"]) == ("long\tand  folded", "<1@x>")


@pytest.mark.parametrize(
    ("text", "decoded"),
    [
        ("plain", "plain"),
        ("=?utf-8?q?J=C3=BCrgen_M?= x", "Jürgen M x"),
        ("=?UTF-8?B?SsO8cmdlbg==?=", "Jürgen"),
        ("=?utf-8?b?SsO8cmdlbg?=", "Jürgen"),
        ("=?iso-8859-1*de?q?J=FCrgen?=", "Jürgen"),
        ("=?utf-8?q?a?= =?utf-8?q?b?=", "ab"),
        ("=?utf-8?q?a?=\t  =?utf-8?q?b?= c", "ab c"),
        ("x =?utf-8?q?a?= y", "x a y"),
        (" =?utf-8?q?a?=", " a"),
        ("=?utf-8?q?a?=b=?utf-8?q?c?=", "abc"),
        ("=?no-such?q?a?=", "=?no-such?q?a?="),
        ("=?utf-8?q?a?= =?no-such?q?b?=", "a =?no-such?q?b?="),
        ("=?utf-8?b?A?=", "=?utf-8?b?A?="),
        ("=?utf-8?q?\udcff?=", "\ufffd"),
        ("=?utf-8?q?=FF?=", "\ufffd"),
        ("=?punycode?q?abc?=", "=?punycode?q?abc?="),
        ("=?hex?q?6162?=", "=?hex?q?6162?="),
        ("=?undefined?q?6162?=", "=?undefined?q?6162?="),
    ],
)
def test_encoded_words_are_decoded_where_possible(text: str, decoded: str) -> None:
    assert decode_words(text) == decoded


def test_unknown_charsets_are_none_of_our_business() -> None:
    assert decode_text(b"x", "no\0such") is None
    assert decode_text(b"x", "utf-8") == "x"


@pytest.mark.parametrize(
    ("text", "when"),
    [
        ("Fri, 21 Nov 1997 09:55:06 -0600", MailTime(880127706, -360)),
        ("21 Nov 97 09:55:06 GMT", MailTime(880106106, 0)),
        ("Fri, 21 Nov 1997 09(comment):   55  :  06 -0600", MailTime(880127706, -360)),
        ("Thu, 01 Jan 1970 00:00:00 +0000 (UTC)", MailTime(0, 0)),
        ("Thu, 01 Jan 1970 00:00:00", MailTime(0, 0)),
        ("Thu, 01 Jan 1970 05:30:00 +0530", MailTime(0, 330)),
    ],
)
def test_dates_are_read_with_their_zone(text: str, when: MailTime) -> None:
    assert read_date(text) == when


@pytest.mark.parametrize(
    "text",
    [
        *("", "Whenever", "<HR>", "32 Foo 2000", "1 Jan 999999999999 00:00:00 +0000"),
        *("0 0 0", "1 Jan 2000 99:99:99 +9999", ",", "Mon,", "Mon, 1", "\x00", "(" * 9999),
        *("Fri, 31 Feb 2000 00:00:00 +99999999", "1 Jan -5 0:0:0", "1 Jan 2000 00:00:00 -\udcff"),
    ],
)
def test_unreadable_dates_are_none(text: str) -> None:
    assert read_date(text) is None or isinstance(read_date(text), MailTime)


def test_message_ids_are_found_in_any_text() -> None:
    assert read_message_ids('<a@b> "quoted" <c@d>\t<> <e f> <g@h') == ("<a@b>", "<c@d>")
    assert len(read_message_ids("<a@b>" * 5000)) == 1000


@pytest.mark.parametrize(
    "text",
    ["=?a?q?" * 80_000, "=?utf-8?q?" + "a" * 240_000, "=?utf-8?q?x?= " * 20_000, "<" * 240_000],
)
def test_hostile_values_take_no_time(text: str) -> None:
    start = time.process_time()
    decode_words(text)
    read_message_ids(text)
    read_date(text)
    assert time.process_time() - start < 10, "a fraction of a second"
