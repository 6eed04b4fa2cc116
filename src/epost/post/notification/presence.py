"""Presence: a device tells its account's group where it can be reached now (crypto 7.6).

Anybody may multicast to a group, so a presence is believed only if the account's device signed it,
lately, and later than the one before; and whatever follows goes to the node id it names, which the
link proves.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Annotated

import msgspec

from epost.crypto.certificates import (
    CERTIFICATE_SIZE_MAX,
    V1,
    AccountCert,
    DeviceCert,
    open_device_certificate,
)
from epost.crypto.hashing import digest
from epost.crypto.signed import open_signed, sign
from epost.crypto.signing import Kind, SigningKey
from epost.foundation.codec import Format, encode
from epost.foundation.errors import ReplayedNotification, UntrustedCertificate
from epost.foundation.ids import ID_BYTES, U8, U63, Bytes32, Id, NodeHandle
from epost.post.ports import Directory

PRESENCE_BYTES_MAX = 48 * 1024
CLOCK_DIFFERENCE_MS_MAX = 5 * 60 * 1000
DEVICES_REMEMBERED_MAX = 10_000


class Presence(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What the device signs: `number` grows with each presence, `at` is in milliseconds."""

    account_id: Bytes32
    device: U8
    node: NodeHandle
    at: U63
    number: U63


class SignedPresence(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A presence as it travels through the group."""

    format: V1
    presence: Annotated[bytes, msgspec.Meta(max_length=8192)]
    account_certificate: Annotated[bytes, msgspec.Meta(max_length=CERTIFICATE_SIZE_MAX)]
    device_certificate: Annotated[bytes, msgspec.Meta(max_length=CERTIFICATE_SIZE_MAX)]


_PRESENCE: Format[Presence] = Format(Presence, size_max=8192)
_SIGNED_PRESENCE: Format[SignedPresence] = Format(SignedPresence, size_max=PRESENCE_BYTES_MAX)


def group_of(account_id: bytes) -> Id:
    """Return the Scribe group of an account (POST 3.1)."""
    return Id(digest("group", account_id)[:ID_BYTES])


def sign_presence(
    presence: Presence, key: SigningKey, *, account_certificate: bytes, device_certificate: bytes
) -> bytes:
    """Sign a presence and put its certificates beside it."""
    signed = sign(key, Kind.PRESENCE, encode(presence))
    return encode(SignedPresence(1, signed, account_certificate, device_certificate))


class VerifiedPresence(msgspec.Struct, frozen=True):
    """A presence whose certificates and signature hold; whether the account still lists the device
    is for the caller to ask."""

    presence: Presence
    account: AccountCert
    device: DeviceCert


class PresenceCheck:
    """Verifies presences and remembers the last of each device, so that none is replayed."""

    def __init__(self, directory: Directory, ring: bytes) -> None:
        self._directory = directory
        self._ring = ring
        self._last: OrderedDict[tuple[bytes, bytes], int] = OrderedDict()

    def open(self, data: bytes, group: Id, now_ms: int) -> VerifiedPresence:
        """Verify a presence that came through a group.

        Raises AuthenticityError or PeerError; ReplayedNotification if it is old or was seen.
        """
        signed = _SIGNED_PRESENCE.decode(data)
        account = self._directory.verify_account(signed.account_certificate, now_ms)
        device = open_device_certificate(signed.device_certificate, account)
        presence = open_signed(signed.presence, Kind.PRESENCE, device.device_key, _PRESENCE)
        if presence.account_id != account.account_id or group_of(account.account_id) != group:
            raise UntrustedCertificate("a presence in the group of somebody else")
        if presence.device != device.number or presence.node.ring != self._ring:
            raise UntrustedCertificate("a presence of another device, or in another ring")
        if abs(now_ms - presence.at) > CLOCK_DIFFERENCE_MS_MAX:
            raise ReplayedNotification("an old presence")
        self._require_newer((account.account_id, device.device_key), presence.number)
        return VerifiedPresence(presence, account, device)

    def _require_newer(self, whose: tuple[bytes, bytes], number: int) -> None:
        if number <= self._last.get(whose, -1):
            raise ReplayedNotification("a presence that was seen before")
        self._last[whose] = number
        self._last.move_to_end(whose)
        if len(self._last) > DEVICES_REMEMBERED_MAX:
            self._last.popitem(last=False)
