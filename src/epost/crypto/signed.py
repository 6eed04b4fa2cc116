"""A signed object as it travels: [format, kind, body, signature] over exactly the body's bytes."""

from __future__ import annotations

from typing import Annotated, TypeVar

import msgspec

from epost.crypto.signing import Kind, SigningKey, verify
from epost.foundation.codec import Format, encode
from epost.foundation.errors import MalformedPacket, PeerError
from epost.foundation.ids import U8, Bytes64

FORMAT = 1
SIGNED_SIZE_MAX = 256 * 1024

T = TypeVar("T")


class Signed(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The outer frame; nothing inside `body` is believed before the signature was verified."""

    format: Annotated[int, msgspec.Meta(ge=FORMAT, le=FORMAT)]
    kind: U8
    body: bytes
    signature: Bytes64


_SIGNED: Format[Signed] = Format(Signed, size_max=SIGNED_SIZE_MAX)


def sign(key: SigningKey, kind: Kind, body: bytes) -> bytes:
    """Return the encoded signed object."""
    return encode(Signed(FORMAT, int(kind), body, key.sign(kind, body)))


def parse(data: bytes, kind: Kind) -> Signed:
    """Check size, frame and kind, not the signature; raises PeerError."""
    signed = _SIGNED.decode(data)
    if signed.kind != kind:
        raise MalformedPacket(f"expected a signed {kind.context}")
    return signed


def is_signed_as(kind: Kind, data: bytes) -> bool:
    """Is this, as far as its frame says, a signed object of that kind?"""
    try:
        parse(data, kind)
    except PeerError:
        return False
    return True


def open_signed(data: bytes, kind: Kind, public_key: bytes, body: Format[T]) -> T:
    """Verify with a key already known, then decode the body; raises PeerError, BadSignature."""
    signed = parse(data, kind)
    verify(public_key, kind, signed.body, signed.signature)
    return body.decode(signed.body)
