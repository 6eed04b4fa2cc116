"""Getting a block onto its k replicas, as stories (design 4; crypto 4.3).

Whoever offers a block has it in the own vault already, marked as not yet pushed. The k closest
reachable nodes are asked at once; one that refuses or is slow is hedged by the next closest. The
own vault counts as a machine only where this node is among them.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from epost.crypto.versioned import open_key_block
from epost.foundation.codec import encode
from epost.foundation.durations import DAY_MS
from epost.foundation.errors import (
    DiskFull,
    EpostError,
    MalformedPacket,
    NotPermitted,
    PeerRefused,
    QuotaExceeded,
    RefusedError,
    UnavailableError,
    UnexpectedPacket,
)
from epost.foundation.ids import BlockKind, Handle, NodeHandle, NodeId
from epost.foundation.ports import Role, SetRoles, Write
from epost.foundation.wire import RefusalCode
from epost.past.attestations import open_deposit
from epost.past.blocks import Proven, proven_key
from epost.past.durability import Durability
from epost.past.log_format import open_head
from epost.past.lookup import Lookups
from epost.past.messages import Accepted, Differs, Extend, Incomplete, Put, Settled
from epost.past.observed import BlockInserted
from epost.past.replica import Replica
from epost.past.shelf import is_held
from epost.past.spread import spread
from epost.past.surroundings import Surroundings
from epost.past.tickets import Ticketing
from epost.past.versions import order
from epost.past.witness import Witness

DEFINITE_REFUSALS: dict[int, type[RefusedError]] = {
    RefusalCode.NOT_PERMITTED: NotPermitted,
    RefusalCode.QUOTA: QuotaExceeded,
    RefusalCode.INVALID_BLOCK: RefusedError,
    RefusalCode.MALFORMED: RefusedError,
}


class Conflict(RefusedError):  # noqa: N818 - the domain's words read better without "Error"
    """A replica holds a version that is not older; merge with it and try again."""

    def __init__(self, handle: Handle, block: bytes) -> None:
        super().__init__(f"{handle}: another version is stored already")
        self.handle = handle
        self.block = block


class Disk(Protocol):
    """The own vault, and the turn that performs what stories put in the outbox."""

    async def durable(self, writes: Sequence[Write]) -> None:
        """Return when these writes, and all asked for earlier, are on disk; raises DiskFull."""

    def write_later(self, writes: Sequence[Write]) -> None:
        """Write soon what nobody is ever told of, and what may be lost in a crash."""

    def require_room(self, size_bytes: int) -> None:
        """Raise DiskFull if there is no room for new mail of this size."""

    def wake(self) -> None:
        """Have the outbox performed soon."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """A block (or an extension) on its way to its replicas; `request` is as it travels."""

    proven: Proven
    block: bytes = field(repr=False)
    request: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Ack:
    """A machine that has committed the block, and what it signed."""

    node: NodeId
    attestation: bytes = field(repr=False)
    is_settled: bool = False


@dataclass(frozen=True, slots=True)
class Pushed:
    """On which machines a block is, and whether that is enough."""

    acks: tuple[Ack, ...]
    durability: Durability
    found_no_room: bool = False
    """A machine that should keep the block could not, nor could it have another do so."""


class Insertions:
    """Offers blocks to their replicas."""

    def __init__(
        self,
        around: Surroundings,
        replica: Replica,
        lookups: Lookups,
        witness: Witness,
        disk: Disk,
    ) -> None:
        self._around = around
        self._vault = around.vault
        self._replica = replica
        self._lookups = lookups
        self._witness = witness
        self._disk = disk
        self._ticketing = Ticketing(around.node_key, around.node_certificate, around.ring)
        self._in_flight: Counter[Handle] = Counter()
        self._awaited: Counter[Handle] = Counter()
        """Those of them whose writers wait for the outcome: nothing was promised yet."""
        self.held: dict[Handle, bytes] = {}
        """Vouchers of what is here to be inserted by its writer: the next head of a log."""

    def renew(self, node_certificate: bytes) -> None:
        """Insert under this renewed certificate from now on."""
        self._ticketing.renew(node_certificate)

    def voucher(self, blocks: Sequence[tuple[Handle, int]]) -> bytes:
        """Return a fresh voucher for blocks of these sizes."""
        now_ms = self._around.dating_ms()
        lifetimes = self._around.issuers.policy.lifetimes
        lease_until = now_ms + lifetimes.lease_days * DAY_MS
        return self._ticketing.voucher(blocks, now_ms=now_ms, lease_until=lease_until)

    def is_in_flight(self, handle: Handle) -> bool:
        """Is a story offering this block now, or about to, which will judge the answers?"""
        return handle in self._in_flight or handle in self.held

    def count_awaited(self) -> int:
        """Return how many blocks are on their way whose writers have not been answered yet."""
        entries = map(self._vault.entry, self._awaited.keys() | self.held.keys())
        return sum(bool(entry and entry.roles & Role.UNPUSHED) for entry in entries)

    async def push(self, parcel: Parcel, *, is_promised: bool = False) -> Pushed:
        """Offer a block that the own vault holds until it is ring-durable, or the deadline.

        One that is promised, since the user was told that it is held here, stays to be pushed
        though the quota forbids it now: it may be raised, or room made.
        Returns when it is also durable here. Raises Conflict, RefusedError if every node refuses
        it, DiskFull and OSError of the own disk.
        """
        handle = parcel.proven.handle
        local = asyncio.ensure_future(self._disk.durable(()))
        offers = (self._in_flight,) if is_promised else (self._in_flight, self._awaited)
        for each in offers:
            each[handle] += 1
        try:
            pushed = await self._spread(parcel, local)
            await local
        except Conflict:
            self._mark_pushed(parcel.proven)  # the writer will merge and write anew
            raise
        except RefusedError as error:
            # Logs stay for another try; whatever else is refused is not pushed any more.
            waits = is_promised and isinstance(error, QuotaExceeded)
            if not waits and handle.kind not in {BlockKind.KEY, BlockKind.CLUSTER}:
                self._mark_pushed(parcel.proven, and_remove=Role.STAND_IN)
            raise
        finally:
            for each in offers:
                _end_one(each, handle)
            _leave(local)
        if pushed.durability.ring_durable:
            self._mark_pushed(parcel.proven)
        return pushed

    async def _spread(self, parcel: Parcel, local: Awaitable[None]) -> Pushed:
        config = self._around.config
        wanted = self._around.issuers.replication_factor()
        nodes = await self._nodes(parcel.proven.handle, wanted + config.stand_ins)
        outcome = await spread(
            [partial(self._put_at, node, parcel, local) for node in nodes],
            needed=wanted,
            at_once=wanted,
            hedge_seconds=config.hedge_seconds,
            deadline_seconds=config.insert_deadline_seconds,
            stop_on=(Conflict, DiskFull),
        )
        acks = outcome.successes
        _raise_if_refused(acks, outcome.failures, self._around.me.id)
        acked = min(len(acks), wanted)
        durability = Durability(acked, wanted, acked >= wanted)
        machines = tuple(ack.node for ack in acks)
        proven = parcel.proven
        observer = self._around.observer
        observer.record(BlockInserted(proven.handle, proven.version, machines, wanted))
        found_no_room = acked < wanted and any(map(_is_for_room, outcome.failures))
        return Pushed(acks, durability, found_no_room)

    async def _nodes(self, handle: Handle, size: int) -> Sequence[NodeHandle]:
        try:
            return await self._lookups.proven_replica_set(handle.place, size)
        except EpostError:
            return ()  # held locally until the ring can be reached

    # One machine.

    async def _put_at(self, node: NodeHandle, parcel: Parcel, local: Awaitable[None]) -> Ack:
        if node.node_id == self._around.me.node_id:
            return await self._keep_here(parcel, local)
        reply = await self._lookups.ask_encoded(node, parcel.request)
        if isinstance(reply, Incomplete):
            reply = await self._lookups.ask(node, await self._whole(parcel.proven.handle))
        match reply:
            case Accepted(attestation):
                self._take_attestation(node.id, parcel.proven, attestation)
                return Ack(node.id, attestation)
            case Settled():
                return Ack(node.id, b"", is_settled=True)
            case Differs():
                return self._meet(node.id, parcel.proven, reply)
            case _:
                raise UnexpectedPacket("not the answer to a put")

    async def _keep_here(self, parcel: Parcel, local: Awaitable[None]) -> Ack:
        if not self._replica.is_storage_node:
            raise UnavailableError("this node does not store for the ring")
        entry = self._vault.entry(parcel.proven.handle)
        if entry is not None and not is_held(entry):
            self._replica.shelf.stand_in(entry, parcel.block)
            await self._disk.durable(())
        else:
            await asyncio.shield(local)
        # Only a notice's delegates are counted by what they signed.
        is_notice = parcel.proven.handle.kind is BlockKind.PENDING
        attestation = self._replica.attest(parcel.proven) if is_notice else b""
        return Ack(self._around.me.id, attestation)

    async def _whole(self, cluster: Handle) -> Put:
        """Return the request that puts a cluster whole, as far as it has come by now."""
        entry = self._vault.entry(cluster)
        body = await self._vault.load(cluster)
        if entry is None or body is None or len(body) != entry.size:
            raise UnavailableError(f"{cluster}: changes too fast")
        return Put(cluster, body, entry.proof, self.voucher([(cluster, entry.size)]))

    def _take_attestation(self, node: NodeId, proven: Proven, attestation: bytes) -> None:
        """A delegate counts only with its signature; other receipts are verified if needed."""
        if proven.handle.kind is not BlockKind.PENDING:
            self._witness.saw_stored(node, proven.handle, proven.version, attestation)
            return
        now_ms = self._around.clock.wall_ms()
        certificates = self._replica.certificates
        digest = proven.handle.digest
        signer, _ = open_deposit(attestation, certificates, now_ms, pending=digest)
        if signer.id != node:
            raise MalformedPacket("a deposit receipt signed by another node")

    def _meet(self, node: NodeId, proven: Proven, differs: Differs) -> Ack:
        """Judge what a replica holds instead; raises Conflict if it is authentic and not older."""
        handle = proven.handle
        held = [self._read_other(handle, block) for block in differs.blocks]
        own = self._vault.entry(handle)
        if own and order(own) > order(proven) and all(order(o) <= order(own) for o, _ in held):
            return Ack(node, b"")  # overtaken by a newer version of our own
        rivals = [(other, block) for other, block in held if _is_rival(other, proven)]
        if not rivals:
            raise MalformedPacket("claims a conflict with what is no conflict")
        _, block = max(rivals, key=lambda rival: order(rival[0]))
        raise Conflict(handle, block)

    def _read_other(self, handle: Handle, block: bytes) -> tuple[Proven, bytes]:
        if handle.kind is BlockKind.KEY:
            return proven_key(open_key_block(block, expected=handle)), block
        if handle.kind is BlockKind.CLUSTER:
            head = open_head(block)
            if head.cluster != handle:
                raise MalformedPacket("the head of another cluster")
            return Proven(handle, len(block), head.version, head.body_hash), block
        now_ms = self._around.clock.wall_ms()
        prover = self._replica.prover
        return prover.prove(handle, block, now_ms=now_ms, is_fresh=False), block

    # The own vault.

    def _mark_pushed(self, proven: Proven, *, and_remove: Role = Role.NONE) -> None:
        """Nothing is left to push, unless a newer version is here by now."""
        entry = self._vault.entry(proven.handle)
        if entry and entry.roles & Role.UNPUSHED and order(entry) == order(proven):
            removed = Role.UNPUSHED | and_remove
            kept = Role.NONE if and_remove else self._replica.cache.role_after_push(entry)
            # Lost in a crash, it is pushed once more: nobody waits for this.
            self._disk.write_later([SetRoles(proven.handle, add=kept, remove=removed)])


def put_parcel(proven: Proven, block: bytes, voucher: bytes) -> Parcel:
    """Return a whole block as a parcel."""
    head = proven.proof if proven.handle.kind is BlockKind.CLUSTER else b""
    return Parcel(proven, block, encode(Put(proven.handle, block, head, voucher)))


def extension_parcel(proven: Proven, suffix: bytes, voucher: bytes) -> Parcel:
    """Return an extension of a cluster as a parcel."""
    return Parcel(proven, b"", encode(Extend(proven.handle, suffix, proven.proof, voucher)))


def _is_rival(other: Proven, ours: Proven) -> bool:
    """Is it a version that the writer of ours did not know of?"""
    if other.version + 1 == ours.version:
        return other.body_hash != ours.previous
    return other.version >= ours.version and order(other) != order(ours)


def _raise_if_refused(acks: Sequence[Ack], failures: Sequence[EpostError], me: NodeId) -> None:
    """Raise the refusal if no other node took the block and all that answered refuse it."""
    if not failures or any(ack.node != me for ack in acks):
        return
    definite = [
        DEFINITE_REFUSALS[code](str(error))
        for error in failures
        if isinstance(error, PeerRefused) and (code := error.code) in DEFINITE_REFUSALS
    ]
    if len(definite) == len(failures):
        raise definite[0]


def _is_for_room(error: EpostError) -> bool:
    return isinstance(error, PeerRefused) and error.code == RefusalCode.DISK_FULL


def _end_one(offers: Counter[Handle], handle: Handle) -> None:
    offers[handle] -= 1
    if not offers[handle]:
        del offers[handle]


def _leave(task: asyncio.Future[None]) -> None:
    """Wait for a task no longer; what it was to do goes on."""
    if not task.done():
        task.cancel()
    elif not task.cancelled():
        task.exception()  # seen: whoever waited for it was told, or had failed before
