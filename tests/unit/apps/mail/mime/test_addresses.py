"""Address lists."""

import time

import pytest

from epost.apps.mail.mime.addresses import (
    AddressItem,
    GroupEnd,
    GroupStart,
    MailboxAddress,
    mailboxes,
    read_addresses,
)

A = MailboxAddress("", "a", "x")


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("a@x", [A]),
        ("<a@x>", [A]),
        ("Ann <a@x>", [MailboxAddress("Ann", "a", "x")]),
        ('"Lee, Ann" <a@x>', [MailboxAddress("Lee, Ann", "a", "x")]),
        (r'"a \"b\" \\" <a@x>', [MailboxAddress('a "b" \\', "a", "x")]),
        ("a@x (Ann (the second))", [MailboxAddress("Ann (the second)", "a", "x")]),
        ("Ann  (comment) Lee <a@x>", [MailboxAddress("Ann Lee", "a", "x")]),
        ("<a@x> (Ann)", [MailboxAddress("Ann", "a", "x")]),
        ("a @ x . org", [MailboxAddress("", "a", "x.org")]),
        ('"a b"@x', [MailboxAddress("", "a b", "x")]),
        ("a@[127.0.0.1]", [MailboxAddress("", "a", "[127.0.0.1]")]),
        ("Ann <@r1,@r2:a@x>", [MailboxAddress("Ann", "a", "x", "@r1,@r2")]),
        ("a@x, , a@x,", [A, A]),
        ("Undisclosed:;", [GroupStart("Undisclosed"), GroupEnd()]),
        ("friends: a@x, <a@x>; a@x", [GroupStart("friends"), A, A, GroupEnd(), A]),
        ("friends: a@x", [GroupStart("friends"), A, GroupEnd()]),
        ("=?utf-8?q?J?= <a@x>", [MailboxAddress("=?utf-8?q?J?=", "a", "x")]),
        ("local", [MailboxAddress("", "local", "")]),
        ("Ann <>", [MailboxAddress("Ann", "", "")]),
        ("<>", []),
        ("<a@x", [A]),
        ("<a@x, <a@x>", [A, A]),
        ("a@b@x", [MailboxAddress("", "a@b", "x")]),
        ('"unclosed <a@x>', [MailboxAddress("", "unclosed <a@x>", "")]),
        ("(unclosed a@x", []),
        ("a@x;a@x", [A, A]),
        ("@x", [MailboxAddress("", "", "x")]),
        ("jürgen@münchen", [MailboxAddress("", "jürgen", "münchen")]),
        (")", [MailboxAddress("", ")", "")]),
        ("]", [MailboxAddress("", "]", "")]),
        ("", []),
    ],
)
def test_lists_are_read_as_far_as_they_make_sense(text: str, items: list[AddressItem]) -> None:
    assert list(read_addresses(text)) == items


def test_members_of_groups_are_mailboxes_too() -> None:
    assert mailboxes("friends: a@x;, a@x") == (A, A)


@pytest.mark.no_cover  # tracing takes twice the time, and other tests run the same lines
@pytest.mark.parametrize(
    "unit", ["a,", "(", "<", '"', '"\\', "\\", "a:", ";", "[", "<@a,", "a@", " ", ")", "()", "a "]
)
def test_hostile_lists_take_linear_time(unit: str) -> None:
    start = time.process_time()
    read_addresses(unit * 100_000)
    assert time.process_time() - start < 20, "a second at most; of quadratic time, minutes"
