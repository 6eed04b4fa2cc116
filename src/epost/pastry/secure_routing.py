"""Secure routing: the replica roots of a key although some nodes lie (Castro et al., OSDI 2002).

The cheap way first: the root of the key shows its leaf set with the certificates of all members. If
that is as dense as the ring elsewhere, it is believed. Else copies of the question leave by members
of our leaf set and travel by constrained tables; every node that has the key within its leaf set
answers, the certified nodes of all answers are put together, and the closest of them are asked
themselves until those that answered know of nobody closer. A node counts by its certificate and
its own answer, never by how many name it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from epost.foundation.codec import encode
from epost.foundation.ids import Id, NodeHandle, NodeId, number
from epost.foundation.rates import Rates
from epost.foundation.wire import Application
from epost.pastry.alarm import Alarm
from epost.pastry.config import HANDLES_MAX, ORIGINS_MAX, SEARCHES_MAX
from epost.pastry.messages import (
    CERTIFICATE_BYTES_MAX,
    FindRootSet,
    RootSet,
    RootSetQuery,
    Standing,
    Witnessed,
)
from epost.pastry.observed import RootSetDoubted, RootSetFound
from epost.pastry.peers import Peers
from epost.pastry.proven_arcs import ProvenArcs
from epost.pastry.root_sets import arc_around, diverse_first_hops, replica_roots
from epost.pastry.surroundings import Surroundings

NONCE_BYTES = 16

Found = Callable[[Sequence[NodeHandle]], None]


class Credentials(Protocol):
    """The certificates of nodes."""

    def certificate_of(self, node: NodeId) -> bytes | None:
        """Return the certificate of a node that this one had a link to, or its own."""
        ...

    def holder_of(self, certificate: bytes) -> NodeId | None:
        """Return whose certificate this is, None if it does not verify or counts no longer."""
        ...


class Ways(Protocol):
    """How questions travel (the router)."""

    def ask_root(self, key: Id, question: FindRootSet, now: float) -> None:
        """Route a question to the root of a key in the ordinary way."""

    def ask_by(self, first: NodeHandle, key: Id, question: FindRootSet, now: float) -> None:
        """Give a question to a node that routes it on."""


class _Stage(Enum):
    WAITING = 0
    PLAIN = 1
    REDUNDANT = 2
    CONFIRMING = 3


@dataclass(slots=True)
class _Search:
    """One key whose replica roots are wanted; `shown` are certified nodes, by number.

    Without `found` it is the own place, and who is found there is asked to be a neighbour.
    """

    key: Id
    size: int
    found: Found | None
    stage: _Stage = _Stage.WAITING
    deadline: float = 0.0
    rounds: int = 0
    is_last_wave: bool = False
    shown: dict[int, NodeHandle] = field(default_factory=dict)
    answered: dict[int, None] = field(default_factory=dict)
    asked: dict[int, None] = field(default_factory=dict)


class SecureRouting:
    """The searches of one node, and its answers to those of others."""

    TIMER = "secure"

    def __init__(
        self,
        around: Surroundings,
        peers: Peers,
        ways: Ways,
        credentials: Credentials | None,
    ) -> None:
        """Without credentials only what the own leaf set covers is found."""
        self._me = around.me
        self._config = around.config
        self._outbox = around.outbox
        self._entropy = around.entropy
        self._observer = around.observer
        self._peers = peers
        self._ways = ways
        self._credentials = credentials
        self._alarm = Alarm(around.outbox, Application.PASTRY, self.TIMER)
        self._searches: dict[bytes, _Search] = {}
        self._arcs = ProvenArcs()
        self._answers: Rates[NodeId] = Rates(
            around.config.root_sets_per_second, around.config.root_sets_burst, ORIGINS_MAX
        )

    def find(self, key: Id, size: int, found: Found) -> None:
        """Search in a turn of its own; `found` is called once, with nothing if it fails."""
        if len(self._searches) >= SEARCHES_MAX or self._credentials is None:
            found(())
            return
        self._searches[self._entropy.token(NONCE_BYTES)] = _Search(key, size, found)
        self._alarm.set_now()

    def on_timer(self, now: float) -> None:
        """Begin, or go on without those who did not answer."""
        self._alarm.rang()
        for nonce, search in list(self._searches.items()):
            if search.deadline <= now:
                self._advance(nonce, search, now)
        for search in self._searches.values():
            self._alarm.set_by(search.deadline, now)

    def advance(self, now: float) -> None:
        """Begin searches that waited until this node is a member, or its leaf set settled."""
        if self._peers.standing is not Standing.READY:
            return
        for nonce, search in list(self._searches.items()):
            if search.stage is _Stage.WAITING:
                self._advance(nonce, search, now)

    def prove_place(self, now: float) -> None:
        """Ask by many ways who is around us, having joined by one: it may have led us astray.

        Only where the ring is larger than the leaf set; a smaller one is known whole.
        """
        is_small = not self._peers.leaf_set.is_full
        if self._credentials is None or is_small or len(self._searches) >= SEARCHES_MAX:
            return
        search = _Search(self._me.id, self._config.leaf_set_size // 2, None)
        nonce = self._entropy.token(NONCE_BYTES)
        self._searches[nonce] = search
        self._go_redundant(nonce, search, now)

    def on_question(self, origin: NodeHandle, nonce: bytes, now: float) -> None:
        """Show the leaf set with its certificates to whoever wants to prove it.

        The answer is a hundred times as long as the question, and whoever routes that may name
        somebody else as its origin: one origin gets so many answers and no more.
        """
        if self._credentials is None or origin.node_id == self._me.node_id:
            return
        if not self._answers.try_take(origin.id, now):
            return
        members = []
        for node in (self._me, *self._peers.leaf_set):
            certificate = self._credentials.certificate_of(node.id)
            if certificate is not None and len(certificate) <= CERTIFICATE_BYTES_MAX:
                members.append(Witnessed(node, certificate))
        answer = encode(RootSet(nonce, tuple(members[:HANDLES_MAX])))
        self._outbox.notify(origin, Application.PASTRY, answer)

    def on_root_set(self, sender: NodeHandle, answer: RootSet, now: float) -> None:
        """Take what a node shows; it has proven itself by its link."""
        search = self._searches.get(answer.nonce)
        if search is None or search.stage is _Stage.WAITING:
            return
        certified = self._certified(answer.members)
        certified[number(sender.node_id)] = sender
        if search.stage is _Stage.PLAIN:
            self._judge(answer.nonce, search, sender, certified, now)
            return
        search.shown |= certified
        search.answered[number(sender.node_id)] = None
        if search.stage is _Stage.CONFIRMING and not search.asked.keys() - search.answered.keys():
            self._advance(answer.nonce, search, now)

    def _advance(self, nonce: bytes, search: _Search, now: float) -> None:
        match search.stage:
            case _Stage.WAITING:
                self._begin(nonce, search, now)
            case _Stage.PLAIN:
                self._go_redundant(nonce, search, now)
            case _Stage.REDUNDANT if not search.answered and not search.is_last_wave:
                # Every copy was lost, since ways from our place in the ring end in one small part
                # of the key's surroundings; those from the places of table entries end elsewhere.
                search.is_last_wave = True
                entries = list(self._peers.table)[: self._config.redundant_copies]
                self._send_copies(nonce, search, entries, now)
            case _Stage.REDUNDANT | _Stage.CONFIRMING:
                self._confirm(nonce, search, now)

    # The cheap way.

    def _begin(self, nonce: bytes, search: _Search, now: float) -> None:
        patience = self._config.root_set_seconds
        if search.found is not None and self._peers.covers(search.key, search.size):
            # It waited for this node to be a member; nobody else would answer if that is the root.
            del self._searches[nonce]
            search.found(self._peers.leaf_set.closest(search.key, search.size, self._me))
        elif self._peers.standing is not Standing.READY:
            if not self._waits(search, 2 * patience, now):
                self._finish(nonce, search, {}, now)
        elif not self._is_root_of(search.key):
            search.stage = _Stage.PLAIN
            search.deadline = now + patience
            self._ways.ask_root(search.key, FindRootSet(nonce, False), now)
            self._alarm.set_by(search.deadline, now)
        elif not (self._peers.is_settling and self._waits(search, patience, now)):
            # A question to the root would come back to us, who do not know all of the answer.
            self._go_redundant(nonce, search, now)

    def _waits(self, search: _Search, seconds: float, now: float) -> bool:
        """Tell whether a search may still wait for a change here, `seconds` from its first look."""
        if search.deadline == 0.0:
            search.deadline = now + seconds
            self._alarm.set_by(search.deadline, now)
        return now < search.deadline

    def _is_root_of(self, key: Id) -> bool:
        leaf_set = self._peers.leaf_set
        is_near = leaf_set.neighbourhood.contains(number(key))
        return is_near and leaf_set.closest(key, 1, self._me)[0] is self._me

    def _judge(
        self,
        nonce: bytes,
        search: _Search,
        root: NodeHandle,
        claimed: dict[int, NodeHandle],
        now: float,
    ) -> None:
        """Believe a root that is the closest it shows, in a set that looks genuine."""
        key = number(search.key)
        is_root = replica_roots(key, claimed, 1) == [number(root.node_id)]
        arc = arc_around(key, claimed, self._config.leaf_set_size // 2 + 1)
        if is_root and self._arcs.are_credible(arc, self._own_arc()):
            self._arcs.learn(arc)
            search.shown = claimed
            self._finish(nonce, search, claimed, now)
        else:
            self._observer.record(RootSetDoubted(self._me.id, search.key, root.id))
            self._go_redundant(nonce, search, now)

    # The redundant way.

    def _go_redundant(self, nonce: bytes, search: _Search, now: float) -> None:
        del self._searches[nonce]  # late answers to the first question must not mix in
        nonce = self._entropy.token(NONCE_BYTES)
        self._searches[nonce] = search
        search.stage = _Stage.REDUNDANT
        search.shown = {number(self._me.node_id): self._me}
        search.shown |= {number(node.node_id): node for node in self._peers.leaf_set}
        self._send_copies(nonce, search, self._first_hops(), now)

    def _send_copies(
        self, nonce: bytes, search: _Search, first_hops: Iterable[NodeHandle], now: float
    ) -> None:
        question = FindRootSet(nonce, True)
        for node in first_hops:
            if self._peers.is_usable(node.node_id):
                self._ways.ask_by(node, search.key, question, now)
        search.deadline = now + self._config.root_set_seconds
        self._alarm.set_by(search.deadline, now)

    def _first_hops(self) -> Sequence[NodeHandle]:
        leaf_set, table = self._peers.leaf_set, self._peers.constrained
        rows = [[number(node.node_id) for node in table.row(row)] for row in table.rows()]
        nodes = {number(node.node_id): node for node in (*leaf_set, *table)}
        leaves = leaf_set.neighbourhood.leaves
        return [nodes[n] for n in diverse_first_hops(leaves, self._config.redundant_copies, rows)]

    def _confirm(self, nonce: bytes, search: _Search, now: float) -> None:
        """Ask the closest of all shown themselves, until they know of nobody closer."""
        own = number(self._me.node_id)
        reach = search.size + self._config.root_set_margin
        # Nodes that were asked and kept silent make room for the next.
        silent = search.asked.keys() - search.answered.keys()
        candidates = [node for node in search.shown if node not in silent]
        closest = replica_roots(number(search.key), candidates, reach)
        pending = [node for node in closest if node != own and node not in search.answered]
        if not pending or search.rounds >= self._config.root_set_rounds:
            confirmed = {n: search.shown[n] for n in closest if n not in pending}
            self._arcs.learn(arc_around(number(search.key), candidates, reach), is_proven=True)
            self._finish(nonce, search, confirmed if search.answered else {}, now)
            return
        search.rounds += 1
        search.stage, search.deadline = _Stage.CONFIRMING, now + self._config.root_set_seconds
        query = encode(RootSetQuery(nonce))
        for node in pending:
            search.asked[node] = None
            self._outbox.notify(search.shown[node], Application.PASTRY, query)
        self._alarm.set_by(search.deadline, now)

    def _finish(
        self, nonce: bytes, search: _Search, nodes: dict[int, NodeHandle], now: float
    ) -> None:
        del self._searches[nonce]
        roots = [nodes[n] for n in replica_roots(number(search.key), nodes, search.size)]
        is_redundant = search.stage is not _Stage.PLAIN
        self._observer.record(RootSetFound(self._me.id, search.key, len(roots), is_redundant))
        if search.found is None:
            self._peers.consider(self._me, roots, now)
        else:
            search.found(roots)

    # Certificates.

    def _certified(self, members: Iterable[Witnessed]) -> dict[int, NodeHandle]:
        """Return the nodes of our ring whose certificates hold."""
        assert self._credentials is not None, "searches need credentials"
        return {
            number(member.node.node_id): member.node
            for member in members
            if member.node.ring == self._me.ring
            and self._credentials.holder_of(member.certificate) == member.node.node_id
        }

    def _own_arc(self) -> Sequence[int]:
        """Return this node with its leaf set, clockwise."""
        leaves = self._peers.leaf_set.neighbourhood.leaves
        own = number(self._me.node_id)
        return arc_around(own, (own, *leaves), self._config.leaf_set_size // 2 + 1)
