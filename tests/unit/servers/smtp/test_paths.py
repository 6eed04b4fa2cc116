"""Reading the addresses of MAIL and RCPT."""

import pytest

from epost.servers.smtp.paths import NULL_SENDER, read_path


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("<a@b.example>", ("a@b.example", "")),
        ("<a@b.example> SIZE=5", ("a@b.example", " SIZE=5")),
        ("<>", (NULL_SENDER, "")),
        ("<postmaster>", ("postmaster", "")),
        ('<"a"@b>', ("a@b", "")),
        ('<"a b"@b>', ('"a b"@b', "")),
        (r'<"a\"b"@b>', (r'"a\"b"@b', "")),
        ("<@relay.example,@other:a@b>", ("a@b", "")),
        ("<a+tag@[127.0.0.1]>", ("a+tag@[127.0.0.1]", "")),
        ("<jürgen@münchen.example>", ("jürgen@münchen.example", "")),
        ("<" + "a" * 64 + "@b>", ("a" * 64 + "@b", "")),
    ],
)
def test_paths_of_the_standard_are_read(text: str, found: tuple[str, str]) -> None:
    assert read_path(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a@b",
        "<a@b",
        "<a@b>x",
        "<a b@c>",
        "<a@b c>",
        "<a@@b>",
        "<a@-b>",
        "<a@b->",
        "<a\x00@b>",
        "<a\r\n@b>",
        '<"a\x01"@b>',
        "<a@b>\r\nRCPT",
        "<\udcff@b>",
        "<" + "a" * 65 + "@b>",
        "<" + "ü" * 33 + "@b>",
        "<a@" + "b" * 256 + ">",
        "<a@[1 2]>",
        "<@a>",
    ],
)
def test_everything_else_is_not(text: str) -> None:
    assert read_path(text) is None
