"""What a machine shows to be appointed a deputy of the authority: one line with its public keys.

A deputy issues under keys of its own, which never leave its machine (crypto 3.5, 3.6): the root
certifies them, and the next root block tells everybody. Nothing in the line is secret; whoever
appoints must have it from the right person.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from dataclasses import dataclass
from typing import Annotated

import msgspec

from epost.crypto.certificates import V1, Power
from epost.crypto.hashing import digest
from epost.crypto.signing import is_valid_public_key
from epost.foundation.codec import Format, encode
from epost.foundation.errors import PeerError, RefusedError
from epost.foundation.ids import Bytes32

PREFIX = "epost-deputy:"
TEXT_LENGTH_MAX = 512
POWERS = int(Power.ACCOUNTS | Power.NODES)
"""A deputy renews; who is revoked, and the policy, stay one daemon's word."""
_CHECKSUM_BYTES = 4


class _Wire(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    format: V1
    issuer_key: Bytes32
    certified_log_key: Bytes32
    checksum: Annotated[bytes, msgspec.Meta(min_length=4, max_length=4)]


_WIRE: Format[_Wire] = Format(_Wire, size_max=TEXT_LENGTH_MAX)


@dataclass(frozen=True, slots=True)
class Appointment:
    """The keys that a deputy certifies with, and signs its log with."""

    issuer_key: bytes
    certified_log_key: bytes

    def __str__(self) -> str:
        """Return the line that is handed over."""
        wire = _Wire(1, self.issuer_key, self.certified_log_key, self._checksum())
        return PREFIX + base64.b32encode(encode(wire)).decode().rstrip("=").lower()

    def _checksum(self) -> bytes:
        return digest("appointment", self.issuer_key, self.certified_log_key)[:_CHECKSUM_BYTES]


def parse_appointment(text: str) -> Appointment:
    """Read the line as people paste it; raises RefusedError with words for them."""
    compact = "".join(text.split()).lower()
    if not compact.startswith(PREFIX) or len(compact) > TEXT_LENGTH_MAX:
        raise RefusedError(f"what a deputy shows begins with {PREFIX}")
    digits = compact.removeprefix(PREFIX).upper()
    try:
        wire = _WIRE.decode(base64.b32decode(digits + "=" * (-len(digits) % 8)))
    except (PeerError, binascii.Error, ValueError) as error:
        raise RefusedError("the line is not complete: copy the whole of it") from error
    shown = Appointment(wire.issuer_key, wire.certified_log_key)
    keys = shown.issuer_key, shown.certified_log_key
    if not hmac.compare_digest(shown._checksum(), wire.checksum):
        raise RefusedError("the line was mistyped: its checksum does not match")
    if len(set(keys)) != len(keys) or not all(map(is_valid_public_key, keys)):
        raise RefusedError("these are no keys that a deputy could have")
    return shown
