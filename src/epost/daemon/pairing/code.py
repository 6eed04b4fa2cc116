"""What the new machine is given: the listener's address, the hash of its key, a token."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from epost.crypto.certificates import V1
from epost.crypto.hashing import digest
from epost.daemon.config import parse_address
from epost.foundation.codec import Format, encode
from epost.foundation.errors import ConfigError, RefusedError
from epost.foundation.ids import U63, Address, Bytes16
from epost.rings.handed_line import CHECKSUM_BYTES, Checksum, HandedLine, compacted

PREFIX = "epost-device:"
LENGTH_MAX = 1024


class _Wire(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    format: V1
    listener: Bytes16
    token: Bytes16
    expires_at: U63
    address: Address
    checksum: Checksum


_WIRE: Format[_Wire] = Format(_Wire, size_max=LENGTH_MAX)
_LINE = HandedLine("the code", PREFIX, _WIRE, length_max=LENGTH_MAX)


@dataclass(frozen=True, slots=True)
class DeviceCode:
    """Good for one machine and a few minutes.

    `listener` and `token` are empty for a mere address: then digits must be compared.
    """

    address: Address
    listener: bytes = b""
    token: bytes = field(default=b"", repr=False)
    expires_at: int = 0

    def __str__(self) -> str:
        """Return the text, all of it in letters that a QR code stores densely."""
        return _LINE.write(_Wire(*self._fields(), self._checksum())).upper()

    @property
    def name(self) -> str:
        """A name for what is begun with this code; tells nothing of its token."""
        return digest("pairing", encode(self._fields()))[:8].hex()

    def _checksum(self) -> bytes:
        return digest("pairing", encode(self._fields()))[8 : 8 + CHECKSUM_BYTES]

    def _fields(self) -> tuple[int, bytes, bytes, int, Address]:
        return 1, self.listener, self.token, self.expires_at, self.address


def is_device_code(text: str) -> bool:
    """Is this what `epost device add` shows, rather than an invitation?"""
    compact = compacted(text)
    return compact.startswith(PREFIX) or not compact.startswith("epost1:")


def parse_code(text: str, now_ms: int) -> DeviceCode:
    """Read a code, or the address host:port of a listener; raises RefusedError."""
    compact = compacted(text)
    if not compact.startswith(PREFIX):
        try:
            return DeviceCode(parse_address(compact))
        except ConfigError as error:
            raise RefusedError(
                "neither an invitation nor what epost device add shows on your other machine"
            ) from error
    wire = _LINE.read(compact)
    code = DeviceCode(wire.address, wire.listener, wire.token, wire.expires_at)
    _LINE.require_checksum(wire.checksum, code._checksum())
    if now_ms >= code.expires_at:
        raise RefusedError("the code has expired: say epost device add on the other machine again")
    return code
