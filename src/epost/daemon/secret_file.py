"""Keeps the device's secrets on disk when they change (a new prekey, a new epoch)."""

from __future__ import annotations

import asyncio

from epost.daemon.folder import NodeFolder
from epost.foundation.ports import Entropy
from epost.post.accounts.devices import DeviceSecrets


class SecretFile:
    """The real SecretStore: device.keys, replaced whole and durably."""

    def __init__(self, folder: NodeFolder, entropy: Entropy, passphrase: str | None) -> None:
        self._folder = folder
        self._entropy = entropy
        self._passphrase = passphrase

    async def save(self, secrets: DeviceSecrets) -> None:
        """Return when the secrets are on disk."""
        await asyncio.to_thread(
            self._folder.write_device_secrets, secrets, self._entropy, self._passphrase
        )
