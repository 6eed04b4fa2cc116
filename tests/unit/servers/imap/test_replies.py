"""Errors become replies."""

import pytest

from epost.foundation import errors
from epost.servers.imap.replies import reply_for


@pytest.mark.parametrize(
    ("error", "start"),
    [
        (errors.NoSuchFolder("x"), b"t NO [NONEXISTENT] "),
        (errors.FolderExists("x"), b"t NO [ALREADYEXISTS] "),
        (errors.NoSuchMail("x"), b"t NO [EXPUNGEISSUED] "),
        (errors.QuotaExceeded("x"), b"t NO [OVERQUOTA] "),
        (errors.DiskFull("x"), b"t NO [OVERQUOTA] The disk is full"),
        (errors.MessageTooLarge("x"), b"t NO [TOOBIG] "),
        (errors.NotPermitted("x"), b"t NO [NOPERM] "),
        (errors.RefusedError("too late"), b"t NO [CANNOT] This cannot be done: too late\r\n"),
        (errors.RefusedError("x" * 999), b"t NO [CANNOT] This cannot be done: xxx"),
        (errors.RefusedError(), b"t NO [CANNOT] This cannot be done\r\n"),
        (errors.PeerRefused(3, "x"), b"t NO [CANNOT] This cannot be done\r\n"),
        (errors.CallTimedOut("x"), b"t NO [UNAVAILABLE] "),
        (errors.HashMismatch("x"), b"t NO [CORRUPTION] "),
        (errors.PeerError("x"), b"t NO [SERVERBUG] "),
    ],
)
def test_every_error_has_a_code(error: errors.EpostError, start: bytes) -> None:
    line = reply_for(error).line(b"t")
    assert line.startswith(start)
    assert line.endswith(b"\r\n")
