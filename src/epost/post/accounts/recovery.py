"""What the ring has of an account whose phrase was given; a new device from that (POST 3.1; crypto
2.1).

The phrase gives the account key, which signs the next identity block, and the recovery key, to
which the keyring is sealed. Nothing of the lost machines is needed.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Protocol

from epost.crypto.certificates import DeviceCert, recall_device
from epost.crypto.signing import Kind
from epost.crypto.versioned import KeyBlock, key_block_handle, open_key_block
from epost.foundation.errors import (
    NoSuchUser,
    RefusedError,
    UnavailableError,
    UntrustedCertificate,
)
from epost.foundation.ids import BlockKind, Handle, NodeHandle
from epost.foundation.ports import Entropy, Sealing
from epost.past.client import Conflict, Insertion, Reading
from epost.past.log_format import NO_RECORD, open_head
from epost.post.accounts.blocks import decode_device_info, decode_identity
from epost.post.accounts.device_changes import AccountFound, ListedDevice, change_devices
from epost.post.accounts.devices import AccountKeys, DeviceSecrets
from epost.post.accounts.keyring import open_keyring
from epost.post.accounts.new_devices import (
    DeviceSeeds,
    draw_seeds,
    first_device_block,
    public_half,
    secrets_of,
)
from epost.rings.enrolment import sealing_key_hash

CHANGES_TRIED = 12
CHANGE_PAUSE_SECONDS = 2.0
"""Between a change and the look at what became of it; longer by chance after a conflict, for the
two not to meet again and again."""
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


class AccountBlocks(MutableBlocks, Protocol):
    """What of the ring is needed to change an account."""

    async def insert(self, kind: BlockKind, block: bytes, *, mirror: bool = True) -> Insertion:
        """Store a block on k nodes, or hold it locally; raises RefusedError, Conflict."""
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


@dataclass(frozen=True, slots=True)
class Clash:
    """An identity block of ours that replicas refused, and the one that they have."""

    refused: KeyBlock
    rival: KeyBlock

    def base(self, newest: KeyBlock | None) -> KeyBlock:
        """Return what to build on: the rival, unless there is a later one of somebody else.

        Of the rival's version the ring may have ours as well, which nobody was told of. And a
        machine that keeps the account for the ring has what it was refused elsewhere: to build on
        that would undo the rival's change, whose writer was told of success.
        """
        if newest is None or newest.data == self.refused.data:
            return self.rival
        return newest if newest.body.version > self.rival.body.version else self.rival

    @property
    def version_min(self) -> int:
        """The version that those who have either may take from us."""
        return max(self.rival.body.version, self.refused.body.version) + 2


async def find_account(
    keys: AccountKeys, blocks: MutableBlocks, sealing: Sealing, clash: Clash | None = None
) -> AccountFound:
    """Read what the ring has of the account; after a clash, what to build on.

    Raises NoSuchUser if it knows none of this phrase, UnavailableError if it cannot be read for
    sure now, AuthenticityError and PeerError if what it has is not what it must be.
    """
    block = await newest_block(blocks, key_block_handle(keys.account.public))
    if clash is not None:
        block = clash.base(block)
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
    certificates = [recall_device(d) for d in identity.devices]
    gone = {device.device_key for device in identity.revoked}
    devices = [await _listed(c, blocks) for c in certificates if c.device_key not in gone]
    return AccountFound(block, identity, keyring, data_keys, tuple(devices))


async def _listed(certificate: DeviceCert, blocks: MutableBlocks) -> ListedDevice:
    block = await newest_block(blocks, key_block_handle(certificate.device_key))
    if block is None:
        return ListedDevice(certificate, b"", 0, NO_RECORD)
    info = decode_device_info(block.body.content)
    if sealing_key_hash(info.sealing_key) != certificate.sealing_hash:
        raise UntrustedCertificate("a device's block names a sealing key that is not certified")
    for name in reversed(info.logs):
        handle = key_block_handle(name.log_key)
        if head := await newest_block(blocks, handle):
            content = open_head(head.data, expected=handle).content
            return ListedDevice(certificate, info.sealing_key, content.sequence, content.tip)
    return ListedDevice(certificate, info.sealing_key, 0, NO_RECORD)


async def newest_block(blocks: MutableBlocks, handle: Handle) -> KeyBlock | None:
    """Return the newest version for sure, None if there is none; raises UnavailableError."""
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
    return _Newcomer(keys, seeds, contact, revoke, now_ms, sealing, entropy).listed_in(found, 1)


async def enter_device(
    keys: AccountKeys,
    blocks: AccountBlocks,
    *,
    contact: NodeHandle,
    revoke: bool,
    now_ms: int,
    sealing: Sealing,
    entropy: Entropy,
) -> NewDevice:
    """Make one more device, as `add_device`, and list it.

    Where another change of the account is made at the same moment, the loser begins again with what
    the winner has written. What is not ring-durable when this returns is for the device to insert
    again. Raises as `find_account` and `change_devices`; RefusedError if the other change was to
    have one device only, UnavailableError if others keep changing the account: then it is not
    listed.
    """
    seeds = draw_seeds(entropy)
    newcomer = _Newcomer(keys, seeds, contact, revoke, now_ms, sealing, entropy)
    device: NewDevice | None = None
    clash, version_min = None, 1
    for _ in range(CHANGES_TRIED):
        found = await find_account(keys, blocks, sealing, clash)
        if device is not None and device.secrets.certificate in found.identity.devices:
            await blocks.insert(BlockKind.KEY, device.device_block.data, mirror=False)
            return device
        device = newcomer.listed_in(found, version_min)
        # Nothing is mirrored: after a conflict the next reading must find the ring's version.
        await blocks.insert(BlockKind.CONTENT, device.keyring, mirror=False)
        clash, pause = None, CHANGE_PAUSE_SECONDS
        try:
            await blocks.insert(BlockKind.KEY, device.identity.data, mirror=False)
        except Conflict as conflict:
            rival = open_key_block(conflict.block, expected=key_block_handle(keys.account.public))
            clash = Clash(device.identity, rival)
            version_min = clash.version_min
            device, pause = None, pause * (1 + entropy.token(1)[0] / 256)
        await asyncio.sleep(pause)
    raise UnavailableError(
        "this machine is not listed, since others keep changing the account: try again in a minute"
    )


@dataclass(frozen=True)
class _Newcomer:
    """A device that is drawn, and not listed yet, or by a version that others did not see."""

    keys: AccountKeys
    seeds: DeviceSeeds
    contact: NodeHandle
    revoke: bool
    now_ms: int
    sealing: Sealing
    entropy: Entropy

    def listed_in(self, found: AccountFound, version_min: int) -> NewDevice:
        """Return the device with the next identity block; raises as `change_devices`."""
        public = public_half(self.seeds, self.sealing)
        if any(revoked.device_key == public.device_key for revoked in found.identity.revoked):
            raise RefusedError("another machine was made the only one of the account just now")
        mine = [d for d in found.devices if d.certificate.device_key == public.device_key]
        others = [d for d in found.devices if d not in mine]
        # One that is listed already is not certified again: its number stays.
        known = [replace(device, sealing_key=public.sealing_key) for device in mine]
        change = change_devices(
            self.keys,
            replace(found, devices=(*others, *known), version_min=version_min),
            admitted=None if mine else public,
            revoked=[device.certificate.number for device in others] if self.revoke else (),
            ring=self.contact.ring,
            now_ms=self.now_ms,
            sealing=self.sealing,
            entropy=self.entropy,
        )
        certificate = change.certificate or _certificate_of(found, public.device_key)
        secrets = secrets_of(
            self.seeds,
            certificate,
            recovery_sealing_key=found.identity.recovery_sealing_key,
            data_keys=change.data_keys,
            now_ms=self.now_ms,
        )
        return NewDevice(
            secrets=secrets,
            keyring=change.keyring,
            device_block=first_device_block(secrets, self.contact, self.now_ms, self.sealing),
            identity=change.identity,
        )


def _certificate_of(found: AccountFound, device_key: bytes) -> bytes:
    for certificate in found.identity.devices:
        if recall_device(certificate).device_key == device_key:
            return certificate
    raise AssertionError("a device that is listed has a certificate there")
