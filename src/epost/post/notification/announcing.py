"""Tells the account's group that this device is here (POST 3.1, 3.3; crypto 7.6)."""

from __future__ import annotations

import asyncio

from epost.foundation.ids import NodeHandle
from epost.post.accounts.devices import Device
from epost.post.config import PostConfig
from epost.post.notification.presence import Presence, group_of, sign_presence
from epost.post.ports import Groups, NodePorts


class Announcer:
    """Publishes presence: at start, on a change, and once a minute."""

    def __init__(
        self,
        *,
        device: Device,
        node: NodeHandle,
        groups: Groups,
        ports: NodePorts,
        config: PostConfig,
    ) -> None:
        self._device = device
        self._node = node
        self._groups = groups
        self._ports = ports
        self._config = config
        self._changed = asyncio.Event()
        self._number = 0

    def announce_soon(self, node: NodeHandle | None = None) -> None:
        """Something changed: the addresses of this node, or it found its ring again."""
        if node is not None:
            self._node = node
        self._changed.set()

    async def keep_announcing(self) -> None:
        """Publish for ever, but not more often than `presence_gap_seconds_min`."""
        while True:
            self._changed.clear()
            self._announce()
            await asyncio.sleep(self._config.presence_gap_seconds_min)
            rest = self._config.presence_seconds - self._config.presence_gap_seconds_min
            try:
                async with asyncio.timeout(max(rest, 0.0)):
                    await self._changed.wait()
            except TimeoutError:
                pass

    def _announce(self) -> None:
        at = self._ports.sending_ms()
        # Grows over restarts as long as the clock does; and where the clock went back, here.
        self._number = max(self._number + 1, at)
        account_id = self._device.account_id
        presence = Presence(account_id, self._device.number, self._node, at, self._number)
        body = sign_presence(
            presence,
            self._device.signing,
            account_certificate=self._device.account_certificate,
            device_certificate=self._device.secrets.certificate,
        )
        self._groups.multicast(group_of(account_id), body)
