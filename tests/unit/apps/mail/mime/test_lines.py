"""Where a mail may hold octets that are no lines."""

import pytest

from epost.apps.mail.mime.lines import require_lines
from epost.apps.mail.mime.structure import parse_structure
from epost.foundation.errors import RefusedError

HEADER = b'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b"\r\n'


def mixed(*parts: bytes) -> bytes:
    return HEADER + b"\r\n" + b"".join(b"--b\r\n%b\r\n" % part for part in parts) + b"--b--\r\n"


def labelled(encoding: bytes, body: bytes) -> bytes:
    return b"Content-Transfer-Encoding: " + encoding + b"\r\n\r\n" + body


@pytest.mark.parametrize("odd", [b"\0", b"a\nb", b"a\rb", b"\r", b"\n\n.\r\r"])
def test_parts_labelled_binary_may_hold_anything_and_others_only_lines(odd: bytes) -> None:
    for mail in (
        labelled(b"binary", odd),
        mixed(labelled(b"8bit", b"x"), labelled(b"binary", odd)),
    ):
        require_lines(mail, parse_structure(mail))
    for mail in (
        labelled(b"8bit", odd),
        mixed(labelled(b"binary", b"x"), labelled(b"8bit", odd)),
        b"X: " + odd + b"\r\n" + labelled(b"binary", b"x"),
        mixed(labelled(b"binary", b"x")) + odd,
    ):
        with pytest.raises(RefusedError):
            require_lines(mail, parse_structure(mail))
