"""One device more of an account, or one less, as `amend_account` brings it about."""

from __future__ import annotations

from dataclasses import replace

from epost.post.accounts.device_changes import AccountFound, Change, change_devices
from epost.post.accounts.devices import Signing
from epost.post.accounts.new_devices import DevicePublic


class Revocation:
    """The device of a number is to act for the account no more."""

    def __init__(self, signing: Signing, number: int) -> None:
        self._signing = signing
        self._number = number

    def is_in(self, found: AccountFound) -> bool:
        """Is it revoked?"""
        return any(device.number == self._number for device in found.identity.revoked)

    def signed(self, found: AccountFound) -> Change:
        """Return the next identity block; somebody else may have revoked it at that moment."""
        is_done = any(device.number == self._number for device in found.revoked_anywhere)
        return change_devices(self._signing, found, revoked=() if is_done else (self._number,))


class Admission:
    """A device is to act for the account, under the certificate that it is given at first."""

    def __init__(self, signing: Signing, public: DevicePublic) -> None:
        self._signing = signing
        self._public = public

    def is_in(self, found: AccountFound) -> bool:
        """Is it listed?"""
        return self._public.certificate in found.identity.devices

    def signed(self, found: AccountFound) -> Change:
        """Return the next identity block.

        Raises RefusedError if another device was given its number since the first time.
        """
        is_new = not self._public.certificate or not self.is_in(found)
        change = change_devices(self._signing, found, admitted=self._public if is_new else None)
        if is_new:
            self._public = replace(self._public, certificate=change.certificate)
        return change
