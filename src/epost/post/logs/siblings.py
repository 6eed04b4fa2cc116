"""Follows the logs of the account's other devices and tells the applications (design 6; POST 3.4).

Each device writes its own log; what all of them say together is the account. A log is read from
where the application has got to, so nothing is kept here and nothing can be missed by a crash. Of a
revoked device only what stands up to the record that its revocation names is read (crypto 2.2).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from typing import Protocol

from epost.crypto.versioned import key_block_handle, open_key_block
from epost.foundation.codec import encode
from epost.foundation.errors import (
    AuthenticityError,
    NotFoundError,
    PeerError,
    UnavailableError,
)
from epost.foundation.ids import NodeHandle
from epost.foundation.wire import Application
from epost.past.log_format import (
    LOG_RECORD,
    Head,
    HeadContent,
    LogRecord,
    open_head,
    record_hash,
    split_records,
)
from epost.post.accounts.blocks import LogName, RevokedDevice, decode_device_info
from epost.post.accounts.contacts import Accounts, Contact
from epost.post.accounts.data_keys import DataKeys
from epost.post.accounts.devices import Device
from epost.post.app_ids import AppId
from epost.post.config import PostConfig
from epost.post.logs.chain import ClusterName
from epost.post.logs.entries import Entry, Origin
from epost.post.logs.reader import LogReader, number_of
from epost.post.logs.snapshot_finding import SnapshotFinding, SnapshotTaker, Wanted
from epost.post.messages import Grew
from epost.post.observed import DeviceRevoked, SiblingRead, SiblingUnreadable
from epost.post.ports import Layers, NodePorts

RECORDS_PER_TELLING_MAX = 100
LOOK_GAP_SECONDS = 0.25
"""Between two looks, and two hints, whoever asks for them."""
_TROUBLES = (AuthenticityError, NotFoundError, PeerError, UnavailableError)
"""What keeps one log from being read now without saying anything about the next time."""


class Follower(Protocol):
    """An application that folds the records of all of the account's devices."""

    def read_to(self, device: int) -> int:
        """Return up to which record of another device's log everything is durable here."""
        ...

    async def take(self, origin: Origin, after: int, entries: Sequence[tuple[int, Entry]]) -> None:
        """Take all (sequence, entry) of another device behind `after`; returns once durable.

        `entries` may hold none of this application's: then only `read_to` moves. Raises
        UnavailableError if `read_to` is not `after` (any more).
        """


class Heir(Protocol):
    """Takes over what a revoked device left undone."""

    def is_due(self, device_key: bytes) -> bool:
        """Is that still to be done for this device?"""
        ...

    async def take_over(self, device_key: bytes, entries: AsyncIterator[Entry]) -> None:
        """Read all that counts of its log, and do it."""


@dataclass(frozen=True, slots=True)
class Sibling:
    """Another device of the account; of a revoked one, the last record that counts."""

    number: int
    logs: tuple[LogName, ...]
    last: int | None = None
    revoked_key: bytes = b""
    """The key of a revoked device."""


class Siblings:
    """Reads what the other devices of this account log, for ever."""

    def __init__(
        self,
        *,
        device: Device,
        accounts: Accounts,
        data_keys: DataKeys,
        layers: Layers,
        ports: NodePorts,
        config: PostConfig,
        snapshots: SnapshotFinding,
        on_revoked: Callable[[], None],
    ) -> None:
        """`on_revoked` is called once if this device turns out to be revoked."""
        self._device = device
        self._accounts = accounts
        self._blocks = layers.blocks
        self._requests = layers.requests
        self._ports = ports
        self._config = config
        self._reader = LogReader(layers.blocks, device)
        self._on_revoked = on_revoked
        self._contacts: dict[bytes, NodeHandle] = {}
        self._heir: Heir | None = None
        self._has_grown = asyncio.Event()
        self._looked_up_at = -inf
        self._data_keys = data_keys
        self._followers: dict[AppId, Follower] = {}
        self._takers: dict[AppId, SnapshotTaker] = {}
        self._snapshots = snapshots
        self._woken = asyncio.Event()
        self.is_revoked = False
        """Has the owner revoked this device? What it logs counts for nothing then."""

    @property
    def others(self) -> int:
        """How many other devices the account has, as far as is known."""
        return len(self._contacts)

    def register(self, app: AppId, follower: Follower) -> None:
        """Tell an application of the other devices' records from the next look on."""
        self._followers[app] = follower
        self.wake()

    def take_snapshots(self, app: AppId, taker: SnapshotTaker) -> None:
        """Let this follower have snapshots of the other devices' logs, where they help."""
        self._takers[app] = taker

    def leave_to(self, heir: Heir) -> None:
        """Name who takes over what revoked devices left undone."""
        self._heir = heir

    def wake(self) -> None:
        """Look at once: something was said of another device's log."""
        self._woken.set()

    async def keep_following(self) -> None:
        """Look every `sibling_seconds`, and when woken, for ever."""
        while True:
            self._woken.clear()
            pause = self._config.sibling_seconds
            with suppress(*_TROUBLES):
                if self._followers and not await self.follow():
                    pause = self._config.sibling_seconds_alone
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._woken.wait()
            await asyncio.sleep(LOOK_GAP_SECONDS)

    def on_grew(self, sender: NodeHandle) -> None:
        """A node says that a device there has logged something: believed enough to look.

        A node that is not known as one of ours may be a new device's; it makes us look it up, but
        not more often than we would anyway.
        """
        now = self._ports.clock.now()
        if sender.node_id not in self._contacts:
            if now < self._looked_up_at + self._config.sibling_seconds:
                return
            self._looked_up_at = now
            self._accounts.forget(self._accounts.me.name)
        self.wake()

    def tell_soon(self) -> None:
        """The ring has new records of this device: the others need not wait to find out."""
        self._has_grown.set()

    async def keep_telling(self) -> None:
        """Tell the other devices whenever this one's log has grown, for ever."""
        while True:
            await self._has_grown.wait()
            self._has_grown.clear()
            grew = encode(Grew(self._device.number))
            for contact in list(self._contacts.values()):
                self._ports.stories.run_story(self._tell_contact(contact, grew))
            await asyncio.sleep(LOOK_GAP_SECONDS)

    async def _tell_contact(self, contact: NodeHandle, grew: bytes) -> None:
        with suppress(*_TROUBLES):  # it looks by itself soon
            await self._requests.call(
                contact,
                Application.POST,
                grew,
                timeout_seconds=self._config.direct_timeout_seconds,
            )

    async def follow(self) -> int:
        """Read what is new in every other device's log; return how many others there are.

        One that cannot be read does not stop the rest. Raises UnavailableError and the like if it
        cannot be told which devices there are.
        """
        others, _ = await self._follow_all()
        return others

    async def read_all(self) -> bool:
        """Read what is new; return whether the applications have every other log to its end.

        What another device has logged and not published yet nobody can know. Raises as `follow`.
        """
        _, unread = await self._follow_all()
        return bool(self._followers) and not unread

    async def _follow_all(self) -> tuple[int, int]:
        """Return how many other devices there are, and how many logs could not be read."""
        me = await self._accounts.resolve(self._accounts.me.name)
        await self._data_keys.follow(me.identity.keyring)
        self._look_for_revocation(me)
        siblings = await self._siblings(me)
        unread = 0
        for sibling in siblings:
            try:
                await self._follow(sibling)
            except _TROUBLES as error:
                unread += 1
                self._ports.observer.record(SiblingUnreadable(sibling.number, error))
        for sibling in siblings:  # last: for this a log is read to its beginning
            with suppress(*_TROUBLES):
                await self._inherit(sibling)
        return len(siblings), unread

    def _look_for_revocation(self, me: Contact) -> None:
        if not self.is_revoked and me.revocation(self._device.signing.public) is not None:
            self.is_revoked = True
            self._on_revoked()
            self._ports.observer.record(DeviceRevoked(self._device.number))

    async def _inherit(self, sibling: Sibling) -> None:
        key = sibling.revoked_key
        if key and self._heir is not None and self._heir.is_due(key):
            await self._heir.take_over(key, self._all_entries(sibling))

    async def all_entries(self) -> AsyncIterator[tuple[int, int, Entry]]:
        """Yield (device, sequence, entry) of all that counts in the other devices' logs.

        Logs that cannot be read now are left out; raises UnavailableError if it cannot be told
        which devices there are.
        """
        for sibling in await self._siblings(await self._accounts.resolve(self._accounts.me.name)):
            with suppress(*_TROUBLES):
                async for sequence, entry in self._numbered_entries(sibling):
                    yield sibling.number, sequence, entry

    async def _all_entries(self, sibling: Sibling) -> AsyncIterator[Entry]:
        async for _, entry in self._numbered_entries(sibling):
            yield entry

    async def _numbered_entries(self, sibling: Sibling) -> AsyncIterator[tuple[int, Entry]]:
        head = await self._head_of(sibling)
        if head is not None:
            async for record in self._records(head.content, 0):
                if sibling.last is not None and record.sequence > sibling.last:
                    break
                yield record.sequence, self._reader.entry(record)

    async def _siblings(self, me: Contact) -> list[Sibling]:
        others = [
            (device.certificate.number, device.info)
            for device in me.devices
            if device.info is not None and device.certificate.number != self._device.number
        ]
        self._contacts = {info.contact.node_id: info.contact for _, info in others}
        found = [Sibling(number, info.logs) for number, info in others]
        for revoked in me.identity.revoked:
            if self._is_done_with(revoked):
                found.append(Sibling(revoked.number, (), revoked.log_sequence))
                continue
            logs = await self._logs_of(revoked.device_key)
            found.append(Sibling(revoked.number, logs, revoked.log_sequence, revoked.device_key))
        return found

    def _is_done_with(self, revoked: RevokedDevice) -> bool:
        """Has all that counts of a revoked device's log been read and taken over?"""
        if self._heir is not None and self._heir.is_due(revoked.device_key):
            return False
        return self._read_to(revoked.number) >= revoked.log_sequence

    def _read_to(self, number: int) -> int:
        """Return up to which record of another device's log every application has read."""
        return min((f.read_to(number) for f in self._followers.values()), default=0)

    async def _logs_of(self, device_key: bytes) -> tuple[LogName, ...]:
        handle = key_block_handle(device_key)
        reading = await self._blocks.lookup_latest(handle)
        if reading.block is None:
            return ()
        return decode_device_info(open_key_block(reading.block, expected=handle).body.content).logs

    async def _follow(self, sibling: Sibling) -> None:
        wanted = {
            app: follower.read_to(sibling.number) for app, follower in self._followers.items()
        }
        if not wanted or (sibling.last is not None and min(wanted.values()) >= sibling.last):
            return
        found = await self._head_of(sibling)
        if found is None or found.content.sequence <= min(wanted.values()):
            return
        head = found.content
        origin = Origin(sibling.number, head.incarnation)
        await self._take_snapshot(sibling, found, origin, wanted)
        after = min(wanted.values())
        batch: list[tuple[int, Entry]] = []
        async for record in self._records(head, after):
            if sibling.last is not None and record.sequence > sibling.last:
                break
            batch.append((record.sequence, self._reader.entry(record)))
            if len(batch) >= RECORDS_PER_TELLING_MAX:
                await self._tell(origin, batch, wanted)
                batch = []
        if batch:
            await self._tell(origin, batch, wanted)
        self._ports.observer.record(SiblingRead(sibling.number, head.sequence))

    async def _take_snapshot(
        self, sibling: Sibling, head: Head, origin: Origin, told: dict[AppId, int]
    ) -> None:
        """Spare applications that are far behind the older part of a log."""

        def records_behind(after: int) -> AsyncIterator[LogRecord]:
            return self._records(head.content, after)

        for app, taker in self._takers.items():
            if app not in told:
                continue
            wanted = Wanted(app, told[app], sibling.last)
            told[app] = await self._snapshots.give(taker, origin, head, records_behind, wanted)

    async def _tell(
        self, origin: Origin, batch: Sequence[tuple[int, Entry]], told: dict[AppId, int]
    ) -> None:
        for app, after in told.items():
            if new := [(number, entry) for number, entry in batch if number > after]:
                await self._followers[app].take(origin, after, new)
                told[app] = new[-1][0]

    async def _head_of(self, sibling: Sibling) -> Head | None:
        """Return the head of the newest of a device's logs that has one."""
        for name in reversed(sibling.logs):
            handle = key_block_handle(name.log_key)
            reading = await self._blocks.lookup_latest(handle)
            if reading.block is not None:
                return open_head(reading.block, expected=handle)
            if not reading.confirmed:
                raise UnavailableError("the log's head cannot be confirmed now")
        return None

    async def _records(self, head: HeadContent, after: int) -> AsyncIterator[LogRecord]:
        """Yield the records behind `after`, oldest first, as one unbroken chain for each key."""
        before: tuple[LogRecord, bytes] | None = None
        async for data in self._stored(head, after):
            record = LOG_RECORD.decode(data)
            if before is not None and before[0].log_key == record.log_key:
                is_next = record.sequence == before[0].sequence + 1
                if not is_next or record.previous != before[1]:
                    raise UnavailableError("a replica gave a cluster that was cut short")
            before = record, record_hash(data)
            if record.sequence > after:
                yield record

    async def _stored(self, head: HeadContent, after: int) -> AsyncIterator[bytes]:
        records: list[bytes] = []
        for name in await self._clusters_since(head, after):
            body, _ = await self._blocks.lookup_cluster(name.handle)
            records = split_records(body)
            for data in records:
                yield data
        # A head that is read while its successor is on its way: the cluster has some of its tail.
        for data in head.tail:
            if not records or number_of(data) > number_of(records[-1]):
                yield data

    async def _clusters_since(self, head: HeadContent, after: int) -> list[ClusterName]:
        """Return the clusters, oldest first, from the one that holds the record after `after`."""
        if head.tail and LOG_RECORD.decode(head.tail[0]).sequence <= after + 1:
            return []
        return await self._reader.walk_back(
            ClusterName.in_head(head), lambda name: name.first_sequence <= after + 1
        )
