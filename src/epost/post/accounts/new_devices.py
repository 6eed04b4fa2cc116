"""How an account and its devices come into being (crypto 2; POST 3.1).

What is secret in a device is drawn on its own machine; the account key, which no daemon holds,
certifies the public half.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from epost.crypto.certificates import DeviceCert, certify, recall_device
from epost.crypto.hashing import derive
from epost.crypto.signing import Kind, SigningKey
from epost.crypto.versioned import KeyBlock, make_key_block
from epost.foundation.codec import encode
from epost.foundation.ids import Bytes16, Bytes32, NodeHandle
from epost.foundation.ports import Entropy, Sealing
from epost.post.accounts.blocks import DeviceInfo, Identity, LogName
from epost.post.accounts.devices import AccountKeys, DeviceSecrets, PrekeySecret, make_prekey
from epost.post.accounts.keyring import DataKeys, EpochSecret, keyring_handle, make_keyring
from epost.rings.enrolment import sealing_key_hash

FIRST_DEVICE = 1


class DeviceSeeds(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What is random in a device: drawn on its own machine, and never elsewhere."""

    signing: Bytes32
    sealing: Bytes32
    log: Bytes32
    incarnation: Bytes16
    prekey: Bytes32

    def __repr__(self) -> str:
        return "DeviceSeeds(...)"


@dataclass(frozen=True, slots=True)
class DevicePublic:
    """The public half of a device that asks to be certified.

    `certificate` is the account's, if it was given one before it could be listed.
    """

    device_key: bytes
    sealing_key: bytes
    root_log_key: bytes
    certificate: bytes = b""


@dataclass(frozen=True, slots=True)
class NewAccount:
    """A fresh account: what its owner enrols with, publishes, and keeps."""

    keys: AccountKeys
    recovery_sealing_key: bytes
    secrets: DeviceSecrets
    identity: KeyBlock
    device_block: KeyBlock
    keyring: bytes

    @property
    def device_certificate(self) -> bytes:
        """The signed certificate of the first device."""
        return self.secrets.certificate


def create_account(
    seed: bytes, *, contact: NodeHandle, now_ms: int, sealing: Sealing, entropy: Entropy
) -> NewAccount:
    """Make an account with one device from a fresh recovery seed; nothing is published yet.

    The ring is the contact's. The daemon must store `secrets` before it publishes any block.
    """
    keys = AccountKeys(seed)
    recovery_sealing_key = sealing.public_key(keys.recovery_sealing_seed)
    data_keys = (EpochSecret(1, entropy.token(32)),)
    secrets = draw_device(
        keys, FIRST_DEVICE, data_keys, now_ms=now_ms, sealing=sealing, entropy=entropy
    )
    readers = (sealing.public_key(secrets.sealing_seed), recovery_sealing_key)
    keyring = make_keyring(keys.account_id, secrets.data_keys, readers, sealing)
    identity = _first_identity(keys, secrets, keyring_handle(keyring).digest)
    return NewAccount(
        keys=keys,
        recovery_sealing_key=recovery_sealing_key,
        secrets=secrets,
        identity=make_key_block(
            keys.account,
            Kind.IDENTITY,
            ring=contact.ring,
            previous=None,
            issued_at=now_ms,
            content=encode(identity),
        ),
        device_block=first_device_block(secrets, contact, now_ms, sealing),
        keyring=keyring,
    )


def _first_identity(keys: AccountKeys, secrets: DeviceSecrets, keyring: bytes) -> Identity:
    return Identity(
        account_id=keys.account_id,
        generation=keys.generation,
        devices=(secrets.certificate,),
        revoked=(),
        recovery_sealing_key=secrets.recovery_sealing_key,
        keyring=keyring,
        flags=0,
        public_references=(),
    )


def draw_device(
    keys: AccountKeys,
    number: int,
    data_keys: DataKeys,
    *,
    now_ms: int,
    sealing: Sealing,
    entropy: Entropy,
) -> DeviceSecrets:
    """Draw the secrets of a new device and certify it with the account key."""
    seeds = draw_seeds(entropy)
    return secrets_of(
        seeds,
        certify_device(keys, number, public_half(seeds, sealing), now_ms),
        recovery_sealing_key=sealing.public_key(keys.recovery_sealing_seed),
        data_keys=data_keys,
        now_ms=now_ms,
    )


def draw_seeds(entropy: Entropy) -> DeviceSeeds:
    """Draw what is random in a new device."""
    signing, sealing, log = (entropy.token(32) for _ in range(3))
    return DeviceSeeds(signing, sealing, log, entropy.token(16), entropy.token(32))


def public_half(seeds: DeviceSeeds, sealing: Sealing) -> DevicePublic:
    """Return what may be known of a device that was drawn."""
    return DevicePublic(
        device_key=SigningKey(seeds.signing).public,
        sealing_key=sealing.public_key(seeds.sealing),
        root_log_key=_first_log_key(seeds.log, seeds.incarnation),
    )


def certify_device(keys: AccountKeys, number: int, device: DevicePublic, now_ms: int) -> bytes:
    """Sign the certificate of a device with the account key."""
    certificate = DeviceCert(
        format=1,
        account_id=keys.account_id,
        generation=keys.generation,
        number=number,
        device_key=device.device_key,
        sealing_hash=sealing_key_hash(device.sealing_key),
        root_log_key=device.root_log_key,
        admin=True,
        at=now_ms,
    )
    return certify(keys.account, certificate)


def secrets_of(
    seeds: DeviceSeeds,
    certificate: bytes,
    *,
    recovery_sealing_key: bytes,
    data_keys: DataKeys,
    now_ms: int,
) -> DeviceSecrets:
    """Return the secrets of a device that was drawn, once it is certified."""
    certified = recall_device(certificate)
    return DeviceSecrets(
        format=1,
        account_id=certified.account_id,
        number=certified.number,
        signing_seed=seeds.signing,
        sealing_seed=seeds.sealing,
        log_seed=seeds.log,
        incarnation=seeds.incarnation,
        certificate=certificate,
        recovery_sealing_key=recovery_sealing_key,
        prekeys=(PrekeySecret(seeds.prekey, now_ms),),
        data_keys=data_keys,
        organisation_secrets=(),
    )


def first_device_block(
    secrets: DeviceSecrets, contact: NodeHandle, now_ms: int, sealing: Sealing
) -> KeyBlock:
    """Sign the first version of a device's block; `contact` is where it runs."""
    log_key = _first_log_key(secrets.log_seed, secrets.incarnation)
    info = DeviceInfo(
        account_id=secrets.account_id,
        number=secrets.number,
        contact=contact,
        sealing_key=sealing.public_key(secrets.sealing_seed),
        prekeys=(make_prekey(secrets.prekeys[0], sealing),),
        logs=(LogName(secrets.incarnation, log_key),),
    )
    return make_key_block(
        SigningKey(secrets.signing_seed),
        Kind.DEVBLOCK,
        ring=contact.ring,
        previous=None,
        issued_at=now_ms,
        content=encode(info),
    )


def _first_log_key(log_seed: bytes, incarnation: bytes) -> bytes:
    return SigningKey(derive(log_seed, "key/log", b"device", incarnation).key).public
