"""Amounts of data as people write them: 50G, 1.5 TB, 500M."""

from __future__ import annotations

import re
from fractions import Fraction

from epost.foundation.errors import RefusedError

MEBIBYTE = 1 << 20
UNLIMITED = frozenset({"none", "unlimited"})
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4, "P": 5}
_SIZE = re.compile(r"(\d+(?:[.,]\d+)?)\s*([KMGTP]?)(I?B)?", re.IGNORECASE)


def parse_mebibytes(text: str) -> int:
    """Return an amount in MiB, rounded up; K, M, G, T and P are powers of 1024, with B or iB.

    0 is no limit, as `none` says. Raises RefusedError.
    """
    if text.strip().lower() in UNLIMITED:
        return 0
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise RefusedError(f"{text!r} is no amount: say 50G, 500M, 1.5T or none")
    number, unit, _ = match.groups()
    octets = Fraction(number.replace(",", ".")) * 1024 ** _POWERS[unit.upper()]
    mebibytes = -(-octets // MEBIBYTE)
    if octets and not unit:
        raise RefusedError(f"{text!r} of what? Say {text}M or {text}G")
    if mebibytes >= 1 << 32:
        raise RefusedError(f"{text!r} is more than can be written down: say none for no limit")
    return int(mebibytes)


def in_words(mebibytes: int) -> str:
    """Return an amount for people."""
    if not mebibytes:
        return "no limit"
    amount, unit = float(mebibytes), "MiB"
    for larger in ("GiB", "TiB", "PiB"):
        if amount < 1024:
            break
        amount, unit = amount / 1024, larger
    return f"{amount:.4g} {unit}"
