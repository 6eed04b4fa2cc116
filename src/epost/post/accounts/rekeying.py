"""Other keys for an account: what its owner signs with the former ones and the new (crypto 2, 3.2).

The devices stay as they are, each certified by the new key; so do their logs, which never knew of
the account's key. Only the data key is changed as for a device that leaves, since the former phrase
opens the former keyring.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import msgspec

from epost.crypto.certificates import certify
from epost.crypto.rekeying import REKEYINGS_MAX, Rekeying, sign_rekeying
from epost.crypto.signing import Kind
from epost.crypto.versioned import KeyBlock, make_key_block
from epost.foundation.codec import encode
from epost.foundation.errors import LimitExceeded
from epost.post.accounts.blocks import RevokedDevice
from epost.post.accounts.device_changes import AccountFound, ListedDevice
from epost.post.accounts.devices import AccountKeys, Signing
from epost.post.accounts.keyring import keyring_handle, make_keyring
from epost.rings.enrolment import sealing_key_hash


@dataclass(frozen=True)
class NewKeys:
    """What must reach the ring before the authority certifies the keys.

    `statement` is signed by the former key; nobody reads the identity block before the account's
    certificate names its key.
    """

    statement: bytes
    keyring: bytes
    identity: KeyBlock


def change_keys(
    by: Signing,
    following: AccountKeys,
    found: AccountFound,
    *,
    revoked: Collection[int] = (),
    previous: AccountFound | None = None,
) -> NewKeys:
    """Sign the account over to the `following` keys, without the devices of these numbers.

    `previous` is what the ring has under the following keys, if this was begun before: that is
    returned if it says the same, since machines may use its data key by now. Raises LimitExceeded;
    RefusedError as `change_devices`.
    """
    if following.generation > REKEYINGS_MAX:
        raise LimitExceeded(f"an account can have other keys {REKEYINGS_MAX} times; this one had")
    leaving, staying = found.parted(revoked)
    gone = found.revoked_with(leaving, by.now_ms)
    recovery_key = by.sealing.public_key(following.recovery_sealing_seed)
    ring = found.block.body.ring
    statement = _statement(by.keys, following, recovery_key, ring)
    if previous is not None and _says(previous, staying, gone, statement):
        return NewKeys(statement, previous.keyring, previous.block)
    data_keys = (previous or found).next_data_keys(by.entropy)
    readers = (*(device.require_sealing_key() for device in staying), recovery_key)
    keyring = make_keyring(following.account_id, data_keys, readers, by.sealing)
    identity = msgspec.structs.replace(
        found.identity,
        generation=following.generation,
        devices=_certified(staying, following),
        revoked=gone,
        recovery_sealing_key=recovery_key,
        keyring=keyring_handle(keyring).digest,
        public_references=(*found.identity.public_references, statement),
    )
    block = make_key_block(
        following.account,
        Kind.IDENTITY,
        ring=ring,
        previous=None if previous is None else previous.block,
        issued_at=by.now_ms,
        content=encode(identity),
        version_min=1 if previous is None else previous.version_min,
    )
    return NewKeys(statement, keyring, block)


def _says(
    known: AccountFound,
    staying: Collection[ListedDevice],
    gone: Collection[RevokedDevice],
    statement: bytes,
) -> bool:
    """Does an account list just these devices, and has it lost those that are gone?"""
    listed = {device.certificate.device_key for device in known.devices}
    revoked = {device.device_key for device in known.identity.revoked}
    return (
        known.identity.public_references[-1:] == (statement,)
        and not known.revoked_elsewhere
        and listed == {device.certificate.device_key for device in staying}
        and revoked >= {device.device_key for device in gone}
    )


def _certified(devices: Sequence[ListedDevice], keys: AccountKeys) -> tuple[bytes, ...]:
    """Certify the devices anew: what they are, and since when, stays."""
    return tuple(
        certify(
            keys.account,
            msgspec.structs.replace(device.certificate, generation=keys.generation),
        )
        for device in devices
    )


def _statement(
    former: AccountKeys, following: AccountKeys, recovery_key: bytes, ring: bytes
) -> bytes:
    rekeying = Rekeying(
        format=1,
        ring=ring,
        account_id=following.account_id,
        generation=following.generation,
        former_key=former.account.public,
        account_key=following.account.public,
        recovery_key=following.recovery.public,
        recovery_sealing_hash=sealing_key_hash(recovery_key),
    )
    return sign_rekeying(former.account, rekeying)
