"""Which refusal a peer gets for which error."""

from __future__ import annotations

import pytest

from epost.foundation.errors import (
    BadSignature,
    CallTimedOut,
    ConfigError,
    DiskFull,
    EpostError,
    HashMismatch,
    LimitExceeded,
    NoSuchBlock,
    NotPermitted,
    Overloaded,
    QuotaExceeded,
)
from epost.foundation.wire import RefusalCode
from epost.node.refusals import refusal_code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DiskFull("full"), RefusalCode.DISK_FULL),
        (Overloaded("busy"), RefusalCode.LATER),
        (CallTimedOut("silence"), RefusalCode.LATER),
        (QuotaExceeded("enough"), RefusalCode.QUOTA),
        (NotPermitted("no"), RefusalCode.NOT_PERMITTED),
        (NoSuchBlock("none"), RefusalCode.UNKNOWN),
        (HashMismatch("other"), RefusalCode.INVALID_BLOCK),
        (BadSignature("forged"), RefusalCode.INVALID_BLOCK),
        (LimitExceeded("long"), RefusalCode.MALFORMED),
        (ConfigError("ours"), RefusalCode.LATER),
    ],
)
def test_an_error_says_by_its_class_who_must_act(error: EpostError, code: RefusalCode) -> None:
    assert refusal_code(error) is code
