"""Sealed notices and receipts for tests; nothing in them is really sealed."""

from __future__ import annotations

from epost.foundation.codec import encode
from epost.foundation.durations import DAY_MS
from epost.past.pending import (
    Envelope,
    Receipt,
    ReceiptStatus,
    Wrap,
    pending_handle,
    sign_receipt,
)
from tests.support.organisation import START_MS, Organisation, User


def envelope_for(
    user: User, body: bytes = b"sealed", *, expires_at: int = START_MS + 180 * DAY_MS
) -> bytes:
    wrap = Wrap(bytes(8), b"key")
    ring = Organisation().ring
    return encode(Envelope(1, ring, user.account.account_id, expires_at, body, (wrap,)))


def receipt_by(
    user: User,
    envelope: bytes,
    status: ReceiptStatus = ReceiptStatus.ACCEPTED,
    *,
    at: int = START_MS + 1000,
) -> bytes:
    digest = pending_handle(envelope).digest
    receipt = Receipt(1, digest, user.account.account_id, 1, status, at)
    return sign_receipt(user.device_key, receipt, user.account_certificate, user.device_certificate)
