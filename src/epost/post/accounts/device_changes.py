"""The account key's part in adding and revoking devices: the next identity block (crypto 2.2, 3.9).

The account key signs which devices act for the account. Whoever leaves loses the data key as well:
the keyring of the next epoch is sealed to those that stay, so what is logged from then on is closed
to the others.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import msgspec

from epost.crypto.certificates import DeviceCert, recall_device
from epost.crypto.signing import Kind
from epost.crypto.versioned import KeyBlock, make_key_block
from epost.foundation.codec import encode
from epost.foundation.errors import LimitExceeded, RefusedError
from epost.foundation.ports import Entropy
from epost.post.accounts.blocks import DEVICES_MAX, REVOKED_MAX, Identity, RevokedDevice
from epost.post.accounts.devices import Signing
from epost.post.accounts.keyring import EpochSecret, keyring_handle, make_keyring, with_reader
from epost.post.accounts.new_devices import DevicePublic, certify_device

NUMBER_MAX = 255


@dataclass(frozen=True, slots=True)
class ListedDevice:
    """A device that the account lists, and how far its log is known to go.

    `sealing_key` is empty if the device has not published its block yet.
    """

    certificate: DeviceCert
    sealing_key: bytes
    log_sequence: int
    log_tip: bytes

    def revoked(self, at_ms: int) -> RevokedDevice:
        """Return the entry that ends it here: nothing later in its log counts."""
        return RevokedDevice(
            number=self.certificate.number,
            device_key=self.certificate.device_key,
            at=at_ms,
            log_sequence=self.log_sequence,
            log_tip=self.log_tip,
        )

    def require_sealing_key(self) -> bytes:
        """Return the key to which its copy of a new data key is sealed; raises RefusedError."""
        if not self.sealing_key:
            raise RefusedError(
                f"device {self.certificate.number} has never been seen: start it first, or revoke "
                "it as well"
            )
        return self.sealing_key


@dataclass(frozen=True)
class AccountFound:
    """What the ring has of an account whose phrase was given."""

    block: KeyBlock
    identity: Identity
    keyring: bytes
    data_keys: tuple[EpochSecret, ...] = field(repr=False)
    devices: tuple[ListedDevice, ...]
    version_min: int = 1
    """Of the next identity block, as in `make_key_block`."""
    revoked_elsewhere: tuple[RevokedDevice, ...] = ()
    """Devices that another copy of the identity block revokes: the next one does, too."""

    @property
    def revoked_anywhere(self) -> tuple[RevokedDevice, ...]:
        """The devices that this or another copy of the identity block revokes."""
        return (*self.identity.revoked, *self.revoked_elsewhere)

    def parted(
        self, revoked: Collection[int]
    ) -> tuple[Sequence[ListedDevice], Sequence[ListedDevice]]:
        """Return the devices of these numbers, and the others; RefusedError for one of none."""
        leaving = [device for device in self.devices if device.certificate.number in revoked]
        if len(leaving) < len(set(revoked)):
            raise RefusedError("the account has no such device, or has revoked it already")
        return leaving, [device for device in self.devices if device not in leaving]

    def revoked_with(
        self, leaving: Sequence[ListedDevice], now_ms: int
    ) -> tuple[RevokedDevice, ...]:
        """Return all devices that are revoked once these are; raises LimitExceeded."""
        revoked = (*self.revoked_anywhere, *(device.revoked(now_ms) for device in leaving))
        if len(revoked) > REVOKED_MAX:
            raise LimitExceeded(f"an account can lose {REVOKED_MAX} devices; this one has")
        return revoked

    def next_data_keys(self, entropy: Entropy) -> tuple[EpochSecret, ...]:
        """Return the data keys with one more, which nobody has had."""
        return (*self.data_keys, EpochSecret(self.data_keys[-1].epoch + 1, entropy.token(32)))


@dataclass(frozen=True)
class Change:
    """What must reach the ring, the identity block last: it makes the others count.

    `certificate` is the admitted device's, empty if none was.
    """

    certificate: bytes
    keyring: bytes
    data_keys: tuple[EpochSecret, ...] = field(repr=False)
    identity: KeyBlock


def change_devices(
    by: Signing,
    found: AccountFound,
    *,
    admitted: DevicePublic | None = None,
    revoked: Collection[int] = (),
) -> Change:
    """Sign the next identity block, with one more device and without those of these numbers.

    Raises LimitExceeded; RefusedError if a number is none of a listed device, one that stays cannot
    be given the new data key since it has not published its block, or the number of the admitted
    one, which is certified already, was given to another.
    """
    leaving, staying = found.parted(revoked)
    certificate = b"" if admitted is None else _certified(by, found, admitted)
    newcomer = () if admitted is None else (admitted.sealing_key,)
    data_keys = found.data_keys
    if leaving or found.revoked_elsewhere:
        data_keys = found.next_data_keys(by.entropy)
        recovery = found.identity.recovery_sealing_key
        readers = (*newcomer, *(device.require_sealing_key() for device in staying), recovery)
        keyring = make_keyring(by.keys.account_id, data_keys, readers, by.sealing)
    else:
        keyring = found.keyring
        newest = data_keys[-1].secret
        for reader in newcomer:
            keyring = with_reader(keyring, by.keys.account_id, newest, reader, by.sealing)
    gone = found.revoked_with(leaving, by.now_ms)
    identity = _next_identity(found.identity, gone, certificate, keyring)
    block = make_key_block(
        by.keys.account,
        Kind.IDENTITY,
        ring=found.block.body.ring,
        previous=found.block,
        issued_at=by.now_ms,
        content=encode(identity),
        version_min=found.version_min,
    )
    return Change(certificate, keyring, data_keys, block)


def _certified(by: Signing, found: AccountFound, admitted: DevicePublic) -> bytes:
    if not admitted.certificate:
        return certify_device(by.keys, _free_number(found), admitted, by.now_ms)
    if recall_device(admitted.certificate).number in _taken(found):
        raise RefusedError("another machine was added at this moment: add this one once more")
    return admitted.certificate


def _taken(found: AccountFound) -> set[int]:
    """Return the numbers that were ever given, as far as is known."""
    taken = {device.certificate.number for device in found.devices}
    return taken | {device.number for device in found.revoked_anywhere}


def _free_number(found: AccountFound) -> int:
    number = max(_taken(found), default=0) + 1
    if number > NUMBER_MAX:
        raise LimitExceeded(f"an account can have {NUMBER_MAX} devices in its life; this one had")
    return number


def _next_identity(
    known: Identity,
    revoked: tuple[RevokedDevice, ...],
    certificate: bytes,
    keyring: bytes,
) -> Identity:
    gone = {device.device_key for device in revoked}
    listed = [c for c in known.devices if _device_key(c) not in gone]
    if certificate:
        listed.append(certificate)
    if len(listed) > DEVICES_MAX:
        raise LimitExceeded(f"an account has at most {DEVICES_MAX} devices: revoke one first")
    return msgspec.structs.replace(
        known,
        devices=tuple(listed),
        revoked=revoked,
        keyring=keyring_handle(keyring).digest,
    )


def _device_key(certificate: bytes) -> bytes:
    return recall_device(certificate).device_key
