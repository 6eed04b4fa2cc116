"""Labelled SHA-256 and the key derivation: every use of a hash says what it is for.

Framing makes parts unambiguous: fr(label, parts) = u8 length, label, then for each part its u64be
length and bytes. Everything starts with MAGIC, so no hash of ours equals one of another system.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import NamedTuple

from epost.foundation.ids import Digest

MAGIC = b"ePOST\x01"


def frame(label: str, *parts: bytes) -> bytes:
    """Return the unambiguous concatenation of a label (ASCII, < 256 bytes) and parts."""
    name = label.encode("ascii")
    return b"".join((bytes((len(name),)), name, *(len(p).to_bytes(8, "big") + p for p in parts)))


def digest(label: str, *parts: bytes) -> Digest:
    """Return SHA-256(MAGIC, framed label and parts): 32 bytes."""
    return Digest(hashlib.sha256(MAGIC + frame(label, *parts)).digest())


class Derived(NamedTuple):
    """The two halves of a derivation: a key, and a commitment to it."""

    key: bytes
    commitment: bytes


def derive(key: bytes, label: str, *parts: bytes) -> Derived:
    """Return HMAC-SHA-512(key, MAGIC, framed label and parts), cut into two 32-byte halves."""
    whole = hmac.digest(key, MAGIC + frame(label, *parts), "sha512")
    return Derived(whole[:32], whole[32:])


def u32(value: int) -> bytes:
    """Return 4 bytes, big-endian."""
    return value.to_bytes(4, "big")


def u64(value: int) -> bytes:
    """Return 8 bytes, big-endian."""
    return value.to_bytes(8, "big")
