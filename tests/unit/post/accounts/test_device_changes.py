"""The account key admits devices and revokes them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from epost.crypto.certificates import DEVICE_CERT, DeviceCert
from epost.crypto.sealing import HpkeSealing
from epost.crypto.signed import parse
from epost.crypto.signing import Kind
from epost.crypto.versioned import open_key_block
from epost.foundation.errors import BadSeal, LimitExceeded, RefusedError
from epost.foundation.ids import Address, NodeHandle
from epost.past.log_format import NO_RECORD
from epost.post.accounts.blocks import DEVICES_MAX, Identity, decode_identity
from epost.post.accounts.device_changes import AccountFound, Change, ListedDevice, change_devices
from epost.post.accounts.devices import AccountKeys, Signing
from epost.post.accounts.keyring import keyring_handle, open_keyring
from epost.post.accounts.new_devices import DeviceSeeds, create_account, draw_seeds, public_half
from epost.simulation.world import EPOCH_MS, SimulatedEntropy

SEED = bytes(range(32))
KEYS = AccountKeys(SEED)
RING = bytes(20)
ENTROPY = SimulatedEntropy(1, "devices")
SEALING = HpkeSealing()
BY = Signing(KEYS, EPOCH_MS + 1, SEALING, ENTROPY)
CONTACT = NodeHandle(RING, bytes(20), (Address("127.0.0.1", 1),))


def device_of(certificate: bytes, sealing_key: bytes) -> ListedDevice:
    opened = DEVICE_CERT.decode(parse(certificate, Kind.DEVICE).body)
    return ListedDevice(opened, sealing_key, 7, NO_RECORD)


def found() -> AccountFound:
    account = create_account(
        SEED, contact=CONTACT, now_ms=EPOCH_MS, sealing=SEALING, entropy=ENTROPY
    )
    first = device_of(account.device_certificate, SEALING.public_key(account.secrets.sealing_seed))
    return AccountFound(
        account.identity,
        decode_identity(account.identity.body.content),
        account.keyring,
        account.secrets.data_keys,
        (first,),
    )


def change(known: AccountFound, **changes: object) -> Change:
    return change_devices(BY, known, **changes)  # type: ignore[arg-type]


def after(known: AccountFound, made: Change, *devices: ListedDevice) -> AccountFound:
    identity = decode_identity(made.identity.body.content)
    return AccountFound(made.identity, identity, made.keyring, made.data_keys, devices)


def admit(known: AccountFound) -> tuple[DeviceSeeds, AccountFound]:
    seeds = draw_seeds(ENTROPY)
    made = change(known, admitted=public_half(seeds, SEALING))
    newcomer = device_of(made.certificate, SEALING.public_key(seeds.sealing))
    return seeds, after(known, made, *known.devices, newcomer)


def opens(keyring: bytes, seeds: DeviceSeeds) -> int:
    public_key = SEALING.public_key(seeds.sealing)
    keys = open_keyring(
        keyring, KEYS.account_id, public_key=public_key, seed=seeds.sealing, sealing=SEALING
    )
    return keys[-1].epoch


def certificates(identity: Identity) -> list[DeviceCert]:
    return [DEVICE_CERT.decode(parse(d, Kind.DEVICE).body) for d in identity.devices]


def test_an_admitted_device_is_listed_under_a_free_number_and_opens_the_keyring() -> None:
    known = found()
    seeds, now = admit(known)
    assert [c.number for c in certificates(now.identity)] == [1, 2]
    assert now.identity.keyring == keyring_handle(now.keyring).digest
    assert opens(now.keyring, seeds) == 1
    assert open_key_block(now.block.data).body.version == known.block.body.version + 1


def test_who_stays_gets_the_next_data_key_and_who_leaves_does_not() -> None:
    (gone, _), (stays, known) = (first := admit(found())), admit(first[1])
    now = after(known, change(known, revoked=[2]))
    assert [c.number for c in certificates(now.identity)] == [1, 3]
    (entry,) = now.identity.revoked
    assert (entry.number, entry.log_sequence, entry.at) == (2, 7, EPOCH_MS + 1)
    assert opens(now.keyring, stays) == 2
    with pytest.raises(BadSeal):
        opens(now.keyring, gone)
    assert len(now.data_keys) == 2


def test_a_number_is_never_given_twice() -> None:
    _, known = admit(found())
    now = after(known, change(known, revoked=[2]), known.devices[0])
    _, later = admit(now)
    assert [c.number for c in certificates(later.identity)] == [1, 3]


def test_what_cannot_be_revoked_is_said() -> None:
    _, known = admit(found())
    with pytest.raises(RefusedError, match="no such device"):
        change(known, revoked=[9])
    unseen = replace(known, devices=(known.devices[0], replace(known.devices[1], sealing_key=b"")))
    with pytest.raises(RefusedError, match="device 2 has never been seen"):
        change(unseen, revoked=[1])


def test_an_account_has_so_many_devices_and_no_more() -> None:
    known = found()
    for _ in range(DEVICES_MAX - 1):
        _, known = admit(known)
    with pytest.raises(LimitExceeded, match="revoke one first"):
        admit(known)
