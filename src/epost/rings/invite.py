"""The invite: what an administrator hands a new member, as one line of text (crypto 3.8)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import msgspec

from epost.crypto.certificates import V1, Name
from epost.crypto.hashing import digest
from epost.foundation.codec import Format, encode
from epost.foundation.durations import HOUR_MS
from epost.foundation.errors import RefusedError
from epost.foundation.ids import ADDRESSES_MAX, U63, Address, Bytes16, Digest
from epost.rings.handed_line import CHECKSUM_BYTES, Checksum, HandedLine

PREFIX = "epost1:"
LIFETIME_MS_MAX = 72 * HOUR_MS
TEXT_LENGTH_MAX = 4096

Addresses = Annotated[tuple[Address, ...], msgspec.Meta(min_length=1, max_length=ADDRESSES_MAX)]


class _Wire(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    format: V1
    authority: Bytes16
    token: Bytes16
    expires_at: U63
    addresses: Addresses
    name: Name
    checksum: Checksum


_WIRE: Format[_Wire] = Format(_Wire, size_max=TEXT_LENGTH_MAX)
_LINE = HandedLine("the invite", PREFIX, _WIRE, length_max=TEXT_LENGTH_MAX)


@dataclass(frozen=True, slots=True)
class Invite:
    """One use, one enrolment. `authority` is the fingerprint of the organisation's key.

    `name` says whom it is for, so that one line is all a new member needs; empty for a machine
    that only stores. The issuer goes by its own register, not by this.
    """

    authority: bytes
    token: bytes = field(repr=False)
    expires_at: int
    addresses: tuple[Address, ...]
    name: str = ""

    def __str__(self) -> str:
        """Return the text that is handed over; it holds the secret token."""
        return _LINE.write(_Wire(*self._fields(), self._checksum()))

    def _checksum(self) -> bytes:
        return digest("invite", encode(self._fields()))[:CHECKSUM_BYTES]

    def _fields(self) -> tuple[int, bytes, bytes, int, tuple[Address, ...], str]:
        return 1, self.authority, self.token, self.expires_at, self.addresses, self.name


def parse_invite(text: str, now_ms: int) -> Invite:
    """Read an invite as people paste it; raises RefusedError with words for them."""
    wire = _LINE.read(text)
    invite = Invite(wire.authority, wire.token, wire.expires_at, wire.addresses, wire.name)
    _LINE.require_checksum(wire.checksum, invite._checksum())
    if not now_ms < invite.expires_at <= now_ms + LIFETIME_MS_MAX:
        raise RefusedError("the invite has expired: ask for a new one")
    return invite


def token_hash(token: bytes) -> Digest:
    """Return what the authority stores instead of the token."""
    return digest("token", token)
