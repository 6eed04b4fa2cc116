"""Keeping replica sets complete (PAST's invariant; design 3, 4), as a part of the replica machine.

One rule: every block held here that lies on the arc of a live member must be at that member.
Members absent for less than repair_delay still count, so nothing is copied elsewhere yet; a
stand-in hands over by the same rule when they return. Nothing is sent because a block was just
stored: comparing with every member in turn, after each change and periodically, finds the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from epost.crypto.hashing import u64
from epost.foundation.bounded import BoundedDict
from epost.foundation.codec import encode
from epost.foundation.errors import DiskFull, EpostError, QuotaExceeded
from epost.foundation.ids import RING_SIZE, BlockKind, Handle, NodeHandle, NodeId
from epost.foundation.ports import DeleteNote, PutNote, Role, SetRoles
from epost.foundation.rates import Rates
from epost.foundation.wire import Application
from epost.past.admission import Admission
from epost.past.arcs import Arc
from epost.past.comparing import Comparisons, RoundDone
from epost.past.config import KEYS_LIMITED_MAX
from epost.past.coverage import Coverage
from epost.past.displaced import Displaced
from epost.past.leases.terms import renewed_until
from epost.past.leases.words import Prolong
from epost.past.messages import (
    Compared,
    Give,
    Gone,
    Have,
    Offer,
    Row,
    Summary,
    Upkeep,
    Want,
)
from epost.past.observed import BlockRefused, RangeCompared
from epost.past.pauses import Pauses
from epost.past.pulling import Pulls
from epost.past.ring_view import Membership, RingView
from epost.past.scrubbing import Checking, Scrubbing
from epost.past.shelf import Shelf, is_held
from epost.past.strays import Strays
from epost.past.surroundings import Surroundings
from epost.past.versions import Verdict

ROWS_PER_SPAN = 64
"""What answering about one range costs at most, in rows read."""
CONFIRMED_MAX = 10_000
SETTLED_MAX = 10_000
SURPLUS_NOTES = "past.surplus"


@dataclass(frozen=True, slots=True)
class Giving:
    """Purpose of a load: a peer wants this block."""

    to: NodeHandle
    handle: Handle


class Maintenance:
    """Compares with the members in turn, fetches what is missing, hands over what is not ours."""

    def __init__(
        self,
        around: Surroundings,
        membership: Membership,
        admission: Admission,
        shelf: Shelf,
        displaced: Displaced,
    ) -> None:
        self._overlay = around.overlay
        self._vault = around.vault
        self._outbox = around.outbox
        self._issuers = around.issuers
        self._clock = around.clock
        self._observer = around.observer
        self._config = around.config
        self._membership = membership
        self._admission = admission
        self._shelf = shelf
        self._displaced = displaced
        self._comparisons = Comparisons(around.vault, around.outbox, self, around.config)
        self.strays = Strays(around, membership, self._comparisons)
        self._pulls = Pulls(around.outbox, around.config, around.may_copy)
        self._coverage = Coverage()
        self.scrubbing = Scrubbing(around, self._fetch_again)
        config = around.config
        self._rows: Rates[NodeId] = Rates(
            config.rows_per_second, config.rows_burst, KEYS_LIMITED_MAX
        )
        self._reads: Rates[NodeId] = Rates(
            config.reads_per_second, config.reads_burst, KEYS_LIMITED_MAX
        )
        self._epoch = -1
        self._arcs: dict[NodeId, tuple[Sequence[Arc], Sequence[Arc]]] = {}
        self._due: dict[NodeId, float] = {}
        self._next_due = 0.0
        self._pauses = Pauses(config)
        self._is_adopting = True
        self._adopted: Handle | None = None
        self._has_room = False
        self._holds_surplus = False
        self._lacking: dict[NodeId, int] = {}
        self._confirmed: BoundedDict[Handle, frozenset[NodeId]] = BoundedDict(CONFIRMED_MAX)
        self._settled: BoundedDict[Handle, bool] = BoundedDict(SETTLED_MAX)

    # What others ask.

    def is_catching_up(self, handle: Handle) -> bool:
        """May this node have missed a newer version of the block while it was away?"""
        enrolled = self._issuers.enrolled_storage_nodes()
        return handle in self._pulls or not self._coverage.is_current(handle.place, enrolled)

    def below_k(self) -> int:
        """Return an estimate of how many blocks lie on fewer than k machines."""
        view = self._membership.view
        if len(view.live) + 1 < self._issuers.replication_factor():
            return self._vault.counts().replicas
        return len(self._pulls) + sum(self._lacking.values())

    # Events.

    def tick(self, now: float) -> None:
        """Look at the ring again, begin the rounds that are due, fetch what is wanted."""
        if self._overlay.epoch != self._epoch:
            self._epoch = self._overlay.epoch
            self._coverage.forget()
            self._due.clear()
        has_changed = self._membership.refresh(now)
        self._holds_surplus = self._look_for_surplus()
        if has_changed:
            self._on_view_changed(now)
        for peer in self._comparisons.expire(now):
            self._due[peer] = now + self._config.recheck_seconds
            self._next_due = 0.0
        self._adopt()
        self._begin_rounds(now)
        self.strays.tick(now)
        self._displaced.tick(now)
        self._pulls.pump(now)
        self.scrubbing.tick(now)

    def on_message(self, sender: NodeHandle, message: Upkeep, now: float) -> None:
        """Take a notification of another replica."""
        match message:
            case Summary():
                self._rows.take(sender.id, now, len(message.spans) * ROWS_PER_SPAN)
                self._comparisons.on_summary(sender, message)
            case Compared():
                self._comparisons.on_compared(sender, message, now)
            case Offer():
                self._rows.take(sender.id, now, len(message.rows))
                self._comparisons.on_offer(sender, message, self._membership.view.own_arc)
            case Have():
                self._comparisons.on_have(sender, message, now)
            case Want(handles):
                self._reads.take(sender.id, now, len(handles))
                self._load(sender, handles)
            case Give():
                self._take(sender, message)
            case Gone(handle):
                self._pulls.failed(handle, sender.id)
        if self._has_room:
            self._begin_rounds(now)
            self.strays.go_on(now)
        self._pulls.pump(now)

    def on_loaded(self, purpose: Giving | Checking, body: bytes | None, now: float) -> None:
        """A body came off the disk: to be given to a peer, or only to be checked."""
        if isinstance(purpose, Checking):
            self.scrubbing.on_checked(purpose, body, now)
        else:
            self._give(purpose, body)

    def _give(self, purpose: Giving, body: bytes | None) -> None:
        """Give a block that was wanted, unless it changed or went away meanwhile."""
        entry = self._vault.entry(purpose.handle)
        if body is None:
            self.on_rotten(purpose.handle)
        if entry is None or body is None or len(body) != entry.size or not entry.ticket:
            self._send(purpose.to, Gone(purpose.handle))
            return
        head = entry.proof if entry.handle.kind is BlockKind.CLUSTER else b""
        self._send(purpose.to, Give(entry.handle, body, head, entry.ticket))
        if until := renewed_until(self._vault, entry.handle):  # the ticket does not say so
            prolong = encode(Prolong((entry.handle,), until))
            self._outbox.notify(purpose.to, Application.PAST, prolong)

    def on_rotten(self, handle: Handle) -> None:
        """Somebody needed a body that could not be read: fetch it again.

        If it was given up meanwhile instead, what comes is recognised as not needed.
        """
        self.scrubbing.found_rotten(handle)
        self._fetch_again(handle)

    def _fetch_again(self, handle: Handle) -> None:
        """Fetch a block that counts as absent by now from the other replicas, if we are one."""
        if self._shelf.cache.drop(handle):
            return  # it was only a copy in spare space
        view = self._membership.view
        if handle.place not in view.own_arc:
            return
        replicas = view.replicas(handle.place)
        for node in view.live:
            if node.id in replicas:
                self._pulls.add(handle, node)

    # Findings.

    def on_missing(self, row: Row, source: NodeHandle) -> None:
        """Want the block; a notice that was settled is recognised when it comes."""
        entry = self._vault.entry(row.handle)
        if entry is None or not entry.roles & Role.TRASH:  # else whoever renews its lease puts it
            self._pulls.add(row.handle, source)

    def on_confirmed(self, handle: Handle, peer: NodeId) -> None:
        """Give the block up once all who should hold it do, unless this node should."""
        if handle.place in self._membership.view.own_arc:
            return
        confirmed = (self._confirmed.get(handle) or frozenset()) | {peer}
        self._confirmed.put(handle, confirmed)
        view = self._membership.view
        is_near = view.knows_replicas(handle.place)
        replicas = view.replicas(handle.place) if is_near else self.strays.replicas(handle.place)
        if replicas and confirmed.issuperset(replicas):
            self._give_up(handle)

    def is_settled(self, handle: Handle) -> bool:
        """Answer a stand-in that still offers a settled notice as if it were here: it lets go."""
        return handle in self._settled

    def on_round_done(self, done: RoundDone, now: float) -> None:
        """Remember what was compared, and when to do it again."""
        self._has_room = True
        if done.peer.id in self.strays:
            self.strays.on_round_done(done)
            return
        peer, differed = done.peer.id, bool(done.missing or done.lacking)
        self._coverage.note(peer, done.compared)
        self._lacking[peer] = done.lacking
        self._due[peer] = now + self._pauses.after(done)
        self._next_due = 0.0
        self._observer.record(RangeCompared(peer, differed))

    # Rounds.

    def _on_view_changed(self, now: float) -> None:
        """Compare anew with those whose arcs, seen from here, are others than before.

        If there is anything to be given up, with those who share keys with them as well, since
        all replicas must confirm it.
        """
        view = self._membership.view
        before, self._arcs = self._arcs, {n.id: _arcs_between(view, n.id) for n in view.live}
        changed = {peer for peer in before | self._arcs if before.get(peer) != self._arcs.get(peer)}
        self._comparisons.abandon(changed)
        self._pulls.left(before.keys() - self._arcs.keys())
        for handle in list(self._confirmed):
            self._confirmed.put(handle, (self._confirmed.get(handle) or frozenset()) - changed)
        moved = [view.arc(peer) for peer in self._arcs if peer in changed]
        stirred = changed
        if self._holds_surplus:
            stirred = {p for p in self._arcs if any(arc.meets(view.arc(p)) for arc in moved)}
        self._due = {p: now if p in stirred else self._due.get(p, now) for p in self._arcs}
        self._pauses.forget(changed)
        self._is_adopting, self._adopted, self._next_due = True, None, 0.0
        self._lacking = {peer: n for peer, n in self._lacking.items() if peer in self._arcs}

    def _begin_rounds(self, now: float) -> None:
        self._has_room = False
        if now < self._next_due or not self._comparisons.is_ready:
            return
        self._next_due = float("inf")
        for node in self._membership.view.live:
            if (due := self._due.setdefault(node.id, now)) > now:
                self._next_due = min(self._next_due, due)
                continue
            if len(self._comparisons) >= self._config.rounds_open_max or self._pulls.is_crowded:
                self._next_due = 0.0
                return
            if node.id in self._comparisons:
                continue
            shared, surplus = self._arcs[node.id]
            if shared or self._holds_surplus:
                self._comparisons.begin(node, shared, surplus if self._holds_surplus else (), now)
            else:  # there is nothing to be compared or handed over now
                self._lacking[node.id] = 0
                self._due[node.id] = now + self._pauses.after(RoundDone(node, (), 0, 0))
                self._next_due = min(self._next_due, self._due[node.id])

    def _look_for_surplus(self) -> bool:
        """Is anything here that others should hold instead, as far as the vault has counted?"""
        own = self._membership.view.own_arc
        beyond = self._vault.fingerprint(own.end, own.start)
        return own.size < RING_SIZE and (beyond is None or beyond.count > 0)

    def _adopt(self) -> None:
        """What was kept for an absent node, and is on the own arc since that has grown, is ours."""
        if not self._is_adopting:
            return
        limit = self._config.slice_rows
        page = self._vault.entries_with(Role.STAND_IN, after=self._adopted, limit=limit)
        for entry in page:
            if entry.handle.place in self._membership.view.own_arc:
                self._outbox.write(SetRoles(entry.handle, add=Role.REPLICA, remove=Role.STAND_IN))
        self._is_adopting = len(page) == limit
        if page:
            self._adopted = page[-1].handle

    # Blocks.

    def _load(self, sender: NodeHandle, handles: Sequence[Handle]) -> None:
        for handle in handles:
            if self._vault.entry(handle) is None:
                self._send(sender, Gone(handle))
            else:
                self._outbox.load(Application.PAST, handle, Giving(sender, handle))

    def _take(self, sender: NodeHandle, give: Give) -> None:
        if not self._pulls.is_expected(give.handle, sender.id):
            return
        try:
            admitted = self._admission.admit(
                give.handle, give.block, proof=give.proof, voucher=give.voucher, inserter=None
            )
        except (DiskFull, QuotaExceeded) as error:  # no fault of who gives it
            self._observer.record(BlockRefused(sender.id, give.handle, str(error)))
            self._pulls.done(give.handle, len(give.block))
            return
        except EpostError as error:
            self._observer.record(BlockRefused(sender.id, give.handle, str(error)))
            self._pulls.failed(give.handle, sender.id)
            return
        self._pulls.done(give.handle, len(give.block))
        if admitted.verdict is Verdict.SETTLED:
            self._settled.put(give.handle, True)
        entry = self._vault.entry(give.handle)
        only_mirrored = admitted.verdict is Verdict.STORED_ALREADY and entry and not is_held(entry)
        if admitted.verdict is Verdict.STORE or only_mirrored:
            self._shelf.store(admitted, give.block, repaired=True)

    def _give_up(self, handle: Handle) -> None:
        entry = self._vault.entry(handle)
        if entry is None or handle.place in self._membership.view.own_arc:
            return
        if entry.roles & Role.STAND_IN:
            self._shelf.release(entry, Role.STAND_IN)
        elif entry.roles & Role.REPLICA and self._is_surplus_for_long(handle):
            self._outbox.write(DeleteNote(SURPLUS_NOTES, encode(handle)))
            self._shelf.release(entry, Role.REPLICA)

    def _is_surplus_for_long(self, handle: Handle) -> bool:
        """Note since when a replica is surplus; is it longer than surplus is kept?"""
        key, now_ms = encode(handle), self._clock.wall_ms()
        since = self._vault.note(SURPLUS_NOTES, key)
        if since is None:
            self._outbox.write(PutNote(SURPLUS_NOTES, key, u64(now_ms)))
            return False
        kept_ms = 1000 * self._config.surplus_kept_seconds
        return now_ms - int.from_bytes(since, "big") > kept_ms

    def _send(self, to: NodeHandle, message: Upkeep) -> None:
        self._outbox.notify(to, Application.PAST, encode(message))


def _arcs_between(view: RingView, peer: NodeId) -> tuple[Sequence[Arc], Sequence[Arc]]:
    """Return the arcs that both nodes should hold, and those that only the peer should."""
    arc, own = view.arc(peer), view.own_arc
    return arc.shared_with(own), arc.without(own)
