"""Publishing the certified log: clusters of its records and a head under its own key (crypto 6).

Heads are kept in the register before they leave, so one version is never signed twice.
"""

from __future__ import annotations

from dataclasses import dataclass

from epost.crypto.signing import Kind, SigningKey
from epost.crypto.versioned import KeyBlock, make_key_block, open_key_block
from epost.daemon.authority.register import Register
from epost.daemon.authority.world import World
from epost.foundation.codec import encode
from epost.foundation.ids import Handle
from epost.past.log_format import (
    NO_CLUSTER,
    RECORDS_PER_CLUSTER_MAX,
    HeadContent,
    cluster_handle,
    head_of,
    record_hash,
)

_HEAD = "certified head"
_PUBLISHED = "certified published"
ONE_INCARNATION = bytes(16)
"""The authority's log is never forked: a restored one catches up with the ring first."""


@dataclass(frozen=True, slots=True)
class Step:
    """One cluster as it is now, and the head that names it: to be stored in this order."""

    cluster: Handle
    records: tuple[bytes, ...]
    head: bytes
    sequence: int


class LogPublication:
    """What of the register's log is not in the ring yet."""

    def __init__(self, register: Register, log_seed: bytes, ring: bytes, world: World) -> None:
        self._register = register
        self._key = SigningKey(log_seed)
        self._ring = ring
        self._world = world

    @property
    def reached(self) -> int:
        """How far the log goes in the register."""
        newest = self._register.newest_certified()
        return newest[0] if newest else 0

    def next_step(self) -> Step | None:
        """Return what to store next, None if the ring has all; the same until `published`."""
        newest = self._register.newest_certified()
        held = self._held()
        reached = head_of(held).content.sequence if held else 0
        if held is not None and reached > self._published():
            return self._step(held)
        if newest is None or newest[0] <= reached:
            return None
        with self._register.transaction():
            head = self._sign(held, reached, newest[0])
            self._register.put_block(_HEAD, head.data)
        return self._step(head)

    def published(self, step: Step) -> None:
        """The ring has this."""
        with self._register.transaction():
            self._register.put_setting(_PUBLISHED, step.sequence.to_bytes(8, "big"))

    def adopt(self, head: bytes) -> None:
        """Go on behind a head that the ring has; to be called inside a transaction."""
        sequence = head_of(open_key_block(head)).content.sequence
        self._register.put_block(_HEAD, head)
        self._register.put_setting(_PUBLISHED, sequence.to_bytes(8, "big"))

    def _published(self) -> int:
        return int.from_bytes(self._register.setting(_PUBLISHED) or b"", "big")

    def _held(self) -> KeyBlock | None:
        data = self._register.block(_HEAD)
        return open_key_block(data) if data else None

    def _sign(self, previous: KeyBlock | None, reached: int, newest: int) -> KeyBlock:
        """Sign the head of the cluster that comes next, as full as it is."""
        number = reached // RECORDS_PER_CLUSTER_MAX
        first = number * RECORDS_PER_CLUSTER_MAX + 1
        last = min(newest, first + RECORDS_PER_CLUSTER_MAX - 1)
        before: bytes = NO_CLUSTER
        if number:
            (opening,) = self._register.certified(first - RECORDS_PER_CLUSTER_MAX, limit=1)
            before = cluster_handle(opening).digest
        records = self._register.certified(first, limit=last - first + 1)
        content = HeadContent(
            format=1,
            incarnation=ONE_INCARNATION,
            sequence=last,
            tip=record_hash(records[-1]),
            tail=(),
            cluster=cluster_handle(records[0]).digest,
            first_sequence=first,
            previous_cluster=before,
            epoch=0,
            sealed=b"",
        )
        return make_key_block(
            self._key,
            Kind.HEAD,
            ring=self._ring,
            previous=previous,
            issued_at=self._world.clock.wall_ms(),
            content=encode(content),
        )

    def _step(self, head: KeyBlock) -> Step:
        content = head_of(head).content
        count = content.sequence - content.first_sequence + 1
        records = tuple(self._register.certified(content.first_sequence, limit=count))
        return Step(cluster_handle(records[0]), records, head.data, content.sequence)
