"""Inserting and looking up blocks, as stories (paper section 2; design 3, 4)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from epost.crypto.versioned import open_key_block
from epost.foundation.calls import Calls
from epost.foundation.errors import DiskFull
from epost.foundation.ids import BlockKind, Handle, NodeHandle, NodeId
from epost.foundation.ports import Entropy, PutBlock, Role, SetRoles
from epost.past.attestations import Statement
from epost.past.blocks import Proven, handle_of, proven_content, proven_key
from epost.past.caching.filling import CacheFilling
from epost.past.durability import Durability
from epost.past.insertion import (
    Conflict,
    Disk,
    Insertions,
    Pushed,
    extension_parcel,
    put_parcel,
)
from epost.past.leases.bulk_renewal import BulkRenewal
from epost.past.lookup import Fetched, Lookups
from epost.past.own_logs import prove_extension
from epost.past.pusher import Pusher
from epost.past.reading import Answered, Reading, Readings
from epost.past.replica import Replica
from epost.past.shelf import is_held, is_pointer
from epost.past.surroundings import Surroundings
from epost.past.tickets import BLOCKS_MAX, recall_inserter
from epost.past.versions import Verdict, judge_repair, order
from epost.past.witness import Witness

__all__ = ["Answered", "BlockStore", "Conflict", "Insertion", "Reading"]


_ENDING = frozenset({BlockKind.PENDING, BlockKind.RECEIPT})
"""Kinds that are never mirrored: they end, and a copy that nobody knows of would not."""


@dataclass(frozen=True, slots=True)
class Insertion:
    """A block that is stored, and how safely."""

    handle: Handle
    durability: Durability
    found_no_room: bool = False
    """Some of the k have no room for it: under another handle it may find k that have."""


class BlockStore:
    """The ring's blocks, as a node's own user inserts and reads them."""

    def __init__(
        self,
        around: Surroundings,
        replica: Replica,
        *,
        calls: Calls,
        entropy: Entropy,
        disk: Disk,
    ) -> None:
        self._around = around
        self._vault = around.vault
        self._replica = replica
        self._disk = disk
        self._lookups = Lookups(around, replica.prover, calls, entropy)
        witness = Witness(around, replica.certificates)
        self._insertions = Insertions(around, replica, self._lookups, witness, disk)
        self._readings = Readings(
            around, replica, self._lookups, witness=witness, cache=self._mirror
        )
        self._bulk_renewal = BulkRenewal(around, disk)
        self._filling = CacheFilling(around, replica.cache, self._lookups, disk)
        self._pusher = Pusher(around, replica, self._insertions)

    def renew(self, node_certificate: bytes) -> None:
        """Sign tickets and attestations under this renewed certificate from now on."""
        self._insertions.renew(node_certificate)
        self._replica.renew(node_certificate)

    # Inserting.

    async def insert(
        self, kind: BlockKind, block: bytes, *, mirror: bool = True, only_with_room: bool = False
    ) -> Insertion:
        """Store a block on k nodes and, as a mirror, here; or hold it here until that is possible.

        Durable at least here when it returns, unless `only_with_room` and the result says that it
        `found_no_room`: then it is given up. Inserting what is stored already renews its lease.
        Raises Conflict (with the block that is not older), RefusedError, DiskFull.
        """
        proven = self._prove_own(kind, block)
        if voucher := self._voucher_of_held(proven):
            pushed = await self._insertions.push(put_parcel(proven, block, voucher))
        else:
            voucher = self._insertions.voucher([(proven.handle, proven.size)])
            pushed = await self._insert(proven, block, voucher, mirror=mirror)
        if only_with_room and pushed.found_no_room:
            given_up = Role.UNPUSHED | Role.MIRROR | Role.STAND_IN
            self._around.outbox.write(SetRoles(proven.handle, remove=given_up))
            self._disk.wake()
        return Insertion(proven.handle, pushed.durability, pushed.found_no_room)

    def hold(self, kind: BlockKind, block: bytes) -> None:
        """Put a block into the own vault with what is written there next, to be inserted then.

        So one flush keeps it and the writer's own notes of it. What cannot be held now, `insert`
        will refuse.
        """
        proven = self._prove_own(kind, block)
        if self._replica.judge_own(proven) is Verdict.STORE:
            voucher = self._insertions.voucher([(proven.handle, proven.size)])
            self._replica.shelf.hold(proven, block, voucher, Role.UNPUSHED | Role.MIRROR)
            self._insertions.held[proven.handle] = voucher

    def _voucher_of_held(self, proven: Proven) -> bytes:
        """Return the voucher of a block that waits here, as it was held, for its insertion."""
        voucher = self._insertions.held.pop(proven.handle, b"")
        stored = self._vault.entry(proven.handle)
        if stored is None or order(stored) != order(proven):
            return b""
        return voucher if stored.roles & Role.UNPUSHED else b""

    async def insert_many(
        self, blocks: Sequence[tuple[BlockKind, bytes]], *, mirror: bool = True
    ) -> list[Insertion]:
        """Insert blocks in parallel, under one ticket for 256 of them; raises as `insert`.

        Who stores one of them sees the handles of all: only for what belongs together anyway.
        """
        insertions: list[Insertion] = []
        for at in range(0, len(blocks), BLOCKS_MAX):
            part = blocks[at : at + BLOCKS_MAX]
            proven = [self._prove_own(kind, block) for kind, block in part]
            voucher = self._insertions.voucher([(p.handle, p.size) for p in proven])
            pushes = await asyncio.gather(
                *(
                    self._insert(p, block, voucher, mirror=mirror)
                    for p, (_, block) in zip(proven, part, strict=True)
                ),
                return_exceptions=True,
            )
            for p, pushed in zip(proven, pushes, strict=True):
                if isinstance(pushed, BaseException):
                    raise pushed
                insertions.append(Insertion(p.handle, pushed.durability))
        return insertions

    async def extend(self, cluster: Handle, records: Sequence[bytes], head: bytes) -> Insertion:
        """Append records to a cluster, creating it at the first ones; `head` names it.

        Records that the own vault has already are passed over. Raises Conflict (with the head that
        another copy of this log signed), NoSuchBlock if earlier records are missing here,
        RefusedError, DiskFull, and PeerError if the chain does not hold.
        """
        stored = self._vault.entry(cluster)
        proven, suffix = prove_extension(stored, cluster, records, head)
        voucher = self._insertions.voucher([(cluster, proven.size)])
        shelf, roles = self._replica.shelf, Role.MIRROR | Role.UNPUSHED
        if stored is None:
            shelf.hold(proven, suffix, voucher, roles)
        elif order(proven) > order(stored):
            shelf.hold_more(proven, suffix, voucher, roles)
        else:
            self._around.outbox.write(SetRoles(cluster, add=roles))
        pushed = await self._insertions.push(extension_parcel(proven, suffix, voucher))
        return Insertion(cluster, pushed.durability)

    async def deposit(self, envelope: bytes) -> Sequence[bytes]:
        """Leave a sealed notice with the k nodes closest to its digest (crypto 7.6).

        Returns their verified deposit receipts; fewer than k if fewer are reachable, and then the
        notice is held here and pushed later. A notice that was signed for already is not kept, and
        gets none. Raises RefusedError, DiskFull.
        """
        proven = self._prove_own(BlockKind.PENDING, envelope)
        voucher = self._insertions.voucher([(proven.handle, proven.size)])
        pushed = await self._insert(proven, envelope, voucher, mirror=False)
        return [ack.attestation for ack in pushed.acks if ack.attestation]

    async def depositor(self, handle: Handle) -> NodeHandle | None:
        """Return the node that left what is kept here, if it can be reached now.

        Raises UnavailableError, PeerError.
        """
        entry = self._vault.entry(handle)
        if entry is None or not entry.ticket:
            return None
        wanted = recall_inserter(entry.ticket)
        nodes = await self._lookups.replica_set(wanted.id, 1)  # nobody is closer to it
        return next((node for node in nodes if node.id == wanted.id), None)

    async def push_for_ever(self) -> None:
        """Push what is held locally, whenever the ring can be reached; to be run as a story."""
        await self._pusher.run()

    async def renew_mirrored(self) -> int:
        """Have the leases of all that is mirrored here prolonged, in bulk; return how many.

        For the whole lease from now on, on whoever keeps them; nothing is answered, so it is to be
        repeated many times within a lease.
        """
        return await self._bulk_renewal.run()

    def is_mirrored(self, handle: Handle) -> bool:
        """Is a block kept here for this node's own user, and its lease renewed by her?"""
        entry = self._vault.entry(handle)
        return entry is not None and Role.MIRROR in entry.roles

    async def unmirror(self, handles: Sequence[Handle]) -> None:
        """Keep these no longer for this node's own user, nor renew them; returns when that is so.

        Nothing happens between the call and the change. What is kept for the ring stays in that
        role; what is still to be pushed stays as it is.
        """
        for handle in handles:
            entry = self._vault.entry(handle)
            if entry is None or Role.UNPUSHED in entry.roles or Role.MIRROR not in entry.roles:
                continue
            self._around.outbox.write(SetRoles(handle, remove=Role.MIRROR))
        await self._disk.durable(())

    async def fill_cache_for_ever(self) -> None:
        """Fetch what look-ups that pass this node ask for repeatedly; to be run as a story."""
        await self._filling.run()

    # Reading.

    async def lookup(self, handle: Handle, *, mirror: bool = True) -> bytes:
        """Return a block from the own vault, else any authentic replica of it.

        Raises NoSuchBlock, UnavailableError. Mutable blocks are `lookup_latest`'s.
        """
        own = await self._own(handle)
        if own is not None:
            if mirror:
                self._mirror_own(handle)
            return own
        fetched = await self._lookups.fetch(handle)
        if mirror:
            self._mirror(fetched)
        elif self._replica.cache.keep(fetched.proven, fetched.block):
            self._disk.wake()
        return fetched.block

    async def lookup_copies(self, handle: Handle) -> Sequence[bytes]:
        """Return the different authentic copies that replicas have, in no order; none are kept.

        There may be several of a receipt alone: whoever has a certified device can sign one, so
        the first that comes may be a liar's. Raises UnavailableError.
        """
        own = await self._own(handle)
        given = await self._readings.copies(handle)
        return given if own is None or own in given else [own, *given]

    async def lookup_cluster(self, handle: Handle) -> tuple[bytes, bytes]:
        """Return a log's cluster: its joined records, and the newest head that names it.

        A full cluster comes from the own vault if it is there. Raises as `lookup`.
        """
        return await self._readings.cluster(handle)

    async def lookup_latest(self, handle: Handle) -> Reading:
        """Ask all replicas of a mutable block and return the newest (paper 3.5).

        Never older than anything seen before: raises StaleVersion if the ring has only that.
        """
        return await self._readings.latest(handle)

    async def holders(self, handle: Handle) -> Sequence[NodeId]:
        """Return the nodes, of those that should, that hold a block for the ring now."""
        return await self._readings.holders(handle)

    async def proven_holders(self, handle: Handle) -> Sequence[NodeId]:
        """Return the same after reading every copy; costs as many times the block."""
        return await self._readings.proven_holders(handle)

    async def keepers(self, handle: Handle) -> Sequence[NodeId]:
        """Return the k live nodes closest to a block; where they are away others stand in."""
        return await self._readings.keepers(handle)

    async def statements(self, handle: Handle) -> Sequence[tuple[NodeId, Statement]]:
        """Return which version of a mutable block each other replica signs now that it keeps."""
        return await self._readings.statements(handle)

    def below_k(self) -> int:
        """Return an estimate of how many blocks lie on fewer than k machines.

        Those on their way whose writers wait are not counted: nothing was said of them yet.
        """
        held_locally = self._vault.counts().unpushed - self._insertions.count_awaited()
        return self._replica.below_k() + held_locally

    # The own vault.

    def _prove_own(self, kind: BlockKind, block: bytes) -> Proven:
        now_ms = self._around.clock.wall_ms()
        if kind is BlockKind.CONTENT:
            return proven_content(block)
        if kind is BlockKind.KEY:
            return proven_key(open_key_block(block))
        return self._replica.prover.prove(handle_of(kind, block), block, now_ms=now_ms)

    async def _insert(
        self, proven: Proven, block: bytes, voucher: bytes, *, mirror: bool
    ) -> Pushed:
        verdict = self._replica.judge_own(proven)
        if verdict in {Verdict.CONFLICT, Verdict.STALE}:
            raise Conflict(proven.handle, await self._vault.load(proven.handle) or b"")
        if verdict is Verdict.SETTLED:
            wanted = self._around.issuers.replication_factor()
            return Pushed((), Durability(wanted, wanted, ring_durable=True))
        roles = Role.UNPUSHED | (Role.MIRROR if mirror else Role.NONE)
        stored = self._vault.entry(proven.handle)
        is_here = stored is not None and is_held(stored) and not is_pointer(stored)
        if verdict is Verdict.STORED_ALREADY and is_here:
            self._around.outbox.write(SetRoles(proven.handle, add=roles))
            self._replica.shelf.renew(proven.handle, voucher)
        else:
            if proven.handle.kind is BlockKind.CONTENT:  # others are small, and end what was begun
                self._disk.require_room(proven.size)
            self._replica.shelf.hold(proven, block, voucher, roles)
        return await self._insertions.push(put_parcel(proven, block, voucher))

    async def _own(self, handle: Handle) -> bytes | None:
        entry = self._vault.entry(handle)
        if entry is None or is_pointer(entry):
            return None
        body = await self._vault.load(handle)
        if body is None:
            self._replica.on_rotten(handle)
        return body

    def _mirror_own(self, handle: Handle) -> None:
        """Keep for good what is here in spare space, or for the ring only as long as it should."""
        entry = self._vault.entry(handle)
        if entry is None or entry.roles & Role.MIRROR or handle.kind in _ENDING:
            return
        self._replica.cache.make_room(0, handle)
        self._around.outbox.write(SetRoles(handle, add=Role.MIRROR, remove=Role.CACHED))
        self._disk.wake()

    def _mirror(self, fetched: Fetched) -> None:
        """Keep what was read as a mirror, unless something newer is here."""
        proven = fetched.proven
        if proven.handle.kind in _ENDING:
            return
        if judge_repair(self._vault.entry(proven.handle), proven) is not Verdict.STORE:
            return
        with suppress(DiskFull):  # the ring has it
            self._disk.require_room(proven.size)
            self._replica.cache.make_room(proven.size, proven.handle)
            self._around.outbox.write(PutBlock(proven.entry(Role.MIRROR), fetched.block))
            self._disk.wake()
