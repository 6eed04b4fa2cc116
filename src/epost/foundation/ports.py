"""What the world must provide. Each port has a real twin (daemon) and a simulated one.

Both twins of a port pass one contract test (tests/unit/ports). Nothing below `node` reaches the
world in any other way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntFlag
from typing import Protocol

from epost.foundation.ids import Handle, Id, NodeHandle, NodeId


class Clock(Protocol):
    """Time, in two readings."""

    def now(self) -> float:
        """Return monotonic seconds that go on while the machine sleeps (CLOCK_BOOTTIME)."""
        ...

    def wall_ms(self) -> int:
        """Return milliseconds since 1970; may be wrong, may jump."""
        ...


class Entropy(Protocol):
    """The only source of randomness."""

    def token(self, size: int) -> bytes:
        """Return `size` unpredictable bytes."""
        ...


class Observer(Protocol):
    """Receives typed events: metrics in the daemon, checkers in the simulator."""

    def record(self, event: object) -> None:
        """Take note of an event; must not raise and must not keep the caller."""


class Sealing(Protocol):
    """Public-key encryption (HPKE X-Wing); randomised, so the simulator has a twin."""

    def seal(self, public_key: bytes, context: str, binding: bytes, plaintext: bytes) -> bytes:
        """Return the sealed bytes; only the holder of the private seed opens them."""
        ...

    def unseal(self, seed: bytes, context: str, binding: bytes, sealed: bytes) -> bytes:
        """Open sealed bytes with a 32-byte private seed; raises BadSeal."""
        ...

    def public_key(self, seed: bytes) -> bytes:
        """Return the 1216-byte public key of a 32-byte private seed."""
        ...


class TransportEvents(Protocol):
    """Where a transport reports; implemented by the driver."""

    def on_message(self, sender: NodeHandle, message: bytes) -> None:
        """A whole message of an authenticated peer arrived."""

    def on_unreachable(self, node: NodeId) -> None:
        """Dialling failed, or the link broke with messages unsent."""


class Transport(Protocol):
    """Carries whole messages (<= wire.MESSAGE_SIZE_MAX) between authenticated nodes.

    Best effort and in order per link; never blocks. Messages beyond the bounds of a peer's queue
    are dropped and reported as unreachable.
    """

    def start(self, events: TransportEvents) -> None:
        """Begin to deliver."""
        ...

    def send(self, to: NodeHandle, message: bytes) -> None:
        """Send to a node, dialling its addresses if there is no link yet."""
        ...

    def certificate(self, node: NodeId) -> bytes | None:
        """Return the signed node certificate of a node that was linked lately."""
        ...

    async def close(self) -> None:
        """Send what is queued for a moment, then close every link."""
        ...


class Role(IntFlag):
    """Why a block lies in the vault; a block kept for several reasons is on disk once.

    DIVERTED: kept in place of a node without room. POINTER: this is that node (or the next one),
    and the row has no body. CACHED: in spare space. TRASH: its lease is over. The last three end
    when the block is put again.
    """

    NONE = 0
    REPLICA = 1
    STAND_IN = 2
    MIRROR = 4
    UNPUSHED = 8
    DIVERTED = 16
    POINTER = 32
    CACHED = 64
    TRASH = 128

    # Asked some hundred times for each mail: the library's way makes every answer anew.
    def __and__(self, other: int) -> Role:
        return _ROLES[int.__and__(self, other)]

    def __or__(self, other: int) -> Role:
        return _ROLES[int.__or__(self, other)]


_ROLES = tuple(Role(number) for number in range(2 * Role.TRASH))
HELD = Role.REPLICA | Role.STAND_IN | Role.DIVERTED
"""Roles in which a block counts as one of the ring's copies: what replicas compare with each other.
A replica that is also a pointer lies with the neighbour that it names."""


@dataclass(frozen=True, slots=True)
class VaultEntry:
    """The index row of one block: all but its body.

    `version` orders mutable blocks and clusters, 0 for others. `proof` is what a storage node
    must keep beside the body (a cluster's head; empty otherwise). `ticket` names the inserter.
    `stand_in_for` is the node that should hold it (STAND_IN, DIVERTED) or that does (POINTER).
    """

    handle: Handle
    size: int
    roles: Role
    version: int = 0
    body_hash: bytes = b""
    proof: bytes = field(default=b"", repr=False)
    ticket: bytes = field(default=b"", repr=False)
    stand_in_for: bytes = b""


@dataclass(frozen=True, slots=True)
class PutBlock:
    """Write a block whole, replacing body and row (roles are united with those it had)."""

    entry: VaultEntry
    body: bytes


@dataclass(frozen=True, slots=True)
class ExtendBlock:
    """Append bytes to a block's body and replace its row (roles united); for log clusters."""

    entry: VaultEntry
    suffix: bytes


@dataclass(frozen=True, slots=True)
class SetRoles:
    """Add and remove roles; a block left without any is deleted."""

    handle: Handle
    add: Role = Role.NONE
    remove: Role = Role.NONE


@dataclass(frozen=True, slots=True)
class SetTicket:
    """Replace the ticket of a block, and its lease with it; unknown blocks are ignored."""

    handle: Handle
    ticket: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class DeleteBlock:
    """Remove a block whatever its roles."""

    handle: Handle


@dataclass(frozen=True, slots=True)
class PutNote:
    """Write a small named value of a machine or story (<= 1 MiB), for example a pin."""

    table: str
    key: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class DeleteNote:
    """Remove a note; unknown keys are ignored."""

    table: str
    key: bytes


Write = PutBlock | ExtendBlock | SetRoles | SetTicket | DeleteBlock | PutNote | DeleteNote


@dataclass(frozen=True, slots=True)
class VaultCounts:
    """What `epost status` shows of a vault."""

    blocks: int
    bytes: int
    replicas: int
    stand_ins: int
    mirrored: int
    unpushed: int
    diverted: int = 0
    pointers: int = 0
    cached: int = 0
    cached_bytes: int = 0
    trashed: int = 0
    trashed_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Of all blocks held for the ring on some arc: how many, and a digest of what they are.

    Equal only if handles, versions and marks are (protocol 13.5).
    """

    count: int
    digest: bytes


class Vault(Protocol):
    """One node's disk: a synchronous index, and bodies that are loaded.

    Reads see writes that were committed to and are still pending. `commit` is pipelined: futures
    complete in the order of the calls. A failed commit (disk full, I/O error) fails its future
    and every later one with DiskFull or OSError: the node stops and restarts from its vault.
    """

    def entry(self, handle: Handle) -> VaultEntry | None:
        """Return the row of a block, or None."""
        ...

    def entries_between(
        self, start: Id, end: Id, *, after: Handle | None = None, limit: int = 1000
    ) -> Sequence[VaultEntry]:
        """Return rows on the clockwise arc (start, end] by (place from start, handle), at most
        `limit`, continuing behind `after`; start == end means the whole ring."""
        ...

    def entries_with(
        self, role: Role, *, after: Handle | None = None, limit: int = 1000
    ) -> Sequence[VaultEntry]:
        """Return rows that have a role, in handle order, continuing behind `after`."""
        ...

    def fingerprint(self, start: Id, end: Id) -> Fingerprint | None:
        """Return the fingerprint of the clockwise arc (start, end], start == end meaning the whole
        ring; cheap. None for a while after the start, until everything has been counted."""
        ...

    def load(self, handle: Handle) -> asyncio.Future[bytes | None]:
        """Read a body; None if absent or if it fails its own checksum (then reported)."""
        ...

    def is_damaged(self, handle: Handle) -> bool:
        """Was its body found not to be what was written? It counts as absent until put again."""
        ...

    def note(self, table: str, key: bytes) -> bytes | None:
        """Return a note, or None."""
        ...

    def notes(self, table: str) -> Sequence[tuple[bytes, bytes]]:
        """Return all notes of a table in key order."""
        ...

    def commit(self, writes: Sequence[Write]) -> asyncio.Future[None]:
        """Write all or nothing; done when durable."""
        ...

    def commit_soon(self, writes: Sequence[Write]) -> asyncio.Future[None]:
        """As `commit`, for what nobody waits for: it may lie unwritten for up to a second, until
        another commit takes it along."""
        ...

    def counts(self) -> VaultCounts:
        """Return totals; cheap."""
        ...

    def free_bytes(self) -> int:
        """Return how much more may be stored here (contributed space and disk); what is cached
        counts as free, since whoever stores more evicts it first."""
        ...

    def room_bytes(self) -> int:
        """Return how much the disk still takes, whatever it contributes to the ring."""
        ...

    async def close(self) -> None:
        """Finish pending commits and close."""
        ...
