"""What a machine shows to be appointed a deputy of the authority: one line with its public keys.

A deputy issues under keys of its own, which never leave its machine (crypto 3.5, 3.6): the root
certifies them, and the next root block tells everybody. Nothing in the line is secret; whoever
appoints must have it from the right person.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from epost.crypto.certificates import V1, Power
from epost.crypto.hashing import digest
from epost.crypto.signing import is_valid_public_key
from epost.foundation.codec import Format
from epost.foundation.errors import RefusedError
from epost.foundation.ids import Bytes32
from epost.rings.handed_line import CHECKSUM_BYTES, Checksum, HandedLine

PREFIX = "epost-deputy:"
TEXT_LENGTH_MAX = 512
POWERS = int(Power.ACCOUNTS | Power.NODES)
"""A deputy renews; who is revoked, and the policy, stay one daemon's word."""


class _Wire(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    format: V1
    issuer_key: Bytes32
    certified_log_key: Bytes32
    checksum: Checksum


_WIRE: Format[_Wire] = Format(_Wire, size_max=TEXT_LENGTH_MAX)
_LINE = HandedLine("what a deputy shows", PREFIX, _WIRE, length_max=TEXT_LENGTH_MAX)


@dataclass(frozen=True, slots=True)
class Appointment:
    """The keys that a deputy certifies with, and signs its log with."""

    issuer_key: bytes
    certified_log_key: bytes

    def __str__(self) -> str:
        """Return the line that is handed over."""
        return _LINE.write(_Wire(1, self.issuer_key, self.certified_log_key, self._checksum()))

    def _checksum(self) -> bytes:
        return digest("appointment", self.issuer_key, self.certified_log_key)[:CHECKSUM_BYTES]


def parse_appointment(text: str) -> Appointment:
    """Read the line as people paste it; raises RefusedError with words for them."""
    wire = _LINE.read(text)
    shown = Appointment(wire.issuer_key, wire.certified_log_key)
    _LINE.require_checksum(wire.checksum, shown._checksum())
    keys = shown.issuer_key, shown.certified_log_key
    if len(set(keys)) != len(keys) or not all(map(is_valid_public_key, keys)):
        raise RefusedError("these are no keys that a deputy could have")
    return shown
