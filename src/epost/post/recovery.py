"""A new device from the recovery phrase: what the ring has of the account, and what it needs (POST
3.1; crypto 2.1, 2.2).

The phrase gives the account key, which signs the next identity block, and the recovery key, to
which the keyring is sealed. Nothing of the lost machines is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from epost.crypto.certificates import DEVICE_CERT, DeviceCert
from epost.crypto.signed import parse
from epost.crypto.signing import Kind
from epost.crypto.versioned import KeyBlock, key_block_handle, make_key_block, open_key_block
from epost.foundation.codec import encode
from epost.foundation.errors import (
    LimitExceeded,
    NoSuchUser,
    UnavailableError,
    UntrustedCertificate,
)
from epost.foundation.ids import BlockKind, Handle, NodeHandle
from epost.foundation.ports import Entropy, Sealing
from epost.past.log_format import NO_RECORD, open_head
from epost.post.account_blocks import (
    DEVICES_MAX,
    REVOKED_MAX,
    Identity,
    RevokedDevice,
    decode_device_info,
    decode_identity,
)
from epost.post.devices import AccountKeys, DeviceSecrets, draw_device, first_device_block
from epost.post.keyring import (
    EpochSecret,
    keyring_handle,
    make_keyring,
    open_keyring,
    with_reader,
)
from epost.post.ports import BlockStore

NUMBER_MAX = 255


@dataclass(frozen=True, slots=True)
class LostDevice:
    """A device that the account lists, and how far its log is known to go."""

    certificate: DeviceCert
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


@dataclass(frozen=True)
class AccountFound:
    """What the ring has of an account whose phrase was given."""

    block: KeyBlock
    identity: Identity
    keyring: bytes
    data_keys: tuple[EpochSecret, ...] = field(repr=False)
    devices: tuple[LostDevice, ...]


@dataclass(frozen=True)
class NewDevice:
    """One more device of an account; its secrets must be stored before a block is published.

    The identity block goes last: it is what makes the others count.
    """

    secrets: DeviceSecrets
    keyring: bytes
    device_block: KeyBlock
    identity: KeyBlock


async def find_account(keys: AccountKeys, blocks: BlockStore, sealing: Sealing) -> AccountFound:
    """Read what the ring has of the account.

    Raises NoSuchUser if it knows none of this phrase, UnavailableError if it cannot be read for
    sure now, AuthenticityError and PeerError if what it has is not what it must be.
    """
    block = await _newest(blocks, key_block_handle(keys.account.public))
    if block is None:
        raise NoSuchUser("the ring has no account of this phrase")
    if block.purpose is not Kind.IDENTITY:
        raise UntrustedCertificate("the account's key signed something else than an identity")
    identity = decode_identity(block.body.content)
    if (identity.account_id, identity.generation) != (keys.account_id, keys.generation):
        raise UntrustedCertificate("the identity of another account")
    keyring = await blocks.lookup(Handle(BlockKind.CONTENT, identity.keyring))
    data_keys = open_keyring(
        keyring,
        keys.account_id,
        public_key=sealing.public_key(keys.recovery_sealing_seed),
        seed=keys.recovery_sealing_seed,
        sealing=sealing,
    )
    certificates = [DEVICE_CERT.decode(parse(d, Kind.DEVICE).body) for d in identity.devices]
    gone = {device.device_key for device in identity.revoked}
    devices = [await _lost(c, blocks) for c in certificates if c.device_key not in gone]
    return AccountFound(block, identity, keyring, data_keys, tuple(devices))


async def _lost(certificate: DeviceCert, blocks: BlockStore) -> LostDevice:
    block = await _newest(blocks, key_block_handle(certificate.device_key))
    logs = decode_device_info(block.body.content).logs if block else ()
    for name in reversed(logs):
        handle = key_block_handle(name.log_key)
        if head := await _newest(blocks, handle):
            content = open_head(head.data, expected=handle).content
            return LostDevice(certificate, content.sequence, content.tip)
    return LostDevice(certificate, 0, NO_RECORD)


async def _newest(blocks: BlockStore, handle: Handle) -> KeyBlock | None:
    reading = await blocks.lookup_latest(handle)
    if not reading.confirmed:
        raise UnavailableError("too few machines answer: start more of them, then try again")
    return None if reading.block is None else open_key_block(reading.block, expected=handle)


def add_device(
    keys: AccountKeys,
    found: AccountFound,
    *,
    contact: NodeHandle,
    revoke: bool,
    now_ms: int,
    sealing: Sealing,
    entropy: Entropy,
) -> NewDevice:
    """Make one more device; with `revoke` it is from now on the only one.

    `contact` is the node that it runs on. Revoking also changes the account's data key, so that
    what is logged from now on is closed to whoever has the other devices. Raises LimitExceeded.
    """
    taken = [device.certificate.number for device in found.devices]
    taken += [device.number for device in found.identity.revoked]
    number = max(taken, default=0) + 1
    data_keys = found.data_keys
    if revoke:
        data_keys = (*data_keys, EpochSecret(data_keys[-1].epoch + 1, entropy.token(32)))
    secrets = draw_device(keys, number, data_keys, now_ms=now_ms, sealing=sealing, entropy=entropy)
    reader = sealing.public_key(secrets.sealing_seed)
    if revoke:
        readers = (reader, secrets.recovery_sealing_key)
        keyring = make_keyring(keys.account_id, data_keys, readers, sealing)
    else:
        newest = data_keys[-1].secret
        keyring = with_reader(found.keyring, keys.account_id, newest, reader, sealing)
    identity = _next_identity(found, secrets, keyring, now_ms, revoke=revoke)
    _require_limits(identity, number)
    return NewDevice(
        secrets=secrets,
        keyring=keyring,
        device_block=first_device_block(secrets, contact, now_ms, sealing),
        identity=make_key_block(
            keys.account,
            Kind.IDENTITY,
            ring=contact.ring,
            previous=found.block,
            issued_at=now_ms,
            content=encode(identity),
        ),
    )


def _next_identity(
    found: AccountFound, secrets: DeviceSecrets, keyring: bytes, now_ms: int, *, revoke: bool
) -> Identity:
    known = found.identity
    revoked: Sequence[RevokedDevice] = known.revoked
    devices: Sequence[bytes] = known.devices
    if revoke:
        revoked = (*revoked, *(device.revoked(now_ms) for device in found.devices))
        devices = ()
    return msgspec.structs.replace(
        known,
        devices=(*devices, secrets.certificate),
        revoked=tuple(revoked),
        keyring=keyring_handle(keyring).digest,
    )


def _require_limits(identity: Identity, number: int) -> None:
    if len(identity.devices) > DEVICES_MAX:
        raise LimitExceeded(f"an account has at most {DEVICES_MAX} devices: revoke one first")
    if len(identity.revoked) > REVOKED_MAX or number > NUMBER_MAX:
        raise LimitExceeded(f"an account can lose {REVOKED_MAX} devices; this one has")
