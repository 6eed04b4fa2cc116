"""A secret at rest: a key file, under a passphrase (Argon2id) or unprotected (file mode only)."""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from epost.crypto.hashing import tagged
from epost.foundation.codec import Format, encode
from epost.foundation.errors import BadSeal
from epost.foundation.ids import U8
from epost.foundation.ports import Entropy

FORMAT = 1
ARGON2_MEMORY_KIB = 64 * 1024
ARGON2_ITERATIONS = 3
ARGON2_LANES = 4
KEY_FILE_SIZE_MAX = 1024 * 1024


class Protection(IntEnum):
    """How the payload is kept; `epost status` says which."""

    UNPROTECTED = 0
    PASSPHRASE = 1


class _KeyFile(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    format: Annotated[int, msgspec.Meta(ge=FORMAT, le=FORMAT)]
    protection: U8
    purpose: Annotated[str, msgspec.Meta(max_length=64)]
    salt: Annotated[bytes, msgspec.Meta(max_length=16)]
    nonce: Annotated[bytes, msgspec.Meta(max_length=12)]
    payload: bytes


_KEY_FILE: Format[_KeyFile] = Format(_KeyFile, size_max=KEY_FILE_SIZE_MAX)


def lock(secret: bytes, purpose: str, passphrase: str | None, entropy: Entropy) -> bytes:
    """Return the bytes of a key file; without a passphrase only its file mode protects it."""
    if passphrase is None:
        return encode(_KeyFile(FORMAT, Protection.UNPROTECTED, purpose, b"", b"", secret))
    salt, nonce = entropy.token(16), entropy.token(12)
    payload = AESGCM(_stretch(passphrase, salt)).encrypt(nonce, secret, _header(purpose))
    return encode(_KeyFile(FORMAT, Protection.PASSPHRASE, purpose, salt, nonce, payload))


def unlock(data: bytes, purpose: str, passphrase: str | None) -> bytes:
    """Return the secret; raises BadSeal (wrong or missing passphrase), PeerError (not one)."""
    file = _KEY_FILE.decode(data)
    if file.purpose != purpose:
        raise BadSeal(f"a key file for {file.purpose!r}, not for {purpose!r}")
    if file.protection == Protection.UNPROTECTED:
        return file.payload
    if passphrase is None:
        raise BadSeal("the key file needs its passphrase")
    try:
        key = _stretch(passphrase, file.salt)
        return AESGCM(key).decrypt(file.nonce, file.payload, _header(purpose))
    except (InvalidTag, ValueError) as error:
        raise BadSeal("wrong passphrase, or the key file is damaged") from error


def is_protected(data: bytes) -> bool:
    """Does opening this key file need a passphrase?"""
    return _KEY_FILE.decode(data).protection == Protection.PASSPHRASE


def _header(purpose: str) -> bytes:
    return tagged("keyfile", purpose.encode())


def _stretch(passphrase: str, salt: bytes) -> bytes:
    return Argon2id(
        salt=salt,
        length=32,
        iterations=ARGON2_ITERATIONS,
        lanes=ARGON2_LANES,
        memory_cost=ARGON2_MEMORY_KIB,
    ).derive(passphrase.encode())
