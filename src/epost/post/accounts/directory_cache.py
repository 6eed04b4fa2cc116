"""Remembers for a minute which account certificates verified: the same few come all the time."""

from __future__ import annotations

from collections import OrderedDict

from epost.crypto.certificates import AccountCert
from epost.foundation.ports import Clock
from epost.post.ports import Directory

CERTIFICATES_MAX = 2000


class CachedDirectory:
    """A Directory in front of the real one.

    A revocation counts a minute later than it could, as device lists do (crypto 2.2).
    """

    def __init__(self, directory: Directory, clock: Clock, *, kept_seconds: float) -> None:
        self._directory = directory
        self._clock = clock
        self._kept_seconds = kept_seconds
        self._verified: OrderedDict[bytes, tuple[AccountCert, float]] = OrderedDict()

    @property
    def domain(self) -> str:
        """The domain of every name it certifies."""
        return self._directory.domain

    @property
    def ring(self) -> bytes:
        """The ring of its members."""
        return self._directory.ring

    def verify_account(self, data: bytes, now_ms: int) -> AccountCert:
        """Return an account's certificate; raises PeerError or AuthenticityError."""
        account, good_until = self._verified.get(data, (None, 0.0))
        if account is not None and self._clock.now() < good_until and now_ms < account.not_after:
            return account
        account = self._directory.verify_account(data, now_ms)
        self._verified[data] = (account, self._clock.now() + self._kept_seconds)
        self._verified.move_to_end(data)
        if len(self._verified) > CERTIFICATES_MAX:
            self._verified.popitem(last=False)
        return account

    def is_key_succeeded(self, account: AccountCert) -> bool:
        """Has another key followed the one of this (verified) certificate?"""
        return self._directory.is_key_succeeded(account)
