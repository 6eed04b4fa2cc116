"""Receipts, as those see them who act on them: senders and delegates (crypto 7.6, 7.7)."""

from __future__ import annotations

from epost.foundation.errors import UntrustedCertificate
from epost.foundation.ports import Clock
from epost.past.pending import Receipt, ReceiptStatus, open_receipt, sign_receipt
from epost.post.accounts.contacts import Accounts
from epost.post.accounts.devices import Device
from epost.post.ports import Directory


class Receipts:
    """Verifies what recipients' devices sign."""

    def __init__(self, accounts: Accounts, directory: Directory, clock: Clock) -> None:
        self._accounts = accounts
        self._directory = directory
        self._clock = clock

    async def verify(self, data: bytes, *, pending: bytes, account_id: bytes) -> Receipt:
        """Return a receipt by which something may be called delivered or be dropped.

        It must be for this envelope, by a device that this account still lists. Raises
        AuthenticityError, PeerError; UnavailableError if the account cannot be looked up now.
        """
        opened = open_receipt(data, self._directory.verify_account, self._clock.wall_ms())
        if opened.receipt.pending != pending:
            raise UntrustedCertificate("a receipt for another envelope")
        if opened.receipt.account_id != account_id:
            raise UntrustedCertificate("a receipt by somebody else")
        contact = await self._accounts.signer(opened.account, opened.device)
        if contact.device(opened.device.device_key) is None:
            raise UntrustedCertificate("a receipt by a device that the account does not list")
        return opened.receipt


def sign(device: Device, pending: bytes, status: ReceiptStatus, at_ms: int) -> bytes:
    """Sign for an envelope; the same facts give the same bytes."""
    receipt = Receipt(1, pending, device.account_id, device.number, status, at_ms)
    return sign_receipt(
        device.signing, receipt, device.account_certificate, device.secrets.certificate
    )
