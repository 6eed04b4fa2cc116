"""Labelled SHA-256 and the key derivation: every use of a hash says what it is for.

Framing makes parts unambiguous: fr(label, parts) = u8 length, label, then for each part its u64be
length and bytes. Everything starts with MAGIC, so no hash of ours equals one of another system.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from epost.foundation.ids import Digest

MAGIC = b"ePOST\x01"
LABELS_REMEMBERED = 256
"""More than there are: they are written in the program."""
STREAMED_BYTES_MIN = 32 * 1024
"""From this size on parts are hashed where they lie: to copy one would cost more than its hash."""


def frame(label: str, *parts: bytes) -> bytes:
    """Return the unambiguous concatenation of a label (ASCII, < 256 bytes) and parts."""
    return _framed(_prefix(label), parts)


def tagged(label: str, *parts: bytes) -> bytes:
    """Return the same behind MAGIC, as it is hashed and signed."""
    return _framed(_tagged_prefix(label), parts)


def _framed(prefix: bytes, parts: tuple[bytes, ...]) -> bytes:
    if len(parts) == 1:  # most have one, and there are a hundred to a mail
        return b"%b%b%b" % (prefix, len(parts[0]).to_bytes(8, "big"), parts[0])
    return b"".join((prefix, *[len(p).to_bytes(8, "big") + p for p in parts]))


@lru_cache(maxsize=LABELS_REMEMBERED)
def _prefix(label: str) -> bytes:
    name = label.encode("ascii")
    return bytes((len(name),)) + name


@lru_cache(maxsize=LABELS_REMEMBERED)
def _tagged_prefix(label: str) -> bytes:
    return MAGIC + _prefix(label)


def digest(label: str, *parts: bytes) -> Digest:
    """Return SHA-256(MAGIC, framed label and parts): 32 bytes."""
    if not _are_large(parts):
        return Digest(hashlib.sha256(tagged(label, *parts)).digest())
    hasher = hashlib.sha256(_tagged_prefix(label))
    for piece in _framing(parts):
        hasher.update(piece)
    return Digest(hasher.digest())


def keyed_digest(key: bytes, label: str, *parts: bytes) -> bytes:
    """Return HMAC-SHA-256(key, MAGIC, framed label and parts): 32 bytes."""
    if not _are_large(parts):
        return hmac.digest(key, tagged(label, *parts), "sha256")
    hasher = hmac.new(key, _tagged_prefix(label), "sha256")
    for piece in _framing(parts):
        hasher.update(piece)
    return hasher.digest()


def _are_large(parts: tuple[bytes, ...]) -> bool:
    """Only the last is looked at: a long part is the last, and most hashes are of few octets."""
    return bool(parts) and len(parts[-1]) >= STREAMED_BYTES_MIN


def _framing(parts: tuple[bytes, ...]) -> Iterator[bytes]:
    """Yield the pieces of `_framed` behind the prefix."""
    for part in parts:
        yield len(part).to_bytes(8, "big")
        yield part


class Derived(NamedTuple):
    """The two halves of a derivation: a key, and a commitment to it."""

    key: bytes
    commitment: bytes


def derive(key: bytes, label: str, *parts: bytes) -> Derived:
    """Return HMAC-SHA-512(key, MAGIC, framed label and parts), cut into two 32-byte halves."""
    whole = hmac.digest(key, tagged(label, *parts), "sha512")
    return Derived(whole[:32], whole[32:])


def u32(value: int) -> bytes:
    """Return 4 bytes, big-endian."""
    return value.to_bytes(4, "big")


def u64(value: int) -> bytes:
    """Return 8 bytes, big-endian."""
    return value.to_bytes(8, "big")
