"""What the public-key blocks of an account and of its devices say (crypto 4.4; POST 3.1).

The identity block is signed by the account key, which no daemon holds; the device block by the
device, which moves, renews its sealing keys and may have to begin a new log.
"""

from __future__ import annotations

from enum import IntFlag
from typing import Annotated

import msgspec

from epost.crypto.certificates import CERTIFICATE_SIZE_MAX
from epost.crypto.sealing import PUBLIC_KEY_BYTES, key_id
from epost.crypto.signing import is_valid_public_key
from epost.crypto.versioned import KEY_BLOCK_SIZE_MAX
from epost.foundation.codec import Format
from epost.foundation.errors import MalformedPacket
from epost.foundation.ids import U8, U32, U63, Bytes16, Bytes32, NodeHandle

DEVICES_MAX = 8
REVOKED_MAX = 64
PREKEYS_MAX = 3
LOGS_MAX = 64
"""Incarnations of one device's log: as often may its disk be restored."""
PUBLIC_REFERENCES_MAX = 64
PUBLIC_REFERENCE_BYTES_MAX = 512

KeyId = Annotated[bytes, msgspec.Meta(min_length=8, max_length=8)]
SealingKey = Annotated[
    bytes, msgspec.Meta(min_length=PUBLIC_KEY_BYTES, max_length=PUBLIC_KEY_BYTES)
]


class IdentityFlag(IntFlag):
    """Choices of the account's owner that senders must respect."""

    STRICT_FORWARD_SECRECY = 1
    """Notices are not sealed to the recovery key: what is lost with every device stays lost."""


class RevokedDevice(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A device that no longer acts for the account, and the last record of its log that counts."""

    number: U8
    device_key: Bytes32
    at: U63
    log_sequence: U63
    log_tip: Bytes32


class Identity(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Content of the identity block."""

    account_id: Bytes32
    generation: U32
    devices: Annotated[
        tuple[Annotated[bytes, msgspec.Meta(max_length=CERTIFICATE_SIZE_MAX)], ...],
        msgspec.Meta(max_length=DEVICES_MAX),
    ]
    revoked: Annotated[tuple[RevokedDevice, ...], msgspec.Meta(max_length=REVOKED_MAX)]
    recovery_sealing_key: SealingKey
    keyring: Bytes32
    flags: U8
    public_references: Annotated[
        tuple[Annotated[bytes, msgspec.Meta(max_length=PUBLIC_REFERENCE_BYTES_MAX)], ...],
        msgspec.Meta(max_length=PUBLIC_REFERENCES_MAX),
    ]


class Prekey(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A sealing key of a device; senders use the newest."""

    key_id: KeyId
    public_key: SealingKey
    created_at: U63


class LogName(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One incarnation of the device's log, and the key that signs its head."""

    incarnation: Bytes16
    log_key: Bytes32


class DeviceInfo(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Content of the device block: contact address, sealing keys, logs (newest last).

    The keyring is sealed to `sealing_key`, which the device's certificate binds; notices to the
    prekeys.
    """

    account_id: Bytes32
    number: U8
    contact: NodeHandle
    sealing_key: SealingKey
    prekeys: Annotated[tuple[Prekey, ...], msgspec.Meta(min_length=1, max_length=PREKEYS_MAX)]
    logs: Annotated[tuple[LogName, ...], msgspec.Meta(min_length=1, max_length=LOGS_MAX)]

    @property
    def newest_prekey(self) -> Prekey:
        """The key to seal to, however old: a device that is away cannot publish another."""
        return max(self.prekeys, key=lambda prekey: (prekey.created_at, prekey.key_id))


_IDENTITY: Format[Identity] = Format(Identity, size_max=KEY_BLOCK_SIZE_MAX)
_DEVICE_INFO: Format[DeviceInfo] = Format(DeviceInfo, size_max=KEY_BLOCK_SIZE_MAX)


def decode_identity(content: bytes) -> Identity:
    """Decode the content of a verified identity block; raises PeerError."""
    return _IDENTITY.decode(content)


def decode_device_info(content: bytes) -> DeviceInfo:
    """Decode the content of a verified device block; raises PeerError."""
    info = _DEVICE_INFO.decode(content)
    if any(prekey.key_id != key_id(prekey.public_key) for prekey in info.prekeys):
        raise MalformedPacket("a sealing key under the id of another")
    if not all(is_valid_public_key(log.log_key) for log in info.logs):
        raise MalformedPacket("a log key that is not a valid point")
    return info
