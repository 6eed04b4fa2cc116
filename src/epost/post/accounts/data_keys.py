"""Keeps this device's copies of the account's data keys in step with the keyring (crypto 2)."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from epost.foundation.errors import AuthenticityError, NotFoundError, PeerError, UnavailableError
from epost.foundation.ids import BlockKind, Handle
from epost.post.accounts.devices import Device, DeviceSecrets, SecretStore
from epost.post.accounts.keyring import EpochSecret, open_keyring
from epost.post.observed import DataKeysChanged, KeyringUnreadable
from epost.post.ports import BlockStore, NodePorts


class DataKeys:
    """Follows the keyring that the identity block names."""

    def __init__(
        self, *, device: Device, blocks: BlockStore, ports: NodePorts, secret_store: SecretStore
    ) -> None:
        self._device = device
        self._blocks = blocks
        self._ports = ports
        self._secret_store = secret_store
        self._followed = b""

    async def follow(self, keyring: bytes) -> None:
        """Learn the data keys of the keyring with this digest, if it is not the last one seen.

        They are on disk before they are used. What cannot be read now is looked at again.
        """
        if keyring == self._followed:
            return
        try:
            block = await self._blocks.lookup(Handle(BlockKind.CONTENT, keyring))
            keys = open_keyring(
                block,
                self._device.account_id,
                public_key=self._device.sealing_key,
                seed=self._device.secrets.sealing_seed,
                sealing=self._ports.sealing,
            )
        except (AuthenticityError, NotFoundError, PeerError, UnavailableError) as error:
            # Among others: this device was revoked, and the keyring is not sealed to it any more.
            self._ports.observer.record(KeyringUnreadable(error))
            return
        if not set(keys) <= set(self._device.secrets.data_keys):
            await self._device.change(self._secret_store, lambda secrets: _with(secrets, keys))
            self._ports.observer.record(DataKeysChanged(keys[-1].epoch))
        self._followed = keyring


def _with(secrets: DeviceSecrets, keys: Sequence[EpochSecret]) -> DeviceSecrets:
    by_epoch = {key.epoch: key for key in (*keys, *secrets.data_keys)}
    known = tuple(by_epoch[epoch] for epoch in sorted(by_epoch))
    return msgspec.structs.replace(secrets, data_keys=known)
