"""What the owner signs when her account gets other keys."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from epost.crypto.certificates import DEVICE_CERT
from epost.crypto.rekeying import REKEYINGS_MAX, open_rekeying
from epost.crypto.signed import open_signed
from epost.crypto.signing import Kind
from epost.crypto.versioned import open_key_block
from epost.foundation.errors import BadSeal, LimitExceeded, RefusedError
from epost.past.log_format import NO_RECORD
from epost.post.accounts.blocks import REVOKED_MAX, RevokedDevice, decode_identity
from epost.post.accounts.device_changes import AccountFound, ListedDevice
from epost.post.accounts.devices import AccountKeys
from epost.post.accounts.keyring import keyring_handle, open_keyring
from epost.post.accounts.rekeying import NewKeys, change_keys
from tests.unit.post.accounts.test_device_changes import BY, KEYS, SEALING, found

NEXT = KEYS.followed_by(b"n" * 32)


def changed(known: AccountFound, **options: object) -> NewKeys:
    return change_keys(BY, NEXT, known, **options)  # type: ignore[arg-type]


def test_the_devices_are_the_same_under_the_following_key() -> None:
    known = found()
    made = changed(known)
    identity = decode_identity(made.identity.body.content)
    (certificate,) = identity.devices
    device = open_signed(certificate, Kind.DEVICE, NEXT.account.public, DEVICE_CERT)
    assert device == msgspec.structs.replace(known.devices[0].certificate, generation=1)
    assert made.identity.body.public_key == NEXT.account.public
    assert (identity.account_id, identity.generation) == (KEYS.account_id, 1)
    assert identity.public_references == (made.statement,)
    assert open_rekeying(made.statement).former_key == KEYS.account.public
    assert identity.keyring == keyring_handle(made.keyring).digest


def test_the_former_phrase_does_not_open_the_data_key_of_the_next_epoch() -> None:
    known = found()
    made = changed(known)

    def opened(keys: AccountKeys) -> object:
        seed = keys.recovery_sealing_seed
        public_key = SEALING.public_key(seed)
        return open_keyring(
            made.keyring, KEYS.account_id, public_key=public_key, seed=seed, sealing=SEALING
        )

    with pytest.raises(BadSeal):
        opened(KEYS)
    keys = opened(NEXT)
    assert isinstance(keys, tuple)
    assert keys[:-1] == known.data_keys
    assert keys[-1].epoch == known.data_keys[-1].epoch + 1


def test_a_machine_may_end_with_the_former_keys() -> None:
    known = found()
    made = changed(known, revoked=[1])
    identity = decode_identity(made.identity.body.content)
    assert identity.devices == ()
    (gone,) = identity.revoked
    assert (gone.number, gone.log_sequence) == (1, 7)
    with pytest.raises(RefusedError, match="no such device"):
        changed(known, revoked=[2])
    unseen = replace(known.devices[0], sealing_key=b"")
    with pytest.raises(RefusedError, match="never been seen"):
        changed(replace(known, devices=(unseen,)))


def as_found(made: NewKeys, *devices: ListedDevice) -> AccountFound:
    """What the ring has of an account whose change was begun."""
    seed = NEXT.recovery_sealing_seed
    data_keys = open_keyring(
        made.keyring, KEYS.account_id, public_key=SEALING.public_key(seed), seed=seed,
        sealing=SEALING,
    )  # fmt: skip
    block = open_key_block(made.identity.data)
    return AccountFound(
        block, decode_identity(block.body.content), made.keyring, data_keys, devices
    )


def test_what_was_begun_is_not_signed_again() -> None:
    known = found()
    first = changed(known)
    again = changed(known, previous=as_found(first, *known.devices))
    assert again == first, "machines may have taken its data key"


def test_what_was_begun_otherwise_goes_on_and_keeps_the_data_keys_that_were_given() -> None:
    known = found()
    first = changed(known)
    begun = as_found(first, *known.devices)
    again = changed(known, revoked=[1], previous=begun)
    assert again.identity.body.version == first.identity.body.version + 1
    assert again.statement == first.statement, "which the authority answers as before"
    assert as_found(again).data_keys[:-1] == begun.data_keys


def test_the_number_of_changes_and_of_lost_machines_is_bounded() -> None:
    known = found()
    many = AccountKeys(b"n" * 32, account_id=KEYS.account_id, generation=REKEYINGS_MAX + 1)
    with pytest.raises(LimitExceeded, match="64 times"):
        change_keys(BY, many, known)
    lost = tuple(RevokedDevice(n, bytes(32), 0, 0, NO_RECORD) for n in range(2, 2 + REVOKED_MAX))
    identity = msgspec.structs.replace(known.identity, revoked=lost)
    with pytest.raises(LimitExceeded, match="can lose"):
        changed(replace(known, identity=identity), revoked=[1])
