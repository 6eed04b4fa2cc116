"""The one encoding: msgpack arrays by position, canonical, bounded (crypto: encoding rule).

Structs are frozen, array-like and forbid unknown fields. Bytes are accepted only if they are
within the limit, decode, and re-encode to themselves: one meaning has one encoding.
"""

from __future__ import annotations

import unicodedata
from typing import Any, Generic, TypeVar

import msgspec

from epost.foundation.errors import LimitExceeded, MalformedPacket

T = TypeVar("T")

_encoder = msgspec.msgpack.Encoder()


def encode(value: object) -> bytes:
    """Return the canonical encoding of a Struct (or a union member)."""
    return _encoder.encode(value)


class Format(Generic[T]):
    """One type (or tagged union) as it travels: decodes what is canonical and within a limit."""

    def __init__(self, type_: Any, *, size_max: int) -> None:
        """`type_` is the Struct or union that T names; `size_max` is in bytes."""
        self._decoder: msgspec.msgpack.Decoder[T] = msgspec.msgpack.Decoder(type_)
        self._size_max = size_max

    def decode(self, data: bytes) -> T:
        """Decode bytes from a peer or a disk.

        Raises LimitExceeded if too long, MalformedPacket for anything else that is not exactly
        one canonical encoding.
        """
        if len(data) > self._size_max:
            raise LimitExceeded(f"{len(data)} bytes where at most {self._size_max} are allowed")
        try:
            value = self._decoder.decode(data)
        except (
            msgspec.ValidationError,
            msgspec.DecodeError,
            UnicodeDecodeError,
            RecursionError,
        ) as error:
            raise MalformedPacket(str(error)) from error
        if _encoder.encode(value) != data:
            raise MalformedPacket("not the canonical encoding")
        return value


def require_nfc(text: str) -> str:
    """Return `text`; raise MalformedPacket unless it is in Unicode normal form C."""
    if not unicodedata.is_normalized("NFC", text):
        raise MalformedPacket("text is not in normal form C")
    return text
