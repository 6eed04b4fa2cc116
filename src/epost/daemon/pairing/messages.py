"""What the two machines say to each other, in this order, and the digits that both show."""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Final

import msgspec

from epost.crypto.certificates import CERTIFICATE_SIZE_MAX, V1
from epost.crypto.hashing import digest
from epost.crypto.versioned import KEY_BLOCK_SIZE_MAX
from epost.foundation.codec import Format
from epost.foundation.ids import Bytes16, Bytes32, Bytes64, Digest
from epost.foundation.wire import REFUSAL_TEXT_MAX
from epost.post.accounts.blocks import SealingKey
from epost.post.accounts.keyring import KEYRING_BYTES_MAX
from epost.rings.enrolment import DeviceRequest

GRANT_SIZE_MAX = 256 * 1024
DIGITS = 6


class Step(IntEnum):
    """What a frame holds."""

    OPENING = 1
    NUMBER = 2
    OFFER = 3
    GRANT = 4
    READY = 5
    DONE = 6
    REFUSAL = 7


class Opening(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The new machine begins: the code's token, or nothing, and a commitment to its offer."""

    format: V1
    token: Annotated[bytes, msgspec.Meta(max_length=16)]
    commitment: Bytes32


class Offer(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The public keys that the new machine has drawn; `number` is random."""

    format: V1
    number: Bytes16
    node_key: Bytes32
    device_key: Bytes32
    sealing_key: SealingKey
    root_log_key: Bytes32


class Grant(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What the account says: enrol with this request, and be this device.

    `request` lacks the signature of the new machine's node key. `certificate` is the device's,
    `identity` the next identity block, `keyring` what it names.
    """

    format: V1
    invite: Annotated[str, msgspec.Meta(max_length=4096)]
    request: DeviceRequest
    by_account: Bytes64
    certificate: Annotated[bytes, msgspec.Meta(max_length=CERTIFICATE_SIZE_MAX)]
    keyring: Annotated[bytes, msgspec.Meta(max_length=KEYRING_BYTES_MAX)]
    identity: Annotated[bytes, msgspec.Meta(max_length=KEY_BLOCK_SIZE_MAX)]


OPENING: Format[Opening] = Format(Opening, size_max=256)
OFFER: Format[Offer] = Format(Offer, size_max=4096)
GRANT: Format[Grant] = Format(Grant, size_max=GRANT_SIZE_MAX)
NUMBER_BYTES = 16
SIZES: Final = {
    Step.OPENING: 256,
    Step.NUMBER: NUMBER_BYTES,
    Step.OFFER: 4096,
    Step.GRANT: GRANT_SIZE_MAX,
    Step.READY: 0,
    Step.DONE: 0,
    Step.REFUSAL: 4 * REFUSAL_TEXT_MAX,
}


def commitment_to(offer: bytes) -> Digest:
    """Return what binds the new machine to its offer before it knows the other's number."""
    return digest("sas-commit", offer)


def digits_of(listener: bytes, number: bytes, offer: bytes) -> str:
    """Return the digits that both machines show: of the key in TLS, both numbers, all keys.

    `listener` is the SHA-256 of the SubjectPublicKeyInfo that this side saw, or has.
    """
    value = int.from_bytes(digest("sas", listener, number, offer)[:8], "big") % 10**DIGITS
    text = f"{value:0{DIGITS}}"
    return f"{text[:3]} {text[3:]}"
