"""Folds POST's own records into outbox and replay set, and keeps a checkpoint of both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import msgspec

from epost.crypto.certificates import V1
from epost.foundation.codec import Format, encode
from epost.foundation.durations import DAY_SECONDS
from epost.foundation.errors import PeerError
from epost.foundation.ids import U63
from epost.foundation.ports import PutNote
from epost.post.accounts.devices import Device
from epost.post.app_ids import AppId
from epost.post.config import PostConfig
from epost.post.logs.device_log import DeviceLog
from epost.post.logs.entries import Entry, Origin
from epost.post.notification.delivered import DeliveredNotices
from epost.post.notification.deposits import Deposits
from epost.post.notification.outbox import Outbox
from epost.post.notification.received import ReceivedNotices
from epost.post.notification.records import (
    POST_RECORD,
    DeliveryState,
    Outgoing,
    PostRecord,
    Progressed,
    Received,
    Step,
    Warned,
)
from epost.post.ports import NodePorts

TABLE = "post.ledger"
_KEY = b"folded"
_SWEEP_SECONDS = DAY_SECONDS
RECORDS_READ_MAX = 2_000
"""About so many a start reads again: a tenth of a second of work."""


class _Folded(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    format: V1
    sequence: U63


_FOLDED: Format[_Folded] = Format(_Folded, size_max=64)


class Ledger:
    """The state that POST's own records lead to.

    The log is the truth; the notes of the checkpoint spare reading all of it at each start.
    """

    def __init__(
        self,
        device: Device,
        log: DeviceLog,
        deposits: Deposits,
        ports: NodePorts,
        config: PostConfig,
    ) -> None:
        self.outbox = Outbox(device, ports)
        self.received = ReceivedNotices(device, ports)
        self.delivered = DeliveredNotices(device, ports)
        self._log = log
        self._deposits = deposits
        self._ports = ports
        self._config = config
        self._folded = 0
        self._is_dirty = asyncio.Event()
        log.register(AppId.POST, self._on_entry)
        log.on_published(self._on_growth)

    async def load(self) -> None:
        """Restore the checkpoint and fold what came after it; before anything is appended."""
        self.outbox.load()
        stored = self._ports.disk.note(TABLE, _KEY)
        self._folded = 0 if stored is None else _FOLDED.decode(stored).sequence
        async for sequence, payload in self._log.replay(AppId.POST, self._folded):
            self._apply(sequence, payload)
        if self._log.sequence > self._folded:
            # Records of other applications make no checkpoint: have one written, or every start
            # reads again what this one has read.
            self._folded = self._log.sequence
            self._is_dirty.set()

    async def keep_checkpoints(self) -> None:
        """Write a checkpoint some time after every change, for ever."""
        while True:
            await self._is_dirty.wait()
            await asyncio.sleep(self._config.checkpoint_seconds)
            await self.checkpoint()

    async def keep_forgetting(self) -> None:
        """Once a day forget what can no longer be replayed."""
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            if self._ports.is_clock_sound():
                forgotten = [
                    *self.received.expired(),
                    *self.delivered.expired(),
                    *self._deposits.expired(),
                ]
                await self._ports.disk.durable(forgotten)

    async def checkpoint(self) -> None:
        """Write down what was folded so far, in one commit."""
        self._is_dirty.clear()
        await self._ports.disk.durable(
            [
                *self.outbox.checkpoint(),
                *self.received.checkpoint(),
                *self.delivered.checkpoint(),
                PutNote(TABLE, _KEY, encode(_Folded(1, self._folded))),
            ]
        )

    async def outgoing(self, sequence: int) -> Outgoing:
        """Read the record of a sent message back from the log; raises as the log does."""
        async for found, payload in self._log.replay(AppId.POST, sequence - 1):
            record = POST_RECORD.decode(payload)
            if found == sequence and isinstance(record, Outgoing):
                return record
        raise AssertionError("the outbox names a record that the log does not have")

    async def contents_on_their_way(self, app: AppId) -> AsyncIterator[bytes]:
        """Yield what this device has sent for an application and is not settled; raises as the log.

        What the application had kept beside it is among the contents.
        """
        for message in self.outbox.messages():
            if message.app == app:
                for content in (await self.outgoing(message.sequence)).contents:
                    yield content

    async def contents_settled(self, app: AppId) -> AsyncIterator[bytes]:
        """Yield the same of all messages that are settled; reads the whole log."""
        async for _, payload in self._log.replay(AppId.POST, 0):
            with suppress(PeerError):  # of a later version
                record = POST_RECORD.decode(payload)
                if not isinstance(record, Outgoing) or record.app != app:
                    continue
                if self.outbox.message(record.message_key) is None:
                    for content in record.contents:
                        yield content

    def _on_entry(self, sequence: int, entry: Entry, _origin: Origin) -> None:
        self._apply(sequence, entry.payload)

    def _on_growth(self) -> None:
        """Records of other applications make no checkpoint: now and then many of them do."""
        if self._log.told_sequence - self._folded >= RECORDS_READ_MAX:
            self._folded = self._log.told_sequence
            self._is_dirty.set()

    def _apply(self, sequence: int, payload: bytes) -> None:
        with suppress(PeerError):  # of a later version of ePOST: the disk was there before
            self._fold(sequence, POST_RECORD.decode(payload))
        self._folded = max(self._folded, sequence)
        self._is_dirty.set()

    def _fold(self, sequence: int, record: PostRecord) -> None:
        match record:
            case Outgoing():
                self.outbox.on_outgoing(sequence, record)
            case Progressed(steps):
                for step in steps:
                    self._on_step(step)
            case Warned(message_key, notice):
                self.outbox.on_warned(message_key, notice)
            case Received():
                self.received.on_received(sequence, record)

    def _on_step(self, step: Step) -> None:
        message = self.outbox.message(step.message_key)
        if step.state is DeliveryState.READ:
            self.delivered.on_read(step.pending)
        elif message is not None and step.notice < len(message.notices):
            self.delivered.on_step(step, message.notices[step.notice].name)
        self.outbox.on_step(step)


def entry_of(record: PostRecord) -> Entry:
    """Return the log entry of one of POST's own records."""
    return Entry(int(AppId.POST), encode(record))
