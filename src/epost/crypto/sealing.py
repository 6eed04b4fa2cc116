"""Public-key encryption: HPKE with X-Wing (ML-KEM-768 and X25519), HKDF-SHA-256, AES-256-GCM.

A private key is a 32-byte seed; SHAKE-256 expands it to the two parts. A public key is the
ML-KEM encapsulation key (1184 bytes) followed by the X25519 key (32).
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import mlkem, x25519
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)

from epost.crypto.hashing import digest, tagged
from epost.foundation.errors import BadSeal

MLKEM_KEY_BYTES = 1184
PUBLIC_KEY_BYTES = MLKEM_KEY_BYTES + 32
SEED_BYTES = 32
OVERHEAD_BYTES = 1136

_SUITE = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


def key_id(public_key: bytes) -> bytes:
    """Return the 8 bytes by which an envelope says which key opens it."""
    return digest("key/seal", public_key)[:8]


class HpkeSealing:
    """The real Sealing port."""

    def public_key(self, seed: bytes) -> bytes:
        """Return the 1216-byte public key of a 32-byte seed."""
        kem, dh = _parts(seed)
        return kem.public_key().public_bytes_raw() + dh.public_key().public_bytes_raw()

    def seal(self, public_key: bytes, context: str, binding: bytes, plaintext: bytes) -> bytes:
        """Encrypt to a public key; context and binding must be given again to open.

        Raises BadSeal for a public key that is not one.
        """
        try:
            return _SUITE.encrypt(plaintext, _public(public_key), _info(context, binding))
        except ValueError as error:
            raise BadSeal("not a sealing key") from error

    def unseal(self, seed: bytes, context: str, binding: bytes, sealed: bytes) -> bytes:
        """Decrypt with a seed; raises BadSeal."""
        try:
            return _SUITE.decrypt(sealed, _private(seed), _info(context, binding))
        except (InvalidTag, ValueError) as error:
            raise BadSeal("the envelope does not open with this key") from error


def _info(context: str, binding: bytes) -> bytes:
    return tagged("seal/" + context, binding)


def _parts(seed: bytes) -> tuple[mlkem.MLKEM768PrivateKey, x25519.X25519PrivateKey]:
    expanded = hashlib.shake_256(seed).digest(96)
    return (
        mlkem.MLKEM768PrivateKey.from_seed_bytes(expanded[:64]),
        x25519.X25519PrivateKey.from_private_bytes(expanded[64:]),
    )


@lru_cache(maxsize=1)
def _private(seed: bytes) -> MLKEM768X25519PrivateKey:
    # Only the last one, which the next mail will need again: to make it costs as much as to use it,
    # and a key that was destroyed is to leave memory too.
    return MLKEM768X25519PrivateKey(*_parts(seed))


@lru_cache(maxsize=1000)
def _public(public_key: bytes) -> MLKEM768X25519PublicKey:
    if len(public_key) != PUBLIC_KEY_BYTES:
        raise BadSeal("a sealing key has 1216 bytes")
    return MLKEM768X25519PublicKey(
        mlkem.MLKEM768PublicKey.from_public_bytes(public_key[:MLKEM_KEY_BYTES]),
        x25519.X25519PublicKey.from_public_bytes(public_key[MLKEM_KEY_BYTES:]),
    )
