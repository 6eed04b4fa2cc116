"""Routing among accomplices (Castro et al., OSDI 2002): one plain route, and the product's search.

Tables come from the oracle; the search is the product's SecureRouting with its messages, density
test, redundant copies and confirmations. An accomplice drops what it should forward (to hand it to
another is the same), answers a plain route with the accomplices closest to the key, and shows
accomplices only when it is asked for its leaf set. Nobody can make up nodes: a node counts by its
certificate. A search succeeds if all correct replica roots are among its result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from epost.foundation.effects import Outbox, Send
from epost.foundation.ids import Id, NodeHandle, NodeId, number, point
from epost.foundation.wire import unpack
from epost.pastry.config import PastryConfig
from epost.pastry.messages import PACKET, FindRootSet, RootSet, RootSetQuery, Standing, Witnessed
from epost.pastry.observed import RootSetFound
from epost.pastry.peers import Peers
from epost.pastry.routing import ID_BITS
from epost.pastry.secure_routing import SecureRouting
from epost.pastry.surroundings import Surroundings
from epost.simulation.overlay.figure import Progress
from epost.simulation.overlay.oracle_ring import OracleRing, at_random, closest_in
from epost.simulation.overlay.protocol_ring import SeededEntropy
from epost.simulation.overlay.statistics import Mean

PROGRESS_EVERY = 1000


@dataclass(slots=True)
class Outcome:
    """How many routes succeeded of how many, and what the searches cost."""

    routes: int = 0
    plain: int = 0
    searches: int = 0
    redundant: int = 0
    messages: Mean = field(default_factory=Mean)
    """Of one search: copies at each hop, questions and answers."""


class Infiltrated:
    """A ring with constrained tables of which a random part are accomplices."""

    def __init__(self, ring: OracleRing, part: float, random: Random, *, k: int = 3) -> None:
        """`k` is how many replica roots a key has."""
        self.ring = ring
        self.random = random
        self.k = k
        bad = random.sample(range(len(ring)), round(len(ring) * part))
        self.bad = set(bad)
        self.bad_ids = sorted(ring.ids[node] for node in bad)
        self.config = PastryConfig(leaf_set_size=ring.leaf_set_size)

    def measure(self, routes: int, progress: Progress, *, always_redundant: bool) -> Outcome:
        """Route from random correct nodes to random keys, plainly and by a search.

        `always_redundant` has every first answer stay out, so that no search ends there.
        """
        outcome = Outcome()
        for _ in range(routes):
            source = self._a_correct_node()
            key = self._a_key_beyond(source)
            search = Search(self, source, key, is_mute=always_redundant)
            outcome.routes += 1
            outcome.plain += search.plain_succeeds()
            outcome.searches += search.succeeds()
            outcome.redundant += search.is_redundant
            outcome.messages.add(search.messages)
            if outcome.routes % PROGRESS_EVERY == 0:
                progress(f"{outcome.routes} routes: {outcome.plain} {outcome.searches} succeeded")
        return outcome

    def _a_correct_node(self) -> int:
        while (node := self.random.randrange(len(self.ring))) in self.bad:
            pass
        return node

    def _a_key_beyond(self, node: int) -> int:
        """Draw a key for which a node must ask others: what its leaf set covers it knows itself."""
        leaf_set = self.ring.state(node).leaf_set
        while leaf_set.covers(point(key := self.random.getrandbits(ID_BITS)), self.k):
            pass
        return key


class Search:
    """One key looked for by one node (the Ways, Credentials and Observer of its SecureRouting)."""

    def __init__(self, among: Infiltrated, source: int, key: int, *, is_mute: bool) -> None:
        self.messages = 0
        self.is_redundant = False
        self._among = among
        self._ring = among.ring
        self._source = source
        self._key = key
        self._is_mute = is_mute
        self._answers: list[tuple[int, RootSet]] = []
        self._found: Sequence[NodeHandle] | None = None
        state, me = self._ring.state(source), self._ring.nodes[source]
        outbox, entropy = Outbox(), SeededEntropy(among.random)
        around = Surroundings(me, among.config, outbox, entropy, self)
        peers = Peers(around, self)
        peers.leaf_set, peers.constrained = state.leaf_set, state.table
        peers.table = self._ring.table(source, at_random)
        peers.standing = Standing.READY
        self._outbox = outbox
        self._secure = SecureRouting(around, peers, self, self)

    def plain_succeeds(self) -> bool:
        """Tell whether one route meets correct nodes only, its end included."""
        return self._among.bad.isdisjoint(self._ring.route(self._source, self._key)[1:])

    def succeeds(self) -> bool:
        """Search, and tell whether all correct replica roots were found."""
        among, now = self._among, 0.0
        self._secure.find(point(self._key), among.k, self._on_found)
        while self._found is None:
            self._secure.on_timer(now)
            self._exchange(now)
            now += among.config.root_set_seconds
        found = {self._ring.index(number(node.node_id)) for node in self._found}
        return found >= {n for n in self._ring.closest(self._key, among.k) if n not in among.bad}

    # What the search asks of its node

    def ask_root(self, key: Id, question: FindRootSet, now: float) -> None:
        """Route plainly (Ways); an accomplice on the way answers in place of the root."""
        way = self._ring.route(self._source, self._key)
        self.messages += len(way)
        if self._is_mute:
            return
        if self._among.bad.isdisjoint(way):
            self._answer(way[-1], question.nonce)
            return
        forged = closest_in(self._among.bad_ids, self._key, self._among.config.leaf_set_size)
        self._show(self._ring.index(forged[0]), question.nonce, forged)

    def ask_by(self, first: NodeHandle, key: Id, question: FindRootSet, now: float) -> None:
        """Follow a copy by constrained tables to a correct node that has the key in its leaf set.

        (Ways.) It is lost at the first accomplice.
        """
        node = self._ring.index(number(first.node_id))
        self.messages += 1
        while node not in self._among.bad:
            if self._ring.state(node).leaf_set.neighbourhood.contains(self._key):
                self._answer(node, question.nonce)
                return
            node = self._ring.hop(node, self._key)
            self.messages += 1

    def certificate_of(self, node: NodeId) -> bytes | None:
        """Return the certificate of a node: here its id (Credentials)."""
        return node

    def holder_of(self, certificate: bytes) -> NodeId | None:
        """Return whose certificate it is (Credentials)."""
        return NodeId(Id(certificate))

    def record(self, event: object) -> None:
        """Note which way it took (Observer)."""
        if isinstance(event, RootSetFound):
            self.is_redundant = event.redundant

    def on_member(self, node: NodeHandle, joined: bool, now: float) -> None:
        """The leaf set stays as it is (PeersListener)."""

    def on_settled(self, node_id: bytes, now: float) -> None:
        """Nobody is suspected (PeersListener)."""

    # What the others answer

    def _exchange(self, now: float) -> None:
        """Deliver questions and answers until there are no more."""
        self._deliver_questions()
        while self._answers:
            answers, self._answers = self._answers, []
            for node, answer in answers:
                self._secure.on_root_set(self._ring.nodes[node], answer, now)
            self._deliver_questions()

    def _deliver_questions(self) -> None:
        for effect in self._outbox.drain():
            if isinstance(effect, Send):
                query = PACKET.decode(unpack(effect.message).body)
                assert isinstance(query, RootSetQuery), "the search sends nothing else itself"
                self.messages += 1
                self._answer(self._ring.index(number(effect.to.node_id)), query.nonce)

    def _answer(self, node: int, nonce: bytes) -> None:
        """A node shows itself and its leaf set, an accomplice only its accomplices there."""
        leaves = self._ring.state(node).leaf_set.neighbourhood.leaves
        shown: Sequence[int] = [self._ring.ids[node], *leaves]
        if node in self._among.bad:
            shown = [value for value in shown if self._ring.index(value) in self._among.bad]
        self._show(node, nonce, shown)

    def _show(self, sender: int, nonce: bytes, shown: Sequence[int]) -> None:
        self.messages += 1
        handles = (self._ring.nodes[self._ring.index(value)] for value in shown)
        members = tuple(Witnessed(handle, handle.node_id) for handle in handles)
        self._answers.append((sender, RootSet(nonce, members)))

    def _on_found(self, roots: Sequence[NodeHandle]) -> None:
        self._found = roots
