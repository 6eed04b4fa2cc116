"""Keeps this device's public-key block true: contact address, prekeys, logs (crypto 4.4).

One writer, so nothing is signed before the ring's version was confirmed, and what was signed is on
disk before it is sent. A clone of the disk writes the same block: what both added is merged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from epost.crypto.signing import Kind
from epost.crypto.versioned import KeyBlock, key_block_handle, make_key_block, open_key_block
from epost.foundation.codec import encode
from epost.foundation.errors import RefusedError, TooFewReplicas, UnavailableError
from epost.foundation.ids import BlockKind, NodeHandle
from epost.foundation.ports import PutNote
from epost.past.client import Conflict
from epost.past.durability import Durability
from epost.post.accounts.blocks import (
    LOGS_MAX,
    PREKEYS_MAX,
    DeviceInfo,
    LogName,
    decode_device_info,
)
from epost.post.accounts.devices import Device
from epost.post.ports import BlockStore, NodePorts

TABLE = "post.device"
_KEY = b"block"
_TRIES = 5


class DeviceBlock:
    """Publishes this device's block."""

    def __init__(
        self,
        *,
        device: Device,
        contact: NodeHandle,
        blocks: BlockStore,
        ports: NodePorts,
    ) -> None:
        """`contact` is this node; assign `contact` when its addresses change, then `publish`."""
        self.contact = contact
        self._device = device
        self._blocks = blocks
        self._ports = ports
        self._writing = asyncio.Lock()
        self._listed: dict[LogName, Durability] = {}

    async def publish(self, log: LogName | None = None) -> Durability:
        """Make the ring's block say what is true; `log` is added to its logs if it is not there.

        Costs nothing for a log that is known to be listed on k machines. Raises UnavailableError
        if the ring's version cannot be confirmed now, RefusedError if the device has begun too
        many logs.
        """
        async with self._writing:
            listed = None if log is None else self._listed.get(log)
            if listed is not None and listed.suffices(self._ports.replicas_wanted()):
                return listed
            for _ in range(_TRIES):
                block = await self._next_version(log)
                try:
                    insertion = await self._blocks.insert(BlockKind.KEY, block.data)
                except Conflict:
                    continue
                if log is not None and insertion.durability.ring_durable:
                    self._listed[log] = insertion.durability
                return insertion.durability
        raise UnavailableError("another machine keeps changing this device's block")

    async def logs(self) -> Sequence[LogName]:
        """Return the incarnations of the log that the ring lists; raises as `publish`."""
        return decode_device_info((await self._newest()).body.content).logs

    async def _next_version(self, log: LogName | None) -> KeyBlock:
        """Return the version to insert: the newest if it says what is true, else one more."""
        known = await self._newest()
        content = encode(self._wanted(known, log))
        return known if known.body.content == content else await self._sign(known, content)

    async def _newest(self) -> KeyBlock:
        """Return the version to build on; one of ours that never got there is signed for good."""
        handle = key_block_handle(self._device.signing.public)
        reading = await self._blocks.lookup_latest(handle)
        if not reading.confirmed:
            raise TooFewReplicas("this device's block cannot be confirmed now")
        ours = self._ports.disk.note(TABLE, _KEY)
        # Of one version the ring's is taken: ours would be refused, and merging is cheap.
        candidates = [data for data in (reading.block, ours) if data is not None]
        if not candidates:
            raise TooFewReplicas("this device's block is not in the ring")
        known = [open_key_block(data, expected=handle) for data in candidates]
        return max(known, key=lambda block: block.body.version)

    async def _sign(self, known: KeyBlock, content: bytes) -> KeyBlock:
        """Sign the next version; it is on disk when this returns, so it is never signed again."""
        block = make_key_block(
            self._device.signing,
            Kind.DEVBLOCK,
            ring=self.contact.ring,
            previous=known,
            issued_at=self._ports.sending_ms(),
            content=content,
        )
        await self._ports.disk.durable([PutNote(TABLE, _KEY, block.data)])
        return block

    def _wanted(self, known: KeyBlock, log: LogName | None) -> DeviceInfo:
        info = decode_device_info(known.body.content)
        return DeviceInfo(
            account_id=self._device.account_id,
            number=self._device.number,
            contact=self.contact,
            sealing_key=info.sealing_key,
            prekeys=self._device.published_prekeys(PREKEYS_MAX),
            logs=_with(info.logs, log),
        )


def _with(logs: Sequence[LogName], log: LogName | None) -> tuple[LogName, ...]:
    if log is None or log in logs:
        return tuple(logs)
    if len(logs) >= LOGS_MAX:
        raise RefusedError(f"this device was restored {LOGS_MAX} times: enrol it anew")
    return (*logs, log)
