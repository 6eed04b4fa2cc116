"""What the ring has of an account whose phrase was given; a new device from that (POST 3.1; crypto
2.1).

The phrase gives the account key, which signs the next identity block, and the recovery key, to
which the keyring is sealed. Nothing of the lost machines is needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from epost.crypto.certificates import DEVICE_CERT, DeviceCert
from epost.crypto.signed import parse
from epost.crypto.signing import Kind
from epost.crypto.versioned import KeyBlock, key_block_handle, open_key_block
from epost.foundation.errors import NoSuchUser, UnavailableError, UntrustedCertificate
from epost.foundation.ids import BlockKind, Handle, NodeHandle
from epost.foundation.ports import Entropy, Sealing
from epost.past.client import Reading
from epost.past.log_format import NO_RECORD, open_head
from epost.post.account_blocks import decode_device_info, decode_identity
from epost.post.device_changes import AccountFound, ListedDevice, change_devices
from epost.post.devices import AccountKeys, DeviceSecrets
from epost.post.keyring import open_keyring
from epost.post.new_devices import draw_seeds, first_device_block, public_half, secrets_of
from epost.rings.enrolment import sealing_key_hash

READINGS_TRIED = 3
"""A packet that is lost is enough for one that is not confirmed."""


class MutableBlocks(Protocol):
    """What of the ring is needed to find an account."""

    async def lookup(self, handle: Handle) -> bytes:
        """Return any authentic replica; raises NoSuchBlock, UnavailableError."""
        ...

    async def lookup_latest(self, handle: Handle) -> Reading:
        """Ask all replicas of a mutable block and return the newest."""
        ...


@dataclass(frozen=True)
class NewDevice:
    """One more device of an account; its secrets must be stored before a block is published.

    The identity block goes last: it is what makes the others count.
    """

    secrets: DeviceSecrets
    keyring: bytes
    device_block: KeyBlock
    identity: KeyBlock


async def find_account(keys: AccountKeys, blocks: MutableBlocks, sealing: Sealing) -> AccountFound:
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
    devices = [await _listed(c, blocks) for c in certificates if c.device_key not in gone]
    return AccountFound(block, identity, keyring, data_keys, tuple(devices))


async def _listed(certificate: DeviceCert, blocks: MutableBlocks) -> ListedDevice:
    block = await _newest(blocks, key_block_handle(certificate.device_key))
    if block is None:
        return ListedDevice(certificate, b"", 0, NO_RECORD)
    info = decode_device_info(block.body.content)
    if sealing_key_hash(info.sealing_key) != certificate.sealing_hash:
        raise UntrustedCertificate("a device's block names a sealing key that is not certified")
    for name in reversed(info.logs):
        handle = key_block_handle(name.log_key)
        if head := await _newest(blocks, handle):
            content = open_head(head.data, expected=handle).content
            return ListedDevice(certificate, info.sealing_key, content.sequence, content.tip)
    return ListedDevice(certificate, info.sealing_key, 0, NO_RECORD)


async def _newest(blocks: MutableBlocks, handle: Handle) -> KeyBlock | None:
    for _ in range(READINGS_TRIED):
        reading = await blocks.lookup_latest(handle)
        if reading.confirmed:
            break
    else:
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

    `contact` is the node that it runs on. Raises as `change_devices`.
    """
    seeds = draw_seeds(entropy)
    change = change_devices(
        keys,
        found,
        admitted=public_half(seeds, sealing),
        revoked=[d.certificate.number for d in found.devices] if revoke else (),
        ring=contact.ring,
        now_ms=now_ms,
        sealing=sealing,
        entropy=entropy,
    )
    secrets = secrets_of(
        seeds,
        change.certificate,
        recovery_sealing_key=found.identity.recovery_sealing_key,
        data_keys=change.data_keys,
        now_ms=now_ms,
    )
    return NewDevice(
        secrets=secrets,
        keyring=change.keyring,
        device_block=first_device_block(secrets, contact, now_ms, sealing),
        identity=change.identity,
    )
