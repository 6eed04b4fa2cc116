"""A mail never smuggles a second one: odd line ends are refused, its octets are no commands."""

import pytest

from tests.support.access import ALICE
from tests.unit.servers.smtp.test_session import BOB, TEXT, envelope, talk

SECOND = f"MAIL FROM:<{ALICE}>\r\nRCPT TO:<{BOB}>\r\nDATA\r\n".encode() + TEXT
FALSE_ENDS = [
    *(b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r\n", b"\r\n.\r", b"\r.\r", b"\r\r\n.\r\r\n"),
    *(b"\r\n\x00.\r\n", b"\x00\r\n.\n", b"\n\n.\r\n", b"\r\n.\x00\r\n", b"\r\n.\n\r\n"),
]


@pytest.mark.parametrize("end", FALSE_ENDS)
def test_a_false_end_of_data_is_part_of_the_mail_and_refused(end: bytes) -> None:
    lines, mails = talk(envelope() + b"DATA\r\n" + TEXT + end + SECOND + b"\r\n.\r\nNOOP\r\n")
    assert mails == []
    assert [line[:3] for line in lines] == ["250", "250", "354", "550", "250"]


@pytest.mark.parametrize("end", FALSE_ENDS)
def test_the_same_octets_in_chunks_are_refused(end: bytes) -> None:
    text = TEXT + end + SECOND
    for cut in (len(TEXT), len(TEXT) + 1, len(TEXT) + 2, len(text)):
        begin, rest = text[:cut], text[cut:]
        lines, mails = talk(
            envelope() + b"BDAT %d\r\n%b" % (len(begin), begin),
            b"BDAT %d LAST\r\n%bNOOP\r\n" % (len(rest), rest),
        )
        assert mails == []
        codes = [line[:3] for line in lines]
        assert codes in (["250"] * 3 + ["550", "250"], ["250"] * 2 + ["550", "503", "250"])


def test_what_stands_in_a_chunk_is_never_a_command() -> None:
    inside = b"\r\n.\r\nRSET\r\nBDAT 3 LAST\r\n"
    lines, mails = talk(envelope() + b"BDAT %d LAST\r\n%bNOOP\r\n" % (len(inside), inside))
    assert [mail.octets for mail in mails] == [inside]
    assert [line[:3] for line in lines] == ["250"] * 4


@pytest.mark.parametrize(
    "size", [b"+5", b"5 LAST LAST", b"0x5", b"5,5", b"5 \tLAST", b"\xd9\xa5", b"99999999999999"]
)
def test_a_chunk_of_unclear_size_ends_the_session(size: bytes) -> None:
    lines, mails = talk(envelope() + b"BDAT " + size + b"\r\nRSET\r\nNOOP\r\n")
    assert lines[-1].startswith("501 5.5.4")
    assert len(lines) == 3
    assert mails == []


@pytest.mark.parametrize(
    "line", [b"NOOP\n", b"NOOP\r", b"NO\x00OP\r\n", b"\x00NOOP\r\n", b"NOOP\r\r\n"]
)
def test_a_command_with_an_odd_line_end_or_nul_ends_the_session(line: bytes) -> None:
    lines, _ = talk(line + b"NOOP\r\n")
    assert len(lines) <= 1
    assert all(reply.startswith("500 5.5.2") for reply in lines)
