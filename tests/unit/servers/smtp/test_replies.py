"""SMTP replies."""

import pytest

from epost.foundation import errors
from epost.servers.smtp import replies
from epost.servers.smtp.config import SmtpConfig
from epost.servers.smtp.replies import Reply, is_protocol_error, reply_for, with_status


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.MessageTooLarge("70 MB"), "552 5.3.4"),
        (errors.QuotaExceeded("quota"), "552 5.2.2"),
        (errors.NotPermitted("From: is not yours"), "550 5.7.1"),
        (errors.RefusedError("no"), "554 5.7.0"),
        (errors.NoSuchUser("bob"), "550 5.1.1"),
        (errors.NoSuchBlock("block"), "451 4.3.0"),
        (errors.DiskFull("full"), "452 4.3.1"),
        (errors.TooFewReplicas("1 of 3"), "451 4.4.0"),
        (errors.BadSignature("x"), "451 4.3.0"),
        (errors.MalformedPacket("x"), "451 4.3.0"),
    ],
)
def test_every_branch_of_the_errors_has_its_code(error: errors.EpostError, code: str) -> None:
    assert str(reply_for(error)).startswith(code + " ")


def test_a_reply_is_one_line_of_printable_ascii_and_bounded_length() -> None:
    line = str(Reply(451, "4.0.0", "a\r\n250 ok\x00ü" + "x" * 1000))
    assert line.startswith("451 4.0.0 a 250 ok ")
    assert line.isascii()
    assert line.isprintable()
    assert len(line) < 500


def test_replies_of_the_library_get_an_enhanced_code_and_keep_their_own() -> None:
    assert with_status("250 OK") == "250 2.0.0 OK"
    assert with_status("501 Syntax: RSET") == "501 5.5.4 Syntax: RSET"
    assert with_status("553 5.1.3 malformed") == "553 5.1.3 malformed"
    assert with_status("354 go on") == "354 go on"
    assert with_status("334 dGV4dA==") == "334 dGV4dA=="


def test_refused_recipients_are_no_protocol_errors() -> None:
    assert not is_protocol_error(str(replies.NO_SUCH_RECIPIENT))
    assert is_protocol_error(str(replies.UNKNOWN_COMMAND))
    assert not is_protocol_error("")


def test_limits_outside_their_range_are_refused() -> None:
    for limits in ({"message_bytes_max": 0}, {"recipients_max": 0}, {"recipients_max": 10_001}):
        with pytest.raises(ValueError, match="must be"):
            SmtpConfig(**limits)
