"""Ed25519 with a closed list of contexts; verification by libsodium and a point check.

Some libraries accept small-order keys that make any message verify; libsodium refuses them, and
every key that enters is checked to be a valid point of the prime-order group (cached).
"""

from __future__ import annotations

from enum import IntEnum
from functools import lru_cache

import nacl.bindings
import nacl.exceptions

from epost.crypto.hashing import tagged
from epost.foundation.errors import BadSignature

PUBLIC_KEY_BYTES = 32
SIGNATURE_BYTES = 64


class Kind(IntEnum):
    """What a signed object is; its name is the context of the signature. Closed list."""

    ORG = 1
    ISSUER = 2
    ACCOUNT = 3
    NODE = 4
    DEVICE = 5
    ORGROOT = 6
    ISSUERBLOCK = 7
    IDENTITY = 8
    DEVBLOCK = 9
    HEAD = 10
    TICKET = 11
    STORED = 12
    STATEMENT = 13
    DEPOSIT = 14
    NOTICE = 15
    RECEIPT = 16
    PRESENCE = 17
    HANDLE = 18
    ROOTSET = 19
    ENROL_ACCOUNT = 20
    ENROL_RECOVERY = 21
    ENROL_NODE = 22
    REKEY = 23
    SUCCESSION = 24
    EVIDENCE = 25
    REVOKE = 26
    CHARTER = 27
    PERMIT = 28
    PUBLICATION = 29
    SECRET = 30
    ENROL_REKEY = 31

    @property
    def context(self) -> str:
        """The label that separates this kind's signatures from all others."""
        return self.name.lower().replace("_", "/")


class SigningKey:
    """A private Ed25519 key made from a 32-byte seed."""

    __slots__ = ("_secret", "public")

    def __init__(self, seed: bytes) -> None:
        """`seed` is 32 secret bytes from the entropy port or a derivation."""
        self.public, self._secret = nacl.bindings.crypto_sign_seed_keypair(seed)

    def sign(self, kind: Kind, body: bytes) -> bytes:
        """Return the 64-byte signature of `body` as an object of this kind."""
        message = _message(kind, body)
        return nacl.bindings.crypto_sign(message, self._secret)[:SIGNATURE_BYTES]


def verify(public_key: bytes, kind: Kind, body: bytes, signature: bytes) -> None:
    """Raise BadSignature unless `signature` is this key's over `body` as this kind."""
    if len(signature) != SIGNATURE_BYTES or not is_valid_public_key(public_key):
        raise BadSignature("not an acceptable key or signature")
    try:
        nacl.bindings.crypto_sign_open(signature + _message(kind, body), public_key)
    except nacl.exceptions.BadSignatureError as error:
        raise BadSignature(f"bad signature as {kind.context}") from error


@lru_cache(maxsize=10_000)
def is_valid_public_key(key: bytes) -> bool:
    """Is this the canonical encoding of a point of the prime-order group?"""
    return len(key) == PUBLIC_KEY_BYTES and nacl.bindings.crypto_core_ed25519_is_valid_point(key)


def _message(kind: Kind, body: bytes) -> bytes:
    return tagged("sig/" + kind.context, body)
