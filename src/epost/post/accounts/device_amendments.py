"""One device more of an account, or one less, as `amend_account` brings it about."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace

from epost.foundation.ports import Entropy, Sealing
from epost.post.accounts.device_changes import AccountFound, Change, change_devices
from epost.post.accounts.devices import AccountKeys
from epost.post.accounts.new_devices import DevicePublic


@dataclass(frozen=True, slots=True)
class Signing:
    """What an owner signs a change of her account with."""

    keys: AccountKeys = field(repr=False)
    ring: bytes
    now_ms: int
    sealing: Sealing
    entropy: Entropy

    def change(
        self,
        found: AccountFound,
        *,
        admitted: DevicePublic | None = None,
        revoked: Collection[int] = (),
    ) -> Change:
        """Sign the next identity block; raises as `change_devices`."""
        return change_devices(
            self.keys,
            found,
            admitted=admitted,
            revoked=revoked,
            ring=self.ring,
            now_ms=self.now_ms,
            sealing=self.sealing,
            entropy=self.entropy,
        )


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
        gone = (*found.identity.revoked, *found.revoked_elsewhere)
        is_done = any(device.number == self._number for device in gone)
        return self._signing.change(found, revoked=() if is_done else (self._number,))


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
        change = self._signing.change(found, admitted=self._public if is_new else None)
        if is_new:
            self._public = replace(self._public, certificate=change.certificate)
        return change
