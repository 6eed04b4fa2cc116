"""Builds the records and heads of this device's log and the writes that keep them; never waits.

A head is signed only through `sign`, whose writes must be on disk before the head is sent. The next
is signed only when the ring has this one: so the ring sees every version, and each names the one
before; whoever else signs with this key is noticed at the first version that both have signed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from epost.foundation.errors import MessageTooLarge
from epost.foundation.ids import Handle
from epost.foundation.ports import Entropy, Write
from epost.past.log_format import LOG_RECORD, TAIL_SIZE_MAX, head_of, join_records
from epost.post.accounts.blocks import LogName
from epost.post.accounts.devices import Device
from epost.post.logs import notes
from epost.post.logs.chain import Position, SealedNote, sign_head
from epost.post.logs.entries import (
    PAYLOAD_BYTES_MAX,
    SALT_BYTES,
    Entry,
    open_record,
    seal_record,
)
from epost.post.logs.notes import OpenCluster, SignedHead, StoredCluster, StoredLog
from epost.post.logs.snapshot_format import (
    Announced,
    HeadNote,
    note_in,
    read_head_note,
    seal_head_note,
)


@dataclass(frozen=True, slots=True)
class Step:
    """A signed head, and the records that must be in its cluster under it: none if all of them
    ride in the head."""

    cluster: Handle
    records: tuple[bytes, ...]
    head: SignedHead


class LogWriter:
    """One incarnation of the log, as far as it is not safe in stored clusters."""

    def __init__(
        self,
        stored: StoredLog,
        *,
        device: Device,
        ring: bytes,
        sending_ms: Callable[[], int],
        entropy: Entropy,
        tail_in_head: bool,
    ) -> None:
        self.stored = stored.stored
        self.base = stored.base
        self.clusters = stored.clusters
        self.head = stored.head
        self.is_head_in_ring = self.head is None or self.head.content.sequence <= self.base.sequence
        self._device = device
        self._ring = ring
        self._sending_ms = sending_ms
        self._entropy = entropy
        self._tail_in_head = tail_in_head
        self._key = device.log_key(stored.base.incarnation)
        self._announced = self._read_announced()

    @property
    def name(self) -> LogName:
        """The incarnation and its public key, as the device block lists them."""
        return LogName(self.base.incarnation, self._key.public)

    @property
    def position(self) -> Position:
        """The place after the newest record."""
        return self.clusters[-1].end if self.clusters else self.base.position

    @property
    def is_signed(self) -> bool:
        """Does a signed head cover every record?"""
        return self.unsigned <= 0

    @property
    def unsigned(self) -> int:
        """How many records no signed head covers yet."""
        signed = self.base.sequence if self.head is None else self.head.content.sequence
        return self.position.sequence - signed

    def add(self, entries: Sequence[Entry]) -> list[Write]:
        """Append records; raises MessageTooLarge before anything is changed."""
        require_size(entries)
        epoch = self._device.account_data_epoch
        data_key = self._device.log_data_key(self._key.public, epoch)
        assert data_key is not None, "the newest epoch has a key"
        writes: list[Write] = []
        for entry in entries:
            position = self.position
            record = seal_record(
                entry,
                log_key=self._key.public,
                data_key=data_key,
                epoch=epoch,
                sequence=position.sequence + 1,
                previous=position.tip,
                salt=self._entropy.token(SALT_BYTES),
            )
            notes.extend_clusters(self.clusters, position, record)
            writes.append(notes.put_record(position.sequence + 1, record))
            self._note(position.sequence + 1, entry)
        return writes

    @property
    def announced(self) -> HeadNote | None:
        """The newest snapshot of this log that a record on the disk announces."""
        return self._announced[-1] if self._announced else None

    def adopt(self, announced: HeadNote) -> None:
        """Go on telling of a snapshot that an earlier incarnation announced."""
        self._announced.insert(0, announced)

    def _note(self, sequence: int, entry: Entry) -> None:
        if isinstance(note := note_in(entry), Announced):
            self._announced.append(HeadNote(1, sequence, note))

    def _read_announced(self) -> list[HeadNote]:
        """Return what the newest head tells of, and what records behind it announce."""
        told = read_head_note(head_of(self.head.block), self._device) if self.head else None
        found = [] if told is None else [told]
        signed = self.head.content.sequence if self.head else self.base.sequence
        for record in (record for cluster in self.clusters for record in cluster.records):
            decoded = LOG_RECORD.decode(record)
            data_key = self._device.log_data_key(decoded.log_key, decoded.epoch)
            if decoded.sequence > signed and data_key is not None:
                note = note_in(open_record(decoded, data_key))
                if isinstance(note, Announced):
                    found.append(HeadNote(1, decoded.sequence, note))
        return found

    def sign(self) -> list[Write]:
        """Sign a head over the records of the first open cluster, unless they are covered.

        A cluster that another follows needs a head that names it: its holders take no other.
        """
        assert self.is_head_in_ring, "one head at a time"
        writes = self._strike_off()
        if not self.clusters or self._covers(self.clusters[0]):
            return writes
        self.head = self._sign_head(self.clusters[0])
        self.is_head_in_ring = False
        return [*writes, notes.put_head(self.head)]

    def step(self) -> Step:
        """Return what must be stored to bring the newest head into the ring."""
        assert self.head is not None, "nothing was signed"
        cluster = self.clusters[0]
        return Step(cluster.handle, tuple(cluster.records[: self._stored(cluster)]), self.head)

    def on_published(self) -> list[Write]:
        """The newest head is ring-durable, and the cluster if it names one.

        Returns the writes that take a full cluster out of the notes, if that is what it covers.
        """
        self.is_head_in_ring = True
        return self._strike_off()

    def _strike_off(self) -> list[Write]:
        if len(self.clusters) <= 1 or not self._covers(self.clusters[0]):
            return []
        cluster = self.clusters.pop(0)
        self.stored.append(StoredCluster(cluster.first_sequence, cluster.handle))
        self.base = msgspec.structs.replace(
            self.base,
            sequence=cluster.end.sequence,
            tip=cluster.end.tip,
            before=cluster.end.cluster,
        )
        return [
            *notes.forget_records([cluster]),
            notes.put_cluster(self.stored[-1]),
            notes.put_base(self.base),
        ]

    def _covers(self, cluster: OpenCluster) -> bool:
        """Does the newest head cover all of a cluster, as it must?"""
        if self.head is None or self.head.content.sequence < cluster.end.sequence:
            return False
        is_stored = self._stored(cluster) == len(cluster.records)
        return is_stored or cluster is self.clusters[-1]

    def _stored(self, cluster: OpenCluster) -> int:
        """Return how many records of a cluster the newest head leaves to the stored cluster."""
        if self.head is None or self.head.content.cluster != cluster.handle.digest:
            return 0
        content = self.head.content
        return content.sequence - len(content.tail) - content.first_sequence + 1

    def _is_new(self, cluster: OpenCluster) -> bool:
        """Has no head referred to this cluster yet?"""
        return self.head is None or self.head.content.sequence < cluster.first_sequence

    def _sign_head(self, cluster: OpenCluster) -> SignedHead:
        # The first head over a cluster carries it in both variants, if it is small enough: then
        # even after the loss of this disk the head in the ring leads to every head of the cluster.
        carries = (self._tail_in_head and cluster is self.clusters[-1]) or self._is_new(cluster)
        tail = cluster.records[self._stored(cluster) :]
        rides_in_head = carries and len(join_records(tail)) <= TAIL_SIZE_MAX
        version = self.head.block.body.version + 1 if self.head else 1
        return SignedHead.of(
            sign_head(
                self._key,
                cluster.end,
                incarnation=self.base.incarnation,
                tail=tail if rides_in_head else (),
                note=self._sealed_note(version, cluster.end.sequence),
                ring=self._ring,
                previous=None if self.head is None else self.head.block,
                issued_at=self._sending_ms(),
            )
        )

    def _sealed_note(self, version: int, sequence: int) -> SealedNote:
        """Tell of the newest snapshot that is announced up to here."""
        epoch = self._device.account_data_epoch
        while len(self._announced) > 1 and self._announced[1].sequence <= sequence:
            del self._announced[0]
        if not self._announced or self._announced[0].sequence > sequence:
            return SealedNote(epoch)
        log_key, salt = self._key.public, self._entropy.token(SALT_BYTES)
        data_key = self._device.log_data_key(log_key, epoch)
        assert data_key is not None, "the newest epoch has a key"
        return SealedNote(
            epoch, seal_head_note(self._announced[0], data_key, log_key, version, salt)
        )


def require_size(entries: Sequence[Entry]) -> None:
    """Raise MessageTooLarge if an entry does not fit into a record."""
    if any(len(entry.payload) > PAYLOAD_BYTES_MAX for entry in entries):
        raise MessageTooLarge(f"a log entry of more than {PAYLOAD_BYTES_MAX} bytes")
