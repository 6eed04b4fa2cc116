"""What the POST services need of the layers around them, as they see it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from epost.crypto.certificates import AccountCert
from epost.foundation.ids import BlockKind, Handle, Id, NodeHandle
from epost.foundation.ports import Clock, Entropy, Observer, Sealing, Write
from epost.foundation.wire import Application
from epost.past.client import Insertion, Reading


class Disk(Protocol):
    """The node's own vault, as stories use it."""

    async def durable(self, writes: Sequence[Write]) -> None:
        """Return when these writes, and all asked for earlier, are on disk; raises DiskFull."""

    def require_room(self, size_bytes: int) -> None:
        """Raise DiskFull if there is no room for new mail of this size."""

    def note(self, table: str, key: bytes) -> bytes | None:
        """Return a note, or None."""
        ...

    def notes(self, table: str) -> Sequence[tuple[bytes, bytes]]:
        """Return all notes of a table in key order."""
        ...


class Stories(Protocol):
    """Runs what goes on in the background; its failures are observed."""

    def run_story(self, story: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a story."""
        ...


@dataclass(frozen=True)
class NodePorts:
    """The world as one node's services see it.

    `is_clock_sound` says no while the own clock is far from the peers': then nothing expires
    (crypto 7.2). `sending_ms` is the time to put on what is sent, which is not ahead of the peers'.
    `replicas_wanted` is min(k, enrolled storage nodes). `ring_view` is what this node sees of the
    ring: another answer than before means that something has changed there.
    """

    clock: Clock
    entropy: Entropy
    sealing: Sealing
    observer: Observer
    disk: Disk
    stories: Stories
    is_clock_sound: Callable[[], bool]
    sending_ms: Callable[[], int]
    replicas_wanted: Callable[[], int]
    ring_view: Callable[[], object]


class BlockStore(Protocol):
    """PAST as the services use it (paper section 2)."""

    async def insert(
        self, kind: BlockKind, block: bytes, *, mirror: bool = True, only_with_room: bool = False
    ) -> Insertion:
        """Store a block on k nodes, or hold it locally; raises RefusedError, Conflict.

        With `only_with_room` it is given up if it `found_no_room`.
        """
        ...

    def hold(self, kind: BlockKind, block: bytes) -> None:
        """Put a block into the own vault with what is written there next, to be inserted then."""

    async def extend(self, cluster: Handle, records: Sequence[bytes], head: bytes) -> Insertion:
        """Append records to a log's cluster, creating it at the first."""
        ...

    async def lookup(self, handle: Handle) -> bytes:
        """Return any authentic replica; raises NoSuchBlock, UnavailableError."""
        ...

    async def lookup_copies(self, handle: Handle) -> Sequence[bytes]:
        """Return the different authentic copies that replicas have; raises UnavailableError."""
        ...

    async def lookup_cluster(self, handle: Handle) -> tuple[bytes, bytes]:
        """Return a log's cluster: its joined records and the newest head that names it."""
        ...

    async def lookup_latest(self, handle: Handle) -> Reading:
        """Ask all replicas of a mutable block and return the newest."""
        ...


class Leases(Protocol):
    """Prolongs what storage nodes keep (design 8)."""

    async def renew_mirrored(self) -> int:
        """Have the leases of all that is mirrored here prolonged; return how many, unanswered."""
        ...

    def is_mirrored(self, handle: Handle) -> bool:
        """Is a block kept here for this node's own user?"""
        ...

    async def unmirror(self, handles: Sequence[Handle]) -> None:
        """Keep these no longer for the own user, nor renew them; not what is still to be pushed.

        Nothing happens between the call and the change.
        """


class Delegates(Protocol):
    """Leaves pending notices with other nodes."""

    async def deposit(self, envelope: bytes) -> Sequence[bytes]:
        """Leave an envelope with the k nodes closest to its digest; return their receipts.

        Raises RefusedError, UnavailableError.
        """
        ...

    async def depositor(self, handle: Handle) -> NodeHandle | None:
        """Return the node that left a notice here, if it can be reached now.

        Raises UnavailableError, PeerError.
        """
        ...


class Directory(Protocol):
    """The organisation's word on who is who."""

    @property
    def domain(self) -> str:
        """The domain of every name it certifies."""
        ...

    @property
    def ring(self) -> bytes:
        """The ring of its members."""
        ...

    def verify_account(self, data: bytes, now_ms: int) -> AccountCert:
        """Return an account's certificate; raises PeerError or AuthenticityError."""
        ...

    def is_key_succeeded(self, account: AccountCert) -> bool:
        """Has another key followed the one of this (verified) certificate?"""
        ...


class Requests(Protocol):
    """Asks other nodes, and tells them (`Calls`)."""

    async def call(
        self,
        to: NodeHandle,
        application: Application,
        body: bytes,
        *,
        timeout_seconds: float,
        tries: int = 1,
    ) -> bytes:
        """Return the answer; raises CallTimedOut, PeerRefused, Overloaded."""
        ...

    def tell(self, to: NodeHandle, application: Application, body: bytes) -> None:
        """Send a one-way message, best effort."""


class Groups(Protocol):
    """Scribe: one group of nodes per thing that somebody waits for news of (paper 3.1)."""

    def join(self, group: Id) -> None:
        """Receive what is multicast to the group."""

    def leave(self, group: Id) -> None:
        """Receive it no longer."""

    def multicast(self, group: Id, body: bytes) -> None:
        """Send to everybody in the group, best effort."""


@dataclass(frozen=True)
class Layers:
    """The layers below, on one node: PAST, the authority's word, Scribe, calls."""

    blocks: BlockStore
    delegates: Delegates
    leases: Leases
    directory: Directory
    groups: Groups
    requests: Requests
