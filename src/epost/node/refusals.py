"""Which refusal code tells a peer about which of our errors."""

from __future__ import annotations

from epost.foundation.errors import (
    AuthenticityError,
    DiskFull,
    EpostError,
    NotFoundError,
    PeerError,
    QuotaExceeded,
    RefusedError,
    UnavailableError,
)
from epost.foundation.wire import RefusalCode

# The narrowest class first.
_CODES: tuple[tuple[type[EpostError], RefusalCode], ...] = (
    (DiskFull, RefusalCode.DISK_FULL),
    (UnavailableError, RefusalCode.LATER),
    (QuotaExceeded, RefusalCode.QUOTA),
    (RefusedError, RefusalCode.NOT_PERMITTED),
    (NotFoundError, RefusalCode.UNKNOWN),
    (AuthenticityError, RefusalCode.INVALID_BLOCK),
    (PeerError, RefusalCode.MALFORMED),
)


def refusal_code(error: EpostError) -> RefusalCode:
    """Return the code for an error; LATER for one that says nothing about the request."""
    for kind, code in _CODES:
        if isinstance(error, kind):
            return code
    return RefusalCode.LATER
