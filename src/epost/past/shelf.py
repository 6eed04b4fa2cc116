"""Writing accepted blocks: in which role, and what follows from it.

A node keeps a block as a replica if it is one of the k, else as a stand-in for whoever is. A final
receipt drops its notice for good.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from epost.crypto.certificates import DeviceCert
from epost.crypto.hashing import u64
from epost.foundation.codec import encode
from epost.foundation.durations import DAY_MS
from epost.foundation.errors import NotPermitted
from epost.foundation.ids import BlockKind, Handle, NodeId
from epost.foundation.ports import (
    HELD,
    DeleteBlock,
    DeleteNote,
    ExtendBlock,
    PutBlock,
    PutNote,
    Role,
    SetRoles,
    SetTicket,
    VaultEntry,
)
from epost.past.admission import Admission, Admitted
from epost.past.blocks import Proven
from epost.past.caching.route_cache import RouteCache
from epost.past.observed import BlockStored
from epost.past.pending import FINAL_STATUSES, PENDING_MARK, RECEIPT_MARK, claimed_device
from epost.past.ring_view import Membership
from epost.past.surroundings import Surroundings
from epost.past.tickets import recall_inserter, recall_lease

TRASH_NOTES = "past.trash"
RENEWAL_MS_MIN = DAY_MS
"""A lease that is longer by less is not written down again."""


class Delegation(Protocol):
    """Who delivers pending notices (`post`); told of those that this node holds."""

    def on_pending_held(self, handle: Handle, envelope: bytes) -> None:
        """A notice was stored here, or is found again after a start."""

    def on_pending_gone(self, handle: Handle) -> None:
        """A notice was settled, or its time is over."""

    def is_device_revoked(self, device: DeviceCert) -> bool:
        """Does the newest identity block known here revoke this device?"""
        ...


class Shelf:
    """Performs what admission found acceptable."""

    def __init__(
        self,
        around: Surroundings,
        *,
        cache: RouteCache,
        membership: Membership,
        admission: Admission,
        delegation: Delegation | None,
        divert: Callable[[Admitted, bytes], None],
        on_displaced: Callable[[Handle], None],
    ) -> None:
        """`divert` finds another node for a block that does not fit here.

        `on_displaced` is told of what is kept in place of nobody who is absent.
        """
        self.cache = cache
        self._vault = around.vault
        self._outbox = around.outbox
        self._observer = around.observer
        self._membership = membership
        self._admission = admission
        self._delegation = delegation
        self._is_storage_node = around.is_storage_node()
        self._divert = divert
        self._on_displaced = on_displaced

    def store(self, admitted: Admitted, block: bytes, *, repaired: bool = False) -> None:
        """Write a whole block in the role that its place gives this node, or have it diverted."""
        handle = admitted.proven.handle
        if self._has_inherited(handle):
            self._outbox.write(SetRoles(handle, add=Role.REPLICA))
            return
        if not admitted.fits:
            self._divert(admitted, block)
            return
        self.take(admitted, block, repaired=repaired)

    def _has_inherited(self, handle: Handle) -> bool:
        """Does a pointer here lead to a replica of a node whose place this one has taken?"""
        stored, view = self._vault.entry(handle), self._membership.view
        if stored is None or not is_pointer(stored) or handle.place not in view.own_arc:
            return False
        if stored.stand_in_for in view.replicas(handle.place):
            return False  # that copy is the holder's own, and must not count twice
        return any(node.node_id == stored.stand_in_for for node in view.live)

    def take(self, admitted: Admitted, block: bytes, *, repaired: bool = False) -> None:
        """Write a whole block here, however little room is left."""
        entry = self._entry(admitted)
        stored = self._vault.entry(entry.handle)
        self._charge(entry, stored)
        self._put(entry, block)
        if entry.roles & Role.STAND_IN and not entry.stand_in_for:
            self._on_displaced(entry.handle)
        if stored is not None and stored.roles & Role.TRASH:
            self._outbox.write(DeleteNote(TRASH_NOTES, encode(entry.handle)))
        self._observer.record(BlockStored(entry.handle, entry.roles, repaired, len(block)))
        self._after_storing(entry, block)

    def require_signer_in_force(self, handle: Handle, block: bytes) -> None:
        """Raise NotPermitted for a receipt by a device that its account has revoked."""
        if handle.kind is BlockKind.RECEIPT and self._is_signer_revoked(block):
            raise NotPermitted("a receipt by a device that was revoked")

    def _is_signer_revoked(self, receipt: bytes) -> bool:
        delegation = self._delegation
        return delegation is not None and delegation.is_device_revoked(claimed_device(receipt))

    def renew(self, handle: Handle, voucher: bytes) -> None:
        """Note a longer lease of a block that is here already; it is charged to the last ticket."""
        stored = self._vault.entry(handle)
        if stored is None or not is_held(stored) or not stored.ticket:
            return
        if recall_lease(voucher) < recall_lease(stored.ticket) + RENEWAL_MS_MIN:
            return  # the same insertion again, or another one of these days
        if not is_pointer(stored):
            self._charge(replace(stored, ticket=voucher), stored)
        self._outbox.write(SetTicket(handle, voucher))

    def trash(self, entry: VaultEntry, wall_ms: int) -> None:
        """Let a block be none of the ring's copies any more; its bytes stay for a while."""
        self._uncharge(entry)
        if is_pointer(entry):
            self._outbox.write(SetRoles(entry.handle, remove=HELD | Role.POINTER))
            return
        self._outbox.write(SetRoles(entry.handle, add=Role.TRASH, remove=HELD))
        self._outbox.write(PutNote(TRASH_NOTES, encode(entry.handle), u64(wall_ms)))

    def recover(self, entry: VaultEntry) -> None:
        """Take a block out of the trash: it is one of the ring's copies again."""
        is_own = entry.handle.place in self._membership.view.own_arc
        role = Role.REPLICA if is_own else Role.STAND_IN
        self._outbox.write(SetRoles(entry.handle, add=role, remove=Role.TRASH))
        self._outbox.write(DeleteNote(TRASH_NOTES, encode(entry.handle)))
        self._charge(replace(entry, roles=role), None)

    def keep_for(self, primary: NodeId, admitted: Admitted, block: bytes) -> None:
        """Write a block in place of a neighbour that has no room for it."""
        entry = admitted.proven.entry(Role.DIVERTED, ticket=admitted.voucher, stand_in_for=primary)
        self._charge(entry, self._vault.entry(entry.handle))
        self._put(entry, block)
        self._observer.record(
            BlockStored(entry.handle, entry.roles, repaired=False, size=entry.size)
        )

    def point(self, handle: Handle, voucher: bytes, holder: bytes, *, is_primary: bool) -> None:
        """Note who keeps a block; the primary answers for it as for a replica of its own."""
        roles = Role.POINTER | (Role.REPLICA if is_primary else Role.NONE)
        entry = VaultEntry(handle, 0, roles, ticket=voucher, stand_in_for=holder)
        self._outbox.write(PutBlock(entry, b""))

    def extend(self, admitted: Admitted, suffix: bytes) -> None:
        """Append to a cluster that is here already."""
        entry = self._entry(admitted)
        self._charge(entry, self._vault.entry(entry.handle))
        self.cache.make_room(len(suffix))
        self._outbox.write(ExtendBlock(entry, suffix))
        self._observer.record(BlockStored(entry.handle, entry.roles, False, len(suffix)))

    def hold(self, proven: Proven, block: bytes, voucher: bytes, roles: Role) -> None:
        """Write a block of this node's own user."""
        stored = self._vault.entry(proven.handle)
        entry = self._own_entry(proven, voucher, roles)
        self._put(entry, block)
        if is_held(entry):
            self._charge(entry, stored)
            self._after_storing(entry, block)
        elif entry.handle.kind is BlockKind.RECEIPT:
            self._after_storing(entry, block)  # it settles what a stand-in keeps, too

    def hold_more(self, proven: Proven, suffix: bytes, voucher: bytes, roles: Role) -> None:
        """Append records of this node's own user to a cluster that is here already."""
        stored = self._vault.entry(proven.handle)
        entry = self._own_entry(proven, voucher, roles)
        if is_held(entry) or (stored and is_held(stored)):
            self._charge(entry, stored)
        self.cache.make_room(len(suffix))
        self._outbox.write(ExtendBlock(entry, suffix))

    def stand_in(self, entry: VaultEntry, block: bytes) -> None:
        """Keep a block that is here already as one of the ring's copies."""
        self._outbox.write(SetRoles(entry.handle, add=Role.STAND_IN))
        held = replace(entry, roles=entry.roles | Role.STAND_IN)
        if not self._membership.view.absent_replica(entry.handle.place):
            self._on_displaced(entry.handle)
        self._charge(held, entry)
        self._after_storing(held, block)

    def found_pending(self, handle: Handle, envelope: bytes) -> None:
        """Tell the delegation of a notice that was held before the start."""
        entry = self._vault.entry(handle)
        if entry is None:
            return
        mark = PENDING_MARK.decode(entry.proof)
        self._admission.pending_allowances.add(recall_inserter(entry.ticket), mark, entry.size)
        if self._delegation:
            self._delegation.on_pending_held(handle, envelope)

    def drop_pending(self, entry: VaultEntry) -> None:
        """Forget a notice whatever its roles: it was settled, or its time is over."""
        self._outbox.write(DeleteBlock(entry.handle))
        self._uncharge(entry)

    def release(self, entry: VaultEntry, role: Role) -> None:
        """Give up a role in which a block was held."""
        self._outbox.write(SetRoles(entry.handle, remove=role))
        if entry.roles & HELD == role:
            self._uncharge(entry)

    def _put(self, entry: VaultEntry, block: bytes) -> None:
        """Write a block; what is cached gives way to it."""
        self.cache.make_room(len(block), entry.handle)
        self._outbox.write(PutBlock(entry, block))

    def _own_entry(self, proven: Proven, voucher: bytes, roles: Role) -> VaultEntry:
        """Return the row of a block of the own user: a replica too if this node is one of the k."""
        if self._is_storage_node and proven.handle.place in self._membership.view.own_arc:
            roles |= Role.REPLICA
        return proven.entry(roles, ticket=voucher)

    def _entry(self, admitted: Admitted) -> VaultEntry:
        view = self._membership.view
        place = admitted.proven.handle.place
        role = Role.REPLICA if place in view.own_arc else Role.STAND_IN
        absent = view.absent_replica(place) if role is Role.STAND_IN else b""
        return admitted.proven.entry(role, ticket=admitted.voucher, stand_in_for=absent)

    def _charge(self, entry: VaultEntry, stored: VaultEntry | None) -> None:
        """Put what is written down to its inserter, and what it replaces no longer to its own."""
        allowances = self._admission.allowances
        was_held = stored is not None and is_held(stored) and not is_pointer(stored)
        if stored is not None and was_held and stored.ticket:
            allowances.charge(recall_inserter(stored.ticket), -stored.size, **_one(stored, -1))
        if not entry.ticket:
            return  # read once and mirrored, and now one of the ring's copies: whose it is, is lost
        inserter = recall_inserter(entry.ticket)
        allowances.charge(inserter, entry.size, **_one(entry, +1))
        if entry.handle.kind is BlockKind.PENDING and not was_held:
            mark = PENDING_MARK.decode(entry.proof)
            self._admission.pending_allowances.add(inserter, mark, entry.size)

    def _uncharge(self, entry: VaultEntry) -> None:
        if not is_held(entry) or is_pointer(entry) or not entry.ticket:
            return
        inserter = recall_inserter(entry.ticket)
        self._admission.allowances.charge(inserter, -entry.size, **_one(entry, -1))
        if entry.handle.kind is not BlockKind.PENDING:
            return
        mark = PENDING_MARK.decode(entry.proof)
        self._admission.pending_allowances.remove(inserter, mark, entry.size)
        if self._delegation:
            self._delegation.on_pending_gone(entry.handle)

    def _after_storing(self, entry: VaultEntry, block: bytes) -> None:
        digest = entry.handle.digest
        if entry.handle.kind is BlockKind.RECEIPT:
            pending = self._vault.entry(Handle(BlockKind.PENDING, digest))
            is_final = RECEIPT_MARK.decode(entry.proof).status in FINAL_STATUSES
            if pending and is_final and not self._is_signer_revoked(block):
                self.drop_pending(pending)  # else it came as a repair: a put of it is refused
        elif entry.handle.kind is BlockKind.PENDING:
            receipt = self._vault.entry(Handle(BlockKind.RECEIPT, digest))
            mark = PENDING_MARK.decode(entry.proof)
            if receipt and RECEIPT_MARK.decode(receipt.proof).account_id != mark.to_account:
                # Somebody else's: it proves nothing.
                self._outbox.write(DeleteBlock(receipt.handle))
            if self._delegation:
                self._delegation.on_pending_held(entry.handle, block)


def _one(entry: VaultEntry, sign: int) -> dict[str, int]:
    return {"notices" if entry.handle.kind is BlockKind.PENDING else "blocks": sign}


def is_held(entry: VaultEntry) -> bool:
    """Does this row count as one of the ring's copies?"""
    return bool(entry.roles & HELD)


def is_pointer(entry: VaultEntry) -> bool:
    """Does the body lie at another node?"""
    return bool(entry.roles & Role.POINTER)
