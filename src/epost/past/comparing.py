"""Comparing what two nodes hold: range-based set reconciliation (Meyer 2023; design 3, 4).

A round with one peer goes through two kinds of keys. On the arcs that both should hold, their
fingerprints are compared; where they differ, those of ever smaller parts, until the peer lists the
few blocks of a part. So a round in which nothing differs is one question and one answer, and else
the cost grows with the difference and the logarithm of the store. What only the peer should hold
and this node still does (as a stand-in, or since the replica set shifted) is offered.

One question at a time is open per peer. Both sides cut ranges alike, by themselves, so a peer that
lies can neither choose ranges nor keep a round going for ever: each answer makes ranges shorter by
a digit, and a round ends after so many answers. What it claims to hold is believed when it comes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from epost.foundation.codec import encode
from epost.foundation.effects import Outbox
from epost.foundation.errors import UnexpectedPacket
from epost.foundation.ids import RING_SIZE, Handle, Id, NodeHandle, NodeId
from epost.foundation.ports import Vault
from epost.foundation.wire import Application
from epost.past.arcs import Arc, arc_between
from epost.past.config import ROWS_MAX, PastConfig
from epost.past.messages import (
    SPANS_MAX,
    Compared,
    Have,
    Listing,
    Offer,
    Parts,
    Row,
    Span,
    Summary,
    Upkeep,
)
from epost.past.rows import held_slice, is_newer, row_of
from epost.past.shelf import is_held

LISTED_MAX = 32
"""A range with at most so many blocks is listed; with more it is cut."""

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
        """A peer holds, at least as new, a block that was offered to it."""

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
    answers: int = 0
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

    def on_compared(self, sender: NodeHandle, answer: Compared, now: float) -> None:
        """The peer says where it holds other than we do; raises UnexpectedPacket for nonsense."""
        opened = self._rounds.get(sender.id)
        if opened is None or not isinstance(opened.question, Summary):
            return
        if answer.serial != opened.question.serial:
            return
        spans = opened.question.spans
        opened.answers += 1
        mentioned = [one.span for one in answer.parts] + [one.span for one in answer.listings]
        if len(set(mentioned)) < len(mentioned) or max(mentioned, default=0) >= len(spans):
            raise UnexpectedPacket("the answer to another comparison")
        for parts in answer.parts:
            opened.shared += self._differing(_arc(spans[parts.span]), parts)
        for listing in answer.listings:
            self._take_listing(opened, _arc(spans[listing.span]), listing)
        self._go_on(opened, now)

    def on_have(self, sender: NodeHandle, have: Have, now: float) -> None:
        """The peer holds these of what was offered to it."""
        opened = self._rounds.get(sender.id)
        if opened is None or not isinstance(opened.question, Offer):
            return
        if have.serial != opened.question.serial:
            return
        held, offered = set(have.handles), [row.handle for row in opened.question.rows]
        confirmed = [handle for handle in offered if handle in held]
        for handle in confirmed:
            self._findings.on_confirmed(handle, sender.id)
        opened.lacking += len(offered) - len(confirmed)
        _advance(opened.surplus, opened.slice_end)
        self._go_on(opened, now)

    def _differing(self, arc: Arc, parts: Parts) -> Iterator[Arc]:
        cut = arc.parts()
        if len(cut) != len(parts.digests):
            raise UnexpectedPacket("a range was cut in another way")
        for part, digest in zip(cut, parts.digests, strict=True):
            if self._digest(part) != digest:
                yield part

    def _take_listing(self, opened: _Round, arc: Arc, listing: Listing) -> None:
        """Find out what either side lacks of a range that the peer has listed."""
        theirs = {row.handle: row for row in listing.rows if row.handle.place in arc}
        for row in theirs.values():
            if is_newer(row, self._held(row.handle)):
                self._findings.on_missing(row, opened.peer)
                opened.missing += 1
        entries = self._vault.entries_between(arc.start, arc.end, limit=ROWS_MAX)
        if len(entries) == ROWS_MAX:
            opened.surplus.append(arc)  # the peer has next to nothing: it is offered in slices
            return
        ours = [row_of(entry) for entry in entries if is_held(entry)]
        lacking = tuple(row for row in ours if is_newer(row, theirs.get(row.handle)))
        if lacking:
            self._send(opened.peer, Offer(_NO_ANSWER_AWAITED, lacking))
        opened.lacking += len(lacking)

    def _go_on(self, opened: _Round, now: float) -> None:
        opened.asked_at = now
        opened.question = None
        if opened.answers < self._config.answers_max:
            opened.question = self._next_summary(opened) or self._next_offer(opened)
        if opened.question is not None:
            self._send(opened.peer, opened.question)
            return
        del self._rounds[opened.peer.id]
        compared = opened.compared if not opened.shared else ()
        done = RoundDone(opened.peer, compared, opened.missing, opened.lacking)
        self._findings.on_round_done(done, now)

    def _next_summary(self, opened: _Round) -> Summary | None:
        arcs = opened.shared[-SPANS_MAX:]  # the last ones: deep first, so that few are remembered
        if not arcs:
            return None
        del opened.shared[-SPANS_MAX:]
        spans = tuple(Span(arc.start, arc.end, self._digest(arc)) for arc in arcs)
        return Summary(self._next_serial(), spans)

    def _next_offer(self, opened: _Round) -> Offer | None:
        while opened.surplus:
            arc = opened.surplus[0]
            entries, end = held_slice(self._vault, arc.start, arc.end, self._config.slice_rows)
            if not entries and end == arc.end:
                opened.surplus.pop(0)
                continue
            opened.slice_end = end
            return Offer(self._next_serial(), tuple(row_of(entry) for entry in entries))
        return None

    def _next_serial(self) -> int:
        self._serial = self._serial % (_SERIALS - 1) + 1
        return self._serial

    # The side that answers.

    def on_summary(self, sender: NodeHandle, asked: Summary) -> None:
        """Say what we hold of the ranges on which it is not the same; nothing while counting."""
        if not self.is_ready:
            return
        parts: list[Parts] = []
        listings: list[Listing] = []
        for number, span in enumerate(asked.spans):
            arc = _arc(span)
            held = self._vault.fingerprint(arc.start, arc.end)
            assert held is not None, "it was ready"
            if held.digest == span.digest:
                continue
            if held.count > LISTED_MAX and arc.size > 1:
                digests = tuple(self._digest(part) for part in arc.parts())
                parts.append(Parts(number, digests))
            else:
                listings.append(Listing(number, self._rows_on(arc)))
        self._send(sender, Compared(asked.serial, tuple(parts), tuple(listings)))

    @property
    def is_ready(self) -> bool:
        """Has the vault counted what it holds?"""
        return self._vault.fingerprint(_ANY, _ANY) is not None

    def on_offer(self, sender: NodeHandle, offer: Offer, own_arc: Arc) -> None:
        """Say what of it is here already, and fetch what should be."""
        have: list[Handle] = []
        for row in offer.rows:
            held = self._held(row.handle)
            if not is_newer(row, held) or self._findings.is_settled(row.handle):
                have.append(row.handle)
            elif held or row.handle.place in own_arc:
                self._findings.on_missing(row, sender)
        self._send(sender, Have(offer.serial, tuple(have)))

    def _digest(self, arc: Arc) -> bytes:
        held = self._vault.fingerprint(arc.start, arc.end)
        assert held is not None, "rounds begin when the vault has counted"
        return held.digest

    def _rows_on(self, arc: Arc) -> tuple[Row, ...]:
        entries = self._vault.entries_between(arc.start, arc.end, limit=ROWS_MAX)
        return tuple(row_of(entry) for entry in entries if is_held(entry))

    def _held(self, handle: Handle) -> Row | None:
        entry = self._vault.entry(handle)
        return row_of(entry) if entry and is_held(entry) else None

    def _send(self, to: NodeHandle, message: Upkeep) -> None:
        self._outbox.notify(to, Application.PAST, encode(message))


_ANY = Id(bytes(20))


def _arc(span: Span) -> Arc:
    return arc_between(span.start, span.end)


def _advance(arcs: list[Arc], reached: Id) -> None:
    """Cut off the part of the first arc that has been gone through."""
    arc = arcs.pop(0)
    done = arc_between(arc.start, reached)
    if done.size < arc.size:
        arcs.insert(0, Arc((arc.before + done.size) % RING_SIZE, arc.size - done.size))
