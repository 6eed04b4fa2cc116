"""Replicas kept in place of others, and the pointers to them: looked after from both ends.

Whoever answers for a replica by a pointer asks its holder now and then whether it is still there. A
pointer whose holder is gone, or lost the replica, is dropped: then the block is missing here like
any other, and maintenance fetches it (and has it diverted again if there is still no room).
"""

from __future__ import annotations

from collections.abc import Sequence

from epost.foundation.bounded import BoundedDict
from epost.foundation.codec import encode
from epost.foundation.errors import EpostError
from epost.foundation.ids import BlockKind, Handle, NodeHandle
from epost.foundation.ports import Role, SetRoles, VaultEntry
from epost.foundation.wire import Application
from epost.past.admission import Admission
from epost.past.config import HANDLES_MAX
from epost.past.observed import BlockRefused
from epost.past.ring_view import Membership
from epost.past.shelf import Shelf, is_held
from epost.past.space.words import Check, Divert, Diverted, Lost, Point, Room, SpaceWord
from epost.past.surroundings import Surroundings
from epost.past.versions import Verdict

PAGE_ROWS = HANDLES_MAX
KEPT_MAX = 100_000
"""Blocks kept for others of which it is remembered when they were last asked for."""


class Keeping:
    """What a node does for replicas that lie elsewhere than they belong."""

    def __init__(
        self, around: Surroundings, membership: Membership, admission: Admission, shelf: Shelf
    ) -> None:
        self._around = around
        self._vault = around.vault
        self._membership = membership
        self._admission = admission
        self._shelf = shelf
        self._role = Role.POINTER
        self._after: Handle | None = None
        self._page_due = 0.0
        self._view = membership.view
        self._asked_at: BoundedDict[Handle, float] = BoundedDict(KEPT_MAX)
        """When a block kept for another was last asked for."""

    # In place of others.

    def on_ask_room(self, sender: NodeHandle) -> None:
        """Say how much room is left for the ring."""
        self._say(sender, Room(self._admission.room()))

    def on_divert(self, sender: NodeHandle, word: Divert, now: float) -> None:
        """Keep a block for a neighbour that should and has no room, if it is small enough here."""
        is_kept = self._keep(sender, word)
        if is_kept:
            self._asked_at.put(word.handle, now)
        answer = encode(Diverted(word.handle, is_kept))
        self._around.outbox.notify_when_durable(sender, Application.PAST, answer)

    def on_check(self, sender: NodeHandle, word: Check, now: float) -> None:
        """Say which of the blocks are not kept here in the sender's place."""
        lost: list[Handle] = []
        for handle in word.handles:
            entry = self._vault.entry(handle)
            if entry is None or not entry.roles & Role.DIVERTED:
                lost.append(handle)
            elif handle.place in self._membership.view.own_arc:
                # The ring has shifted: it is our own replica now, and must not count twice.
                write = SetRoles(handle, add=Role.REPLICA, remove=Role.DIVERTED)
                self._around.outbox.write(write)
                lost.append(handle)
            else:
                self._asked_at.put(handle, now)
        if lost:
            self._say(sender, Lost(tuple(lost)))

    def _keep(self, sender: NodeHandle, word: Divert) -> bool:
        handle, view = word.handle, self._membership.view
        stored = self._vault.entry(handle)
        if handle.kind is not BlockKind.CONTENT or handle.place in view.own_arc:
            return False
        if stored is not None and is_held(stored):
            return bool(stored.roles & Role.DIVERTED) and stored.stand_in_for == sender.node_id
        if all(node.id != sender.id for node in view.live):
            return False  # who has no room asks its leaf set, so it is in ours
        if view.knows_replicas(handle.place) and sender.id not in view.replicas(handle.place):
            return False
        try:
            admitted = self._admission.admit(
                handle, word.block, proof=b"", voucher=word.voucher, inserter=None
            )
        except EpostError as error:
            self._around.observer.record(BlockRefused(sender.id, handle, str(error)))
            return False
        if admitted.verdict not in {Verdict.STORE, Verdict.STORED_ALREADY}:
            return False
        self._shelf.keep_for(sender.id, admitted, word.block)
        return True

    # Pointers.

    def on_point(self, sender: NodeHandle, word: Point) -> None:
        """Remember where a replica lies that this node will answer for if the sender goes.

        What this node should hold itself, it holds: nobody else can say where its copy lies.
        Raises PeerError, AuthenticityError, NotPermitted.
        """
        view, place = self._membership.view, word.handle.place
        is_theirs = sender.id in view.replicas(place) and place not in view.own_arc
        if word.handle.kind is not BlockKind.CONTENT or not is_theirs or self._is_here(word.handle):
            return
        self._admission.require_vouched(word.handle, word.voucher)
        self._shelf.point(word.handle, word.voucher, word.holder, is_primary=False)

    def on_lost(self, sender: NodeHandle, word: Lost) -> None:
        """The holder does not have these: they are missing here."""
        for handle in word.handles:
            entry = self._vault.entry(handle)
            if entry and entry.roles & Role.POINTER and entry.stand_in_for == sender.node_id:
                self._drop(entry)

    def holder(self, entry: VaultEntry) -> NodeHandle | None:
        """Return the node to which a pointer leads, if it is live."""
        live = self._membership.view.live
        return next((node for node in live if node.node_id == entry.stand_in_for), None)

    def tick(self, now: float) -> None:
        """Look at a page of pointers, or of what is kept for others, when it is due."""
        if self._membership.view is not self._view:
            self._view, self._role, self._after = self._membership.view, Role.POINTER, None
        elif now < self._page_due:
            return
        page = self._vault.entries_with(self._role, after=self._after, limit=PAGE_ROWS)
        if self._role is Role.POINTER:
            self._look_at_pointers(page)
        else:
            self._look_at_kept(page, now)
        if len(page) == PAGE_ROWS:
            self._after = page[-1].handle
            return
        self._after = None
        if self._role is Role.POINTER:
            self._role = Role.DIVERTED
        else:
            self._role = Role.POINTER
            self._page_due = now + self._around.config.maintenance_interval_seconds

    def _look_at_pointers(self, page: Sequence[VaultEntry]) -> None:
        view = self._membership.view
        counted = {node: None for node in view.span}
        asked: dict[NodeHandle, list[Handle]] = {}
        for entry in page:
            if not any(node == entry.stand_in_for for node in counted):
                self._drop(entry)
                continue
            if entry.handle.place not in view.own_arc:
                continue
            if entry.stand_in_for in view.replicas(entry.handle.place):
                self._drop(entry)  # that copy is the holder's own, and must not count twice
                continue
            if not entry.roles & Role.REPLICA:
                self._around.outbox.write(SetRoles(entry.handle, add=Role.REPLICA))
            holder = self.holder(entry)
            if holder is not None:
                asked.setdefault(holder, []).append(entry.handle)
        for holder, handles in asked.items():
            self._say(holder, Check(tuple(handles)))

    def _look_at_kept(self, page: Sequence[VaultEntry], now: float) -> None:
        kept_seconds = self._around.config.surplus_kept_seconds
        for entry in page:
            asked_at = self._asked_at.get(entry.handle)
            if asked_at is None:
                self._asked_at.put(entry.handle, now)
            elif now - asked_at > kept_seconds:
                self._asked_at.remove(entry.handle)
                self._shelf.release(entry, Role.DIVERTED)

    def _drop(self, entry: VaultEntry) -> None:
        removed = Role.POINTER | Role.REPLICA
        self._around.outbox.write(SetRoles(entry.handle, remove=removed))

    def _is_here(self, handle: Handle) -> bool:
        return self._vault.entry(handle) is not None

    def _say(self, to: NodeHandle, word: SpaceWord) -> None:
        self._around.outbox.notify(to, Application.PAST, encode(word))
