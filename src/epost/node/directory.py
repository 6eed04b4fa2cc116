"""The organisation's word on accounts, revocations included."""

from __future__ import annotations

from epost.crypto.certificates import AccountCert
from epost.foundation.errors import RevokedCertificate
from epost.rings.issuers import Issuers


class NodeDirectory:
    """Verifies account certificates by the newest issuers and their revocation lists."""

    def __init__(self, issuers: Issuers) -> None:
        self._issuers = issuers

    @property
    def domain(self) -> str:
        """The domain of every name it certifies."""
        return self._issuers.trust.domain

    @property
    def ring(self) -> bytes:
        """The ring of its members."""
        return self._issuers.trust.ring

    def verify_account(self, data: bytes, now_ms: int) -> AccountCert:
        """Return an account's certificate; raises PeerError or AuthenticityError."""
        account = self._issuers.trust.verify_account(data, now_ms)
        if self._issuers.is_account_revoked(data, account):
            raise RevokedCertificate(f"the certificate of {account.name} was revoked")
        return account

    def is_key_succeeded(self, account: AccountCert) -> bool:
        """Has another key followed the one of this (verified) certificate?"""
        return self._issuers.is_key_succeeded(account)
