"""User names `local@domain`, canonical, of plain characters: the name constraint that counts."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from epost.crypto.hashing import digest
from epost.foundation.errors import RefusedError
from epost.foundation.ids import Digest, RingId

NAME_LENGTH_MAX = 320
NAMES_REMEMBERED = 1000
"""A mail asks a dozen times for the canonical form of two or three names."""
_LOCAL = re.compile(r"[a-z0-9._+-]{1,64}")
_DOMAIN = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9-]{0,62})(\.[a-z0-9]([a-z0-9-]{0,62}))+")


@lru_cache(maxsize=NAMES_REMEMBERED)
def canonical(name: str) -> str:
    """Return the canonical form (NFKC, lower case, IDNA A-label domain); raises RefusedError."""
    if len(name) > NAME_LENGTH_MAX:  # before the normal form, which costs the square of the length
        raise RefusedError(f"a name of {len(name)} characters")
    text = unicodedata.normalize("NFKC", name).strip().lower()
    local, at, domain = text.rpartition("@")
    try:
        domain = domain.encode("idna").decode("ascii") if not domain.isascii() else domain
    except UnicodeError as error:
        raise RefusedError(f"{name!r} has no valid domain") from error
    if not at or not _LOCAL.fullmatch(local) or not _DOMAIN.fullmatch(domain):
        raise RefusedError(f"{name!r} is not a name of the form user@example.org")
    return f"{local}@{domain}"


def is_canonical(name: str) -> bool:
    """Is `name` its own canonical form?"""
    try:
        return len(name) <= NAME_LENGTH_MAX and canonical(name) == name
    except RefusedError:
        return False


def canonical_domain(domain: str) -> str:
    """Return the canonical form of an organisation's domain; raises RefusedError."""
    return canonical("x@" + domain).removeprefix("x@")


def ring_of(domain: str) -> RingId:
    """Return the id of an organisation's ring."""
    return RingId(digest("ring", domain.encode())[:20])


def certificate_digest(name: str) -> Digest:
    """Return the digest of the certificate block that certifies a name (paper 3.1)."""
    return digest("blk/name", name.encode())
