"""The device's log: what its user's folders and POST itself are folded from (POST 3.4; design 6).

Appends that come together share one commit and one head. In this order: records and signed head on
the own disk; then the listeners are told; then cluster, then head to the ring; then the append
returns. While one head is on its way, further records gather on the disk for the next; so do, for
a moment, those that nobody waits for. Until the ring's head was compared with ours nothing is
signed: appends stay local.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

from epost.foundation.errors import EpostError, RefusedError
from epost.foundation.ports import Write
from epost.past.client import Conflict
from epost.past.durability import Durability
from epost.post.accounts.device_block import DeviceBlock
from epost.post.accounts.devices import Device
from epost.post.app_ids import AppId
from epost.post.config import PostConfig
from epost.post.logs import notes
from epost.post.logs.appending import Append, Appended, OnItsWay, WaitingAppends, have_gathered
from epost.post.logs.archive import LogArchive
from epost.post.logs.entries import Entry, Origin
from epost.post.logs.fork import Fork, Forks
from epost.post.logs.notes import StoredLog
from epost.post.logs.publication import Publication
from epost.post.logs.reader import LogReader
from epost.post.logs.time_marks import LogClock
from epost.post.logs.writer import LogWriter, require_size
from epost.post.observed import DeviceExistsTwice, LogHeldLocally
from epost.post.ports import BlockStore, NodePorts
from epost.post.ring_patience import RingPatience

LOOK_TICKS = 60
"""Pauses between two looks: they do not count the time that the machine sleeps, its clock does."""
MAIL_BYTES_MIN = 1024
"""Shorter entries (flags, moves, receipts) are taken as long as the disk takes anything."""


Listener = Callable[[int, Entry, Origin], None]
"""Told (sequence, entry, origin) of every record, once it is on the own disk, in log order."""


class DeviceLog:
    """One writer, one key at a time, one chain of records."""

    def __init__(
        self,
        *,
        device: Device,
        device_block: DeviceBlock,
        blocks: BlockStore,
        ports: NodePorts,
        config: PostConfig,
    ) -> None:
        self._device = device
        self._device_block = device_block
        self._ports = ports
        self._disk = ports.disk
        self._config = config
        self._listeners: dict[int, list[Listener]] = {}
        self._reached: list[Callable[[], None]] = []
        self._published: list[Callable[[], None]] = []
        self._reader = LogReader(blocks, device)
        self._forks = Forks(blocks, ports.disk, self._reader, device_block.logs)
        self._publication = Publication(blocks)
        self._writer = self._new_writer(notes.load(ports.disk, device.secrets.incarnation))
        self.archive = LogArchive(self._reader, lambda: self._writer)
        """What of the log does not change any more."""
        self._clock = LogClock(ports.clock, config.time_mark_seconds)
        self._writing = asyncio.Lock()
        self._waiting = WaitingAppends()
        self._unpublished: deque[Append] = deque()
        self._writes_due: list[Write] = []
        self._rival: bytes | None = None
        self._is_confirmed = False
        self._is_doubted = False
        self._is_away = False
        self._is_ended = False
        self._is_hurried = True
        self._running: set[str] = set()
        self._durable_sequence = self._writer.base.sequence
        self.told_sequence = self._writer.position.sequence
        """The number of the newest record that listeners know, as they know all before it."""
        self._patience = RingPatience(ports, config)

    @property
    def sequence(self) -> int:
        """The number of the newest record on the own disk."""
        return self._writer.position.sequence

    def register(self, app: AppId, listener: Listener) -> None:
        """Tell `listener` of every record of an application from now on."""
        self._listeners.setdefault(int(app), []).append(listener)

    def on_reached(self, reached: Callable[[], None]) -> None:
        """Call this whenever the ring is found: after the start, and after an absence."""
        self._reached.append(reached)

    def on_published(self, published: Callable[[], None]) -> None:
        """Call this whenever the ring has taken new records."""
        self._published.append(published)

    def end(self) -> None:
        """Take no more entries, for good: this device was revoked, and they would not count."""
        self._is_ended = True

    @property
    def is_confirmed(self) -> bool:
        """Has the head been compared with the ring's, so that appends may be signed?"""
        return self._is_confirmed

    def start(self) -> None:
        """Compare with the ring, however long it takes, and now and then; appends are possible."""
        self._run_once("confirm", self._confirm)
        self._run_once("look", self._keep_looking)

    def is_ring_durable(self, sequence: int) -> bool:
        """Is the record of this number known to be on k machines?"""
        return sequence <= self._durable_sequence

    async def append(self, entries: Sequence[Entry], on_its_way: OnItsWay = None) -> Appended:
        """Append entries, all or none; returns when they are ring-durable, or held locally.

        Held locally means: on the own disk, and not on k machines within
        `append_deadline_seconds`. Raises MessageTooLarge, Overloaded, DiskFull.
        """
        return await self.submit(entries, on_its_way)

    def submit(
        self, entries: Sequence[Entry], on_its_way: OnItsWay = None
    ) -> asyncio.Future[Appended]:
        """Begin to append; the future is done as `append` is.

        Raises MessageTooLarge, Overloaded, RefusedError (a revoked device) at once: then nothing
        is appended; and DiskFull for entries that carry mail.
        """
        assert entries, "nothing to append"
        if self._is_ended:
            raise RefusedError("this machine was revoked by the owner of the account")
        require_size(entries)
        if (largest := max(len(entry.payload) for entry in entries)) >= MAIL_BYTES_MIN:
            self._ports.disk.require_room(largest)
        append = Append(entries, asyncio.get_running_loop().create_future(), on_its_way)
        self._waiting.add(append)
        self._run_once("commit", self._commit)
        return append.done

    async def replay(self, app: AppId, after_sequence: int) -> AsyncIterator[tuple[int, bytes]]:
        """Yield (sequence, payload) of an application's records numbered above `after_sequence`.

        Ends at the newest record of the moment it began. Begins earlier than asked where another
        incarnation has meanwhile logged what was not read yet (then some records come twice).
        """
        after = self._writer.base.rewound(after_sequence)
        async for record in self._reader.own_records(self._writer, after):
            sequence, entry = self._reader.open(record)
            if entry.app == app:
                yield sequence, entry.payload

    # Committing.

    async def _commit(self) -> None:
        while self._waiting:
            await self._commit_batch()
            if not self._writer.is_head_in_ring:
                self._run_once("publish", self._publish)
            if not self._writer.is_signed:
                self._run_once("gather", self._gather)

    async def _commit_batch(self) -> None:
        """Write what waits, and sign if the ring has all that was signed so far."""
        async with self._writing:
            writer, batch = self._writer, self._waiting.take_batch()
            writes, self._writes_due = self._writes_due, []
            if batch:
                writes += writer.add(self._clock.due())
            for append in batch:
                append.first_sequence = writer.position.sequence + 1
                writes += writer.add(append.entries)
            self._is_hurried |= any(append.on_its_way is None for append in batch)
            if self._is_confirmed and writer.is_head_in_ring and self._is_hurried:
                newest, signed = writer.head, writer.sign()
                self._is_hurried = not writer.is_signed
                if writer.head is not newest:
                    self._publication.hold(writer.step())
                writes += signed
            if writes:
                await self._durable(writes, batch)
            for append in batch:
                self._tell(append.first_sequence, append.entries, writer)
            self.told_sequence = writer.position.sequence
        self._await_publication(batch)

    async def _gather(self) -> None:
        """Let records that nobody waits for go to the ring under one head."""
        await have_gathered(lambda: self._writer.unsigned, self._config.gather_seconds)
        if not self._writer.is_signed:
            self._is_hurried = True
            await self._commit_batch()
            self._run_once("publish", self._publish)

    async def _durable(self, writes: Sequence[Write], batch: Sequence[Append]) -> None:
        try:
            await self._disk.durable(writes)
        except (EpostError, OSError) as error:
            for append in batch:
                if not append.done.done():
                    append.done.set_exception(error)
            raise

    def _await_publication(self, batch: Sequence[Append]) -> None:
        loop = asyncio.get_running_loop()
        for append in batch:
            if self._is_away:
                append.finish(self._held())
            else:
                if append.on_its_way is not None and self._is_confirmed:
                    append.on_its_way()
                self._unpublished.append(append)
                append.deadline = loop.call_later(
                    self._config.append_deadline_seconds, append.finish, self._held()
                )

    def _tell(self, first_sequence: int, entries: Sequence[Entry], writer: LogWriter) -> None:
        origin = Origin(self._device.number, writer.base.incarnation)
        for sequence, entry in enumerate(entries, first_sequence):
            for listener in self._listeners.get(entry.app, ()):
                listener(sequence, entry, origin)

    # Publishing.

    async def _publish(self) -> None:
        while self._is_confirmed:
            if self._writer.is_head_in_ring:
                await self._commit_batch()
            if self._is_doubted:
                self._is_confirmed = False
                self._run_once("confirm", self._confirm)
                return
            if self._writer.is_head_in_ring:
                return
            writer, step = self._writer, self._writer.step()
            error: EpostError | None = None
            try:
                # Nobody finds records under a key that the device block does not list.
                listed = await self._device_block.publish(writer.name)
                durability = listed.combine(await self._publication.publish(step))
            except Conflict as conflict:
                # Another machine signs with this key: never again with it from here on.
                self._is_confirmed, self._rival = False, conflict.block
                self._run_once("confirm", self._confirm)
                return
            except EpostError as failure:
                durability, error = self._held(), failure
            if durability.ring_durable and writer is self._writer:
                self._writes_due += writer.on_published()
            self._acknowledge(step.head.content.sequence, durability, error)
            if not durability.ring_durable:
                self._run_once("retry", self._retry)
                return

    def _acknowledge(self, sequence: int, durability: Durability, error: EpostError | None) -> None:
        # After a failure appends are answered at once, until the ring takes one again.
        was_away, self._is_away = self._is_away, not durability.ring_durable
        if was_away and not self._is_away:
            self._tell_reached()
        if durability.ring_durable:
            self._durable_sequence = max(self._durable_sequence, sequence)
            for published in self._published:
                published()
            self._patience.on_reached()
        else:
            self._ports.observer.record(LogHeldLocally(sequence, error))
            sequence = self._writer.position.sequence
        while self._unpublished and self._unpublished[0].last_sequence <= sequence:
            self._unpublished.popleft().finish(durability)

    async def _retry(self) -> None:
        await self._patience.pause()
        self._run_once("publish", self._publish)

    # Confirming.

    async def _keep_looking(self) -> None:
        """While this machine slept, another with a copy of its disk may have been in use."""
        looked_at = self._ports.clock.now()
        while True:
            await asyncio.sleep(self._config.log_look_seconds / LOOK_TICKS)
            now = self._ports.clock.now()
            if self._is_confirmed and now >= looked_at + self._config.log_look_seconds:
                looked_at, self._is_doubted = now, True
                self._run_once("publish", self._publish)

    async def _confirm(self) -> None:
        was_in_reach, self._is_doubted = self._is_doubted, False
        while not self._is_confirmed:
            try:
                if fork := await self._forks.compare(self._writer, self._rival):
                    await self._begin_incarnation(fork)
                self._rival = None
                await self._device_block.publish(self._writer.name)
            except EpostError as error:
                was_in_reach = False
                self._hold_everything(error)
                await self._patience.pause()
            else:
                self._is_confirmed, self._is_away, self._is_hurried = True, False, True
                self._patience.on_reached()
        if not was_in_reach:
            self._tell_reached()
        self._run_once("publish", self._publish)

    def _tell_reached(self) -> None:
        for reached in self._reached:
            reached()

    def _hold_everything(self, error: EpostError) -> None:
        self._is_away = True
        self._ports.observer.record(LogHeldLocally(self._writer.position.sequence, error))
        while self._unpublished:
            self._unpublished.popleft().finish(self._held())

    async def _begin_incarnation(self, fork: Fork) -> None:
        """Go on under a fresh key behind the ring's newest record; one commit decides it."""
        async with self._writing:
            old = self._writer
            repeated = await self._forks.entries_to_repeat(fork, old)
            entries = [entry for _, entry in repeated]
            base = self._forks.base_behind(fork, old, self._ports.entropy.token(16))
            adopted = self._forks.adopted(fork, old)
            writer = self._new_writer(StoredLog(adopted, base, [], None))
            writes = [*self._forks.writes_to_adopt(adopted, old), notes.put_base(base)]
            writes += writer.add(entries)
            if old.announced is not None and old.announced.sequence <= fork.common_in_clusters:
                writer.adopt(old.announced)
            await self._disk.durable([*writes, *writer.sign()])
            self._writer, self._writes_due = writer, []
            numbers = enumerate((number for number, _ in repeated), base.sequence + 1)
            self._renumber({former: number for number, former in numbers if former})
            await self._tell_of_the_rings(fork)
            self._tell(base.sequence + 1, entries, writer)
            self.told_sequence = writer.position.sequence
        self._ports.observer.record(
            DeviceExistsTwice(old.base.incarnation, base.incarnation, fork.common)
        )

    def _renumber(self, numbers: Mapping[int, int]) -> None:
        """Whoever waits for entries that were logged again waits for where they are now."""
        for append in self._unpublished:
            former = append.first_sequence
            append.first_sequence = numbers.get(former, former)

    async def _tell_of_the_rings(self, fork: Fork) -> None:
        origin = Origin(self._device.number, fork.ring.content.incarnation)
        for name in fork.clusters:
            for record in await self._reader.own_copy(name.handle):
                sequence, entry = self._reader.open(record)
                if sequence > fork.common:
                    for listener in self._listeners.get(entry.app, ()):
                        listener(sequence, entry, origin)

    def _new_writer(self, stored: StoredLog) -> LogWriter:
        return LogWriter(
            stored,
            device=self._device,
            ring=self._device_block.contact.ring,
            sending_ms=self._ports.sending_ms,
            entropy=self._ports.entropy,
            tail_in_head=self._config.tail_in_head,
        )

    def _held(self) -> Durability:
        return Durability(1, self._ports.replicas_wanted(), ring_durable=False)

    def _run_once(self, name: str, story: Callable[[], Awaitable[None]]) -> None:
        """Start a story unless it is running already."""

        async def run() -> None:
            try:
                await story()
            finally:
                self._running.discard(name)

        if name not in self._running:
            self._running.add(name)
            self._ports.stories.run_story(run())
