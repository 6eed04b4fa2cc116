"""Builds the records and heads of this device's log and the writes that keep them; never waits.

A head is signed only through `sign`, whose writes must be on disk before the head is sent, and
only while the owner of this writer knows that nobody else writes with the same key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from epost.foundation.errors import MessageTooLarge
from epost.foundation.ids import Handle
from epost.foundation.ports import Clock, Entropy, Write
from epost.past.log_format import TAIL_SIZE_MAX
from epost.post import log_notes
from epost.post.account_blocks import LogName
from epost.post.devices import Device
from epost.post.log_chain import Position, sign_head
from epost.post.log_notes import OpenCluster, SignedHead, StoredCluster, StoredLog
from epost.post.log_records import (
    PAYLOAD_BYTES_MAX,
    SALT_BYTES,
    Entry,
    seal_record,
)


@dataclass(frozen=True, slots=True)
class Step:
    """A cluster and the newest head over it, both on the own disk."""

    cluster: Handle
    first_sequence: int
    records: tuple[bytes, ...]
    head: SignedHead

    @property
    def needs_cluster(self) -> bool:
        """Must the cluster be stored under this head, or does it ride in it?"""
        return self.head.content.cluster == self.cluster.digest


class LogWriter:
    """One incarnation of the log, as far as it is not safe in stored clusters."""

    def __init__(
        self,
        stored: StoredLog,
        *,
        device: Device,
        ring: bytes,
        clock: Clock,
        entropy: Entropy,
        tail_in_head: bool,
    ) -> None:
        self.stored = stored.stored
        self.base = stored.base
        self.clusters = stored.clusters
        heads = [cluster.head for cluster in stored.clusters if cluster.head is not None]
        self.head = heads[-1] if heads else None
        self._device = device
        self._ring = ring
        self._clock = clock
        self._entropy = entropy
        self._tail_in_head = tail_in_head
        self._key = device.log_key(stored.base.incarnation)

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
        """Is every record covered by a head that may be sent?"""
        return not self.clusters or (
            self.clusters[-1].is_signed
            and all(cluster.is_signed and cluster.is_named for cluster in self.clusters[:-1])
        )

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
            log_notes.extend_clusters(self.clusters, position, record)
            writes.append(log_notes.put_record(position.sequence + 1, record))
        return writes

    def sign(self) -> list[Write]:
        """Sign a head over each cluster that lacks one over all of its records.

        A full cluster needs one that names it, since its holders accept it under no other.
        """
        writes: list[Write] = []
        for cluster in self.clusters:
            is_last = cluster is self.clusters[-1]
            if not cluster.is_signed or not (is_last or cluster.is_named):
                cluster.head = self.head = self._sign_head(cluster, is_last=is_last)
                writes.append(log_notes.put_head(cluster, self.head))
        return writes

    def steps(self) -> list[Step]:
        """Return what must be stored, in order, to make the signed log ring-durable.

        To be asked for only when every write so far is on disk.
        """
        return [
            Step(cluster.handle, cluster.first_sequence, tuple(cluster.records), cluster.head)
            for cluster in self.clusters
            if cluster.head is not None
        ]

    def strike_off(self) -> list[Write]:
        """Take the first cluster, now safe in the ring and in the vault, out of the notes."""
        cluster = self.clusters.pop(0)
        assert self.clusters, "the newest cluster is never struck off"
        assert cluster.is_signed, "what is not signed is not in the ring"
        self.stored.append(StoredCluster(cluster.first_sequence, cluster.handle))
        self.base = msgspec.structs.replace(
            self.base,
            sequence=cluster.end.sequence,
            tip=cluster.end.tip,
            before=cluster.end.cluster,
        )
        return [
            *log_notes.forget_records([cluster]),
            log_notes.put_cluster(self.stored[-1]),
            log_notes.put_base(self.base),
        ]

    def _sign_head(self, cluster: OpenCluster, *, is_last: bool) -> SignedHead:
        rides_in_head = self._tail_in_head and is_last and cluster.end.size <= TAIL_SIZE_MAX
        return SignedHead.of(
            sign_head(
                self._key,
                cluster.end,
                incarnation=self.base.incarnation,
                tail=cluster.records if rides_in_head else (),
                epoch=self._device.account_data_epoch,
                ring=self._ring,
                previous=None if self.head is None else self.head.block,
                issued_at=self._clock.wall_ms(),
            )
        )


def require_size(entries: Sequence[Entry]) -> None:
    """Raise MessageTooLarge if an entry does not fit into a record."""
    if any(len(entry.payload) > PAYLOAD_BYTES_MAX for entry in entries):
        raise MessageTooLarge(f"a log entry of more than {PAYLOAD_BYTES_MAX} bytes")
