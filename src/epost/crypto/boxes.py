"""Symmetric encryption: a key-committing box for exactly one plaintext per key.

box = commitment (32 bytes), AES-256-GCM ciphertext and tag. AES-GCM alone opens one ciphertext
under two keys if somebody builds it so; the commitment in front, compared first, closes that.
The nonce is constant because a key never serves a second plaintext.
"""

from __future__ import annotations

import hmac

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from epost.crypto.hashing import derive
from epost.foundation.errors import BadSeal

_NONCE = bytes(12)
COMMITMENT_BYTES = 32
OVERHEAD_BYTES = COMMITMENT_BYTES + 16
PADDED_SIZE_MIN = 256


def box(key: bytes, associated: bytes, plaintext: bytes, *, header: bytes = b"") -> bytes:
    """Encrypt under a 32-byte key that is used for this plaintext only; `header` goes before it."""
    inner, commitment = derive(key, "box")
    sealed = AESGCM(inner).encrypt(_NONCE, plaintext, associated + commitment)
    return b"".join((header, commitment, sealed))


def unbox(key: bytes, associated: bytes, boxed: bytes) -> bytes:
    """Decrypt; raises BadSeal if the key is not the one committed to, or anything was changed."""
    inner, commitment = derive(key, "box")
    if not hmac.compare_digest(commitment, boxed[:COMMITMENT_BYTES]):
        raise BadSeal("the box was not made with this key")
    try:
        return AESGCM(inner).decrypt(_NONCE, boxed[COMMITMENT_BYTES:], associated + commitment)
    except (InvalidTag, ValueError) as error:
        raise BadSeal("the box was changed") from error


def padme(size: int) -> int:
    """Return the Padmé length for `size` bytes, at least 256: hides all but log log of a size."""
    if size <= PADDED_SIZE_MIN:
        return PADDED_SIZE_MIN
    exponent = size.bit_length() - 1
    low_bits = exponent - exponent.bit_length()
    mask = (1 << low_bits) - 1
    return (size + mask) & ~mask


def pad(plaintext: bytes) -> bytes:
    """Prefix the u32 length and fill with zeros to a Padmé length."""
    framed = len(plaintext).to_bytes(4, "big") + plaintext
    return framed.ljust(padme(len(framed)), b"\0")


def unpad(padded: bytes) -> bytes:
    """Undo `pad`; raises BadSeal unless the padding is exact and zero."""
    size = int.from_bytes(padded[:4], "big")
    plaintext = padded[4 : 4 + size]
    if len(padded) < 4 or len(plaintext) != size or pad(plaintext) != padded:
        raise BadSeal("padding is not exact")
    return plaintext
