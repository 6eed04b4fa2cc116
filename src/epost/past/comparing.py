"""Comparing what two nodes hold, a slice of the ring at a time (design 3, 4).

A round with one peer goes through two kinds of keys. On the arcs that both should hold, digests
of slices are compared, and lists where they differ. What only the peer should hold and this node
still does (as a stand-in, or since the replica set shifted) is offered. One question at a time is
open per peer, so no callback looks at more than a slice, and a lost message only ends the round.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from epost.foundation.codec import encode
from epost.foundation.effects import Outbox
from epost.foundation.ids import RING_SIZE, Handle, Id, NodeHandle, NodeId
from epost.foundation.ports import Role, SetRoles, Vault, VaultEntry
from epost.foundation.wire import Application
from epost.past.arcs import Arc, arc_between
from epost.past.config import ROWS_MAX, PastConfig
from epost.past.messages import Agreed, Have, Listing, Offer, Row, Summary, Upkeep
from epost.past.rows import held_slice, is_newer, row_of, summary
from epost.past.shelf import is_held

_SERIALS = 1 << 32
_NO_ANSWER_AWAITED = 0


@dataclass(frozen=True, slots=True)
class RoundDone:
    """What a round found: how many blocks were missing here, and how many at the peer."""

    peer: NodeHandle
    compared: tuple[Arc, ...]
    missing: int
    lacking: int


class Findings(Protocol):
    """What comparing reports to the maintenance."""

    def on_missing(self, row: Row, source: NodeHandle) -> None:
        """A peer holds something that is missing here, or older."""

    def on_confirmed(self, handle: Handle, peer: NodeId) -> None:
        """A peer holds, at least as new, a block that this node keeps for others."""

    def is_settled(self, handle: Handle) -> bool:
        """Is this a notice that was offered before, and whose recipient has signed for it?"""
        ...

    def on_round_done(self, done: RoundDone, now: float) -> None:
        """Everything was gone through with a peer."""


@dataclass(slots=True)
class _Round:
    """A round that this node began; the lists hold what is still to be gone through."""

    peer: NodeHandle
    shared: list[Arc]
    surplus: list[Arc]
    compared: tuple[Arc, ...]
    asked_at: float
    question: Summary | Offer | None = None
    slice_end: Id = field(default=Id(b""), init=False)
    missing: int = 0
    lacking: int = 0


class Comparisons:
    """The rounds that this node began, and the answers to those of others."""

    def __init__(
        self, vault: Vault, outbox: Outbox, findings: Findings, config: PastConfig
    ) -> None:
        self._vault = vault
        self._outbox = outbox
        self._findings = findings
        self._config = config
        self._rounds: dict[NodeId, _Round] = {}
        self._serial = _NO_ANSWER_AWAITED

    def __len__(self) -> int:
        return len(self._rounds)

    def __contains__(self, peer: NodeId) -> bool:
        return peer in self._rounds

    def begin(
        self, peer: NodeHandle, shared: Sequence[Arc], surplus: Sequence[Arc], now: float
    ) -> None:
        """Begin a round: `shared` arcs both should hold, `surplus` arcs only the peer should."""
        opened = _Round(peer, list(shared), list(surplus), tuple(shared), now)
        self._rounds[peer.id] = opened
        self._go_on(opened, now)

    def expire(self, now: float) -> list[NodeId]:
        """Give up rounds whose peer does not answer; return whose."""
        patience = self._config.reply_seconds
        late = [peer for peer, r in self._rounds.items() if now - r.asked_at >= patience]
        for peer in late:
            del self._rounds[peer]
        return late

    def abandon(self, peers: Collection[NodeId]) -> None:
        """Who counts has changed: the arcs of the rounds with these are no longer right."""
        for peer in peers:
            self._rounds.pop(peer, None)

    # The side that asks.

    def on_agreed(self, sender: NodeHandle, agreed: Agreed, now: float) -> None:
        """The peer holds the same on the slice."""
        opened = self._rounds.get(sender.id)
        if opened and _answers(opened, agreed.start, agreed.end):
            _advance(opened.shared, Id(agreed.end))
            self._go_on(opened, now)

    def on_listing(self, sender: NodeHandle, listing: Listing, now: float) -> None:
        """The peer holds something else: find out what either side lacks."""
        opened = self._rounds.get(sender.id)
        if opened is None or not _answers(opened, listing.start, listing.end):
            return
        slice_ = arc_between(listing.start, listing.end)
        theirs = {row.handle: row for row in listing.rows if row.handle.place in slice_}
        ours = self._rows_between(Id(listing.start), Id(listing.end))
        missing = [row for row in theirs.values() if is_newer(row, ours.get(row.handle))]
        for row in missing:
            self._findings.on_missing(row, sender)
        lacking = [row for row in ours.values() if is_newer(row, theirs.get(row.handle))]
        if lacking:
            self._send(sender, Offer(_NO_ANSWER_AWAITED, tuple(lacking[:ROWS_MAX])))
        opened.missing += len(missing)
        opened.lacking += len(lacking)
        _advance(opened.shared, Id(listing.end))
        self._go_on(opened, now)

    def on_have(self, sender: NodeHandle, have: Have, now: float) -> None:
        """The peer holds these of what was offered to it."""
        opened = self._rounds.get(sender.id)
        if opened is None or not isinstance(opened.question, Offer):
            return
        if have.serial != opened.question.serial:
            return
        offered = {row.handle for row in opened.question.rows}
        confirmed = [handle for handle in have.handles if handle in offered]
        for handle in confirmed:
            self._findings.on_confirmed(handle, sender.id)
        opened.lacking += len(offered) - len(confirmed)
        _advance(opened.surplus, opened.slice_end)
        self._go_on(opened, now)

    def _go_on(self, opened: _Round, now: float) -> None:
        opened.asked_at = now
        opened.question = self._next_summary(opened) or self._next_offer(opened)
        if opened.question is not None:
            self._send(opened.peer, opened.question)
            return
        del self._rounds[opened.peer.id]
        done = RoundDone(opened.peer, opened.compared, opened.missing, opened.lacking)
        self._findings.on_round_done(done, now)

    def _next_summary(self, opened: _Round) -> Summary | None:
        if not opened.shared:
            return None
        arc = opened.shared[0]
        entries, end = held_slice(self._vault, arc.start, arc.end, self._config.slice_rows)
        self._become_replica(entries)
        return Summary(arc.start, end, summary(entries))

    def _next_offer(self, opened: _Round) -> Offer | None:
        while opened.surplus:
            arc = opened.surplus[0]
            entries, end = held_slice(self._vault, arc.start, arc.end, self._config.slice_rows)
            if not entries and end == arc.end:
                opened.surplus.pop(0)
                continue
            opened.slice_end = end
            self._serial = self._serial % (_SERIALS - 1) + 1
            return Offer(self._serial, tuple(row_of(entry) for entry in entries))
        return None

    def _become_replica(self, entries: Sequence[VaultEntry]) -> None:
        """What was kept for an absent node is ours by now: the arc has grown over it."""
        for entry in entries:
            if not entry.roles & Role.REPLICA:
                self._outbox.write(SetRoles(entry.handle, add=Role.REPLICA, remove=Role.STAND_IN))

    # The side that answers.

    def on_summary(self, sender: NodeHandle, asked: Summary) -> None:
        """Say that we hold the same, or what we hold."""
        start, end = Id(asked.start), Id(asked.end)
        entries, reached = held_slice(self._vault, start, end, ROWS_MAX)
        if reached == end and summary(entries) == asked.digest:
            self._send(sender, Agreed(start, end))
        else:
            self._send(sender, Listing(start, reached, tuple(row_of(e) for e in entries)))

    def on_offer(self, sender: NodeHandle, offer: Offer, own_arc: Arc) -> None:
        """Say what of it is here already, and fetch what should be."""
        have: list[Handle] = []
        for row in offer.rows:
            entry = self._vault.entry(row.handle)
            held = row_of(entry) if entry and is_held(entry) else None
            if not is_newer(row, held) or self._findings.is_settled(row.handle):
                have.append(row.handle)
            elif held or row.handle.place in own_arc:
                self._findings.on_missing(row, sender)
        self._send(sender, Have(offer.serial, tuple(have)))

    def _rows_between(self, start: Id, end: Id) -> dict[Handle, Row]:
        entries = self._vault.entries_between(start, end, limit=2 * ROWS_MAX)
        return {entry.handle: row_of(entry) for entry in entries if is_held(entry)}

    def _send(self, to: NodeHandle, message: Upkeep) -> None:
        self._outbox.notify(to, Application.PAST, encode(message))


def _answers(opened: _Round, start: bytes, end: bytes) -> bool:
    """Does an answer for (start, end] fit the question? It may cover its first part only."""
    question = opened.question
    if not isinstance(question, Summary) or question.start != start:
        return False
    return end in arc_between(question.start, question.end)


def _advance(arcs: list[Arc], reached: Id) -> None:
    """Cut off the part of the first arc that has been gone through."""
    arc = arcs.pop(0)
    done = arc_between(arc.start, reached)
    if done.size < arc.size:
        arcs.insert(0, Arc((arc.before + done.size) % RING_SIZE, arc.size - done.size))
