"""Lines that people hand on, or type: a prefix, and base32 of what they say with a checksum.

Base32 survives line breaks and changed capitals. The checksum finds slips of the hand, no more.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from dataclasses import dataclass
from typing import Annotated, Generic, TypeVar

import msgspec

from epost.foundation.codec import Format, encode
from epost.foundation.errors import PeerError, RefusedError

CHECKSUM_BYTES = 4

Checksum = Annotated[bytes, msgspec.Meta(min_length=CHECKSUM_BYTES, max_length=CHECKSUM_BYTES)]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class HandedLine(Generic[T]):
    """How lines of one kind are written; `noun` is what people call one, with its article."""

    noun: str
    prefix: str
    wire: Format[T]
    length_max: int

    def write(self, said: T) -> str:
        """Return the line."""
        return self.prefix + base64.b32encode(encode(said)).decode().rstrip("=").lower()

    def read(self, text: str) -> T:
        """Read a line as people paste it; raises RefusedError with words for them."""
        compact = compacted(text)
        if not compact.startswith(self.prefix) or len(compact) > self.length_max:
            raise RefusedError(f"{self.noun} begins with {self.prefix}")
        digits = compact.removeprefix(self.prefix).upper()
        try:
            return self.wire.decode(base64.b32decode(digits + "=" * (-len(digits) % 8)))
        except (PeerError, binascii.Error, ValueError) as error:
            raise RefusedError(f"{self.noun} is not complete: copy all of it") from error

    def require_checksum(self, said: bytes, wanted: bytes) -> None:
        """Raise RefusedError unless the checksum that a line bears is that of what it says."""
        if not hmac.compare_digest(said, wanted):
            raise RefusedError(f"{self.noun} was mistyped: its checksum does not match")


def compacted(text: str) -> str:
    """Return a line without what pasting may have done to it."""
    return "".join(text.split()).lower()
