"""Pending notices and the receipts for them: what their holders see and check (crypto 7.2, 7.6).

Both lie in the recipient's ring under one digest, in kinds of their own. A holder drops the notice
only for a receipt signed by a device of the account that it is for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated

import msgspec

from epost.crypto.certificates import (
    CERTIFICATE_SIZE_MAX,
    V1,
    AccountCert,
    DeviceCert,
    open_device_certificate,
    recall_device,
)
from epost.crypto.hashing import digest
from epost.crypto.signed import open_signed, parse, sign
from epost.crypto.signing import Kind, SigningKey
from epost.foundation.codec import Format, encode
from epost.foundation.durations import DAY_MS
from epost.foundation.errors import MalformedPacket, UntrustedCertificate
from epost.foundation.ids import U8, U63, BlockKind, Bytes20, Bytes32, Handle

PENDING_SIZE_MAX = 64 * 1024
RECEIPT_SIZE_MAX = 40 * 1024
WRAPS_MAX = 16
LIFETIME_MS_MAX = 181 * DAY_MS
RECEIPT_KEPT_MS = 188 * DAY_MS
"""After the receipt's own time: the longest life of a notice and 7 days (crypto 7.6)."""

_RANK_SHIFT = 48


class ReceiptStatus(IntEnum):
    """What a recipient's device says about a notice."""

    ACCEPTED = 1
    REFUSED = 2
    DEFERRED = 3
    RESEAL = 4
    READ = 5


_RANK = {
    ReceiptStatus.DEFERRED: 1,
    ReceiptStatus.RESEAL: 2,
    ReceiptStatus.REFUSED: 3,
    ReceiptStatus.ACCEPTED: 4,
    ReceiptStatus.READ: 5,
}
FINAL_STATUSES = frozenset({ReceiptStatus.ACCEPTED, ReceiptStatus.REFUSED, ReceiptStatus.READ})
"""For these the notice is dropped, and never comes back."""


class Wrap(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The envelope's key, sealed to one sealing key of the recipient."""

    key_id: Annotated[bytes, msgspec.Meta(min_length=8, max_length=8)]
    sealed: Annotated[bytes, msgspec.Meta(max_length=2048)]


class Envelope(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A sealed notice from outside; who sent it is inside."""

    format: V1
    to_ring: Bytes20
    to_account: Bytes32
    expires_at: U63
    body: bytes
    wraps: Annotated[tuple[Wrap, ...], msgspec.Meta(min_length=1, max_length=WRAPS_MAX)]


class Receipt(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What the device signs; `at` is milliseconds since 1970."""

    format: V1
    pending: Bytes32
    account_id: Bytes32
    device: U8
    status: ReceiptStatus
    at: U63


class ReceiptBlock(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A signed receipt with the certificates that lead from the ring's authority to its key."""

    format: V1
    receipt: Annotated[bytes, msgspec.Meta(max_length=1024)]
    account: Annotated[bytes, msgspec.Meta(max_length=CERTIFICATE_SIZE_MAX)]
    device: Annotated[bytes, msgspec.Meta(max_length=CERTIFICATE_SIZE_MAX)]


class PendingMark(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a holder keeps beside a notice, so that receipts are judged without reading it."""

    to_account: Bytes32
    expires_at: U63


class ReceiptMark(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a holder keeps beside a receipt."""

    account_id: Bytes32
    status: ReceiptStatus
    at: U63


ENVELOPE: Format[Envelope] = Format(Envelope, size_max=PENDING_SIZE_MAX)
RECEIPT: Format[Receipt] = Format(Receipt, size_max=1024)
RECEIPT_BLOCK: Format[ReceiptBlock] = Format(ReceiptBlock, size_max=RECEIPT_SIZE_MAX)
PENDING_MARK: Format[PendingMark] = Format(PendingMark, size_max=256)
RECEIPT_MARK: Format[ReceiptMark] = Format(ReceiptMark, size_max=256)

VerifyAccount = Callable[[bytes, int], AccountCert]


@dataclass(frozen=True, slots=True)
class OpenReceipt:
    """A verified receipt and the certificates it rests on."""

    receipt: Receipt
    account: AccountCert
    device: DeviceCert

    @property
    def handle(self) -> Handle:
        """Where it lives: beside its notice."""
        return receipt_handle(self.receipt.pending)


def pending_handle(envelope: bytes) -> Handle:
    """Return the handle of a sealed notice."""
    return Handle(BlockKind.PENDING, digest("blk/pending", envelope))


def receipt_handle(pending: bytes) -> Handle:
    """Return the handle of the receipt for a notice of this digest."""
    return Handle(BlockKind.RECEIPT, pending)


def receipt_order(status: ReceiptStatus, at: int) -> int:
    """Return the version of a receipt: by how final it is, then by time."""
    return _RANK[status] << _RANK_SHIFT | min(at, (1 << _RANK_SHIFT) - 1)


def sign_receipt(device_key: SigningKey, receipt: Receipt, account: bytes, device: bytes) -> bytes:
    """Return the receipt block; `account` and `device` are signed certificates."""
    signed = sign(device_key, Kind.RECEIPT, encode(receipt))
    return encode(ReceiptBlock(1, signed, account, device))


def open_envelope(data: bytes, *, ring: bytes, now_ms: int) -> Envelope:
    """Check the outside of a sealed notice; raises PeerError."""
    envelope = ENVELOPE.decode(data)
    if envelope.to_ring != ring:
        raise MalformedPacket("a notice for another ring")
    if not now_ms < envelope.expires_at <= now_ms + LIFETIME_MS_MAX:
        raise MalformedPacket("a notice that expired, or never would")
    return envelope


def open_receipt(data: bytes, verify_account: VerifyAccount, now_ms: int) -> OpenReceipt:
    """Verify a receipt down to the ring's authority; raises PeerError, AuthenticityError.

    Whether the device was revoked since is for those to judge who know the identity block.
    """
    block = RECEIPT_BLOCK.decode(data)
    account = verify_account(block.account, now_ms)
    device = open_device_certificate(block.device, account)
    receipt = open_signed(block.receipt, Kind.RECEIPT, device.device_key, RECEIPT)
    if receipt.account_id != account.account_id or receipt.device != device.number:
        raise UntrustedCertificate("a receipt of another account or device")
    return OpenReceipt(receipt, account, device)


def claimed_receipt(data: bytes) -> Receipt:
    """Return what an unverified receipt block says: only to find out which handle it claims."""
    return RECEIPT.decode(parse(RECEIPT_BLOCK.decode(data).receipt, Kind.RECEIPT).body)


def claimed_device(data: bytes) -> DeviceCert:
    """Return the device of a receipt block that was verified already."""
    return recall_device(RECEIPT_BLOCK.decode(data).device)
