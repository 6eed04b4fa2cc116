"""What the ring has of an account whose phrase was given (POST 3.1; crypto 2.1).

The phrase gives the account key, by which the identity block is found, and the recovery key, to
which the keyring is sealed. Nothing of the lost machines is needed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol

import msgspec

from epost.crypto.certificates import recall_device
from epost.crypto.signing import Kind
from epost.crypto.versioned import KeyBlock, key_block_handle, open_key_block
from epost.foundation.errors import (
    NoSuchUser,
    NotFoundError,
    UnavailableError,
    UntrustedCertificate,
)
from epost.foundation.ids import BlockKind, Handle
from epost.foundation.ports import Sealing
from epost.past.client import Reading
from epost.past.log_format import NO_RECORD, open_head
from epost.post.accounts.blocks import Identity, decode_device_info, decode_identity
from epost.post.accounts.device_changes import AccountFound, ListedDevice
from epost.post.accounts.devices import AccountKeys
from epost.post.accounts.keyring import EpochSecret, open_keyring, with_reader
from epost.post.accounts.rival_copies import Missed, missed_by, rivals_of
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

    async def lookup_copies(self, handle: Handle) -> Sequence[bytes]:
        """Return the different authentic copies that replicas have; raises UnavailableError."""
        ...


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

    What another copy of the identity block says, and this one does not, is taken in: the writer of
    either may have been told of success. Raises NoSuchUser if the ring knows none of this phrase,
    UnavailableError if it cannot be read for sure now, AuthenticityError and PeerError if what it
    has is not what it must be.
    """
    handle = key_block_handle(keys.account.public)
    block = await newest_block(blocks, handle)
    if clash is not None:
        block = clash.base(block)
    if block is None:
        raise NoSuchUser("the ring has no account of this phrase")
    if block.purpose is not Kind.IDENTITY:
        raise UntrustedCertificate("the account's key signed something else than an identity")
    identity = decode_identity(block.body.content)
    if (identity.account_id, identity.generation) != (keys.account_id, keys.generation):
        raise UntrustedCertificate("the identity of another account")
    copies = [open_key_block(c, expected=handle) for c in await blocks.lookup_copies(handle)]
    if clash is not None:
        copies = [copy for copy in copies if copy.data != clash.refused.data]
    rivals = rivals_of(block, copies)
    found = await _Opening(keys, blocks, sealing).found(
        block, identity, missed_by(identity, rivals)
    )
    version_min = block.body.version + 2 if rivals else 1
    return replace(found, version_min=max(version_min, clash.version_min if clash else 1))


@dataclass(frozen=True, slots=True)
class _Listed:
    """A device, and its certificate as it was signed."""

    certificate: bytes
    device: ListedDevice

    @property
    def number(self) -> int:
        return self.device.certificate.number


@dataclass(frozen=True)
class _Opening:
    """Reads what an identity block leads to."""

    keys: AccountKeys
    blocks: MutableBlocks
    sealing: Sealing

    async def found(self, block: KeyBlock, identity: Identity, missed: Missed) -> AccountFound:
        gone = {device.device_key: device.number for device in (*identity.revoked, *missed.revoked)}
        listed = [await self._listed(data) for data in identity.devices]
        listed = [d for d in listed if d.device.certificate.device_key not in gone]
        late = await self._late(missed, listed, set(gone.values()))
        replaced = {late_one.number for late_one in late}
        listed = [d for d in listed if d.number not in replaced]
        keyring = await self._keyring(identity.keyring)
        data_keys = await self._data_keys(keyring, missed)
        for device in late:
            newest, reader = data_keys[-1].secret, device.device.sealing_key
            keyring = with_reader(keyring, self.keys.account_id, newest, reader, self.sealing)
        devices = (*listed, *late)
        return AccountFound(
            block,
            msgspec.structs.replace(identity, devices=tuple(d.certificate for d in devices)),
            keyring,
            data_keys,
            tuple(d.device for d in devices),
            revoked_elsewhere=missed.revoked,
        )

    async def _late(
        self, missed: Missed, listed: Sequence[_Listed], numbers_gone: Collection[int]
    ) -> list[_Listed]:
        """Return the devices that others list and that count.

        Whoever was told of success has published a block, or does so when it is started; of two
        under one number the one that has counts. A keyring can be sealed to no other.
        """
        taken = {d.number for d in listed if d.device.sealing_key}.union(numbers_gone)
        late: dict[int, _Listed] = {}
        for certificate in missed.certificates:
            found = await self._listed(certificate)
            if found.device.sealing_key and found.number not in taken:
                late.setdefault(found.number, found)
        return list(late.values())

    async def _data_keys(self, keyring: bytes, missed: Missed) -> tuple[EpochSecret, ...]:
        """Return the data keys of the latest epoch that any copy leads to."""
        data_keys = self._opened(keyring)
        for digest in missed.keyrings if missed.revoked else ():
            with suppress(NotFoundError, UnavailableError):  # it was not brought this far
                other = self._opened(await self._keyring(digest))
                data_keys = max(data_keys, other, key=lambda found: found[-1].epoch)
        return data_keys

    async def _keyring(self, digest: bytes) -> bytes:
        return await self.blocks.lookup(Handle(BlockKind.CONTENT, digest))

    def _opened(self, keyring: bytes) -> tuple[EpochSecret, ...]:
        seed = self.keys.recovery_sealing_seed
        return open_keyring(
            keyring,
            self.keys.account_id,
            public_key=self.sealing.public_key(seed),
            seed=seed,
            sealing=self.sealing,
        )

    async def _listed(self, data: bytes) -> _Listed:
        certificate = recall_device(data)
        block = await newest_block(self.blocks, key_block_handle(certificate.device_key))
        if block is None:
            return _Listed(data, ListedDevice(certificate, b"", 0, NO_RECORD))
        info = decode_device_info(block.body.content)
        if sealing_key_hash(info.sealing_key) != certificate.sealing_hash:
            raise UntrustedCertificate("a device names a sealing key that is not certified")
        for name in reversed(info.logs):
            handle = key_block_handle(name.log_key)
            if head := await newest_block(self.blocks, handle):
                content = open_head(head.data, expected=handle).content
                written = content.sequence, content.tip
                return _Listed(data, ListedDevice(certificate, info.sealing_key, *written))
        return _Listed(data, ListedDevice(certificate, info.sealing_key, 0, NO_RECORD))


async def newest_block(blocks: MutableBlocks, handle: Handle) -> KeyBlock | None:
    """Return the newest version for sure, None if there is none; raises UnavailableError."""
    for _ in range(READINGS_TRIED):
        reading = await blocks.lookup_latest(handle)
        if reading.confirmed:
            break
    else:
        raise UnavailableError("too few machines answer: start more of them, then try again")
    return None if reading.block is None else open_key_block(reading.block, expected=handle)
