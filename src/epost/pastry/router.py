"""Routing messages hop by hop to the root of their key.

A hop takes a message over by acknowledging it. A silent hop becomes suspected and its messages go
another way, except where it is itself the root: then they wait for the verdict, because only the
death of a root makes another node the root. Before this node is ready, messages wait, too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace

from epost.foundation.codec import encode
from epost.foundation.ids import Id, NodeHandle, number
from epost.foundation.wire import Application
from epost.pastry.alarm import Alarm
from epost.pastry.config import (
    HOPS_MAX,
    REROUTES_MAX,
    SEEN_MAX,
    WAITING_MAX,
)
from epost.pastry.hops import Hops, Journey
from epost.pastry.messages import (
    FIND_ROOT_SET,
    FindRootSet,
    HopAck,
    JoinReply,
    Standing,
    Transit,
)
from epost.pastry.observed import Delivered, HopFailed, MessageDropped, PacketRefused, Routed
from epost.pastry.overlay import OverlayApplication
from epost.pastry.peers import Peers
from epost.pastry.prober import Reason
from epost.pastry.routing import next_hop
from epost.pastry.seen import Seen
from epost.pastry.surroundings import Surroundings

MESSAGE_ID_BYTES = 16


class Router:
    """The routed messages at one node."""

    TIMER = "route"

    def __init__(
        self,
        around: Surroundings,
        peers: Peers,
        upcalls: Mapping[Application, OverlayApplication],
        on_question: Callable[[NodeHandle, bytes, float], None],
    ) -> None:
        """`on_question(origin, nonce, now)`: a FindRootSet ends here."""
        self._me = around.me
        self._config = around.config
        self._outbox = around.outbox
        self._entropy = around.entropy
        self._observer = around.observer
        self._peers = peers
        self._upcalls = upcalls
        self._on_question = on_question
        self.hops = Hops(around.config, around.outbox, around.entropy, peers.round_trips)
        self._departing: list[Journey] = []
        self._departure = Alarm(around.outbox, Application.PASTRY, self.TIMER)
        self._held: deque[tuple[float, Journey]] = deque()
        self._parked: dict[bytes, list[Journey]] = {}
        self._parked_count = 0
        self._taken_over = Seen(SEEN_MAX)
        self._delivered = Seen(SEEN_MAX)

    def route(self, key: Id, application: Application, body: bytes) -> None:
        """Send a message off in a turn of its own (which knows the time)."""
        journey = self._journey(key, application, body)
        if len(self._departing) >= WAITING_MAX:
            self._drop(journey, "too many messages wait to depart")
            return
        self._departing.append(journey)
        self._departure.set_now()

    def ask_way(self, contact: NodeHandle, now: float) -> None:
        """Have a contact route our request for the leaf set around our own id."""
        if self.hops.has_room:
            self.hops.send(self._journey(self._me.id, Application.PASTRY, b""), contact, now)

    def ask_root(self, key: Id, question: FindRootSet, now: float) -> None:
        """Route a question of the overlay to the root of a key."""
        self._dispatch(self._question(key, question), now)

    def ask_by(self, first: NodeHandle, key: Id, question: FindRootSet, now: float) -> None:
        """Have a node route a question of the overlay on."""
        if self.hops.has_room:
            self.hops.send(self._question(key, question), first, now)

    def on_route_timer(self, now: float) -> None:
        """Send off what this node's applications asked for."""
        self._departure.rang()
        departing, self._departing = self._departing, []
        for journey in departing:
            self._dispatch(journey, now)

    def on_transit(self, sender: NodeHandle, transit: Transit, now: float) -> None:
        """Take a message over, unless there is no room: then the sender finds another way."""
        if transit.origin.ring != self._me.ring:
            refused = PacketRefused(self._me.id, sender.id, "a message from another ring")
            self._observer.record(refused)
            return
        hop_name = sender.node_id + transit.hop.to_bytes(8, "big")
        if hop_name not in self._taken_over and not self.hops.has_room:
            return
        self._outbox.notify(sender, Application.PASTRY, encode(HopAck(transit.hop)))
        if not self._taken_over.add(hop_name, now):
            return
        # The first hop knows the origin by its link; later ones must take its word.
        origin = sender if transit.hops <= 1 else transit.origin
        question = None
        if transit.application is Application.PASTRY and transit.body:
            question = FIND_ROOT_SET.decode(transit.body)
        journey = Journey(
            transit.message,
            origin,
            Id(transit.key),
            transit.application,
            transit.hops,
            transit.body,
            question,
        )
        here = self._peers.leaf_set.neighbourhood
        if journey.is_constrained and here.contains(number(journey.key)):
            self._arrive(journey, now)
        else:
            self._dispatch(journey, now)

    def on_hop_timer(self, now: float) -> None:
        """Suspect hops that did not acknowledge, and find other ways."""
        for to, journey in self.hops.take_failed(now):
            self._observer.record(HopFailed(self._me.id, to.id))
            self._peers.suspect(to.node_id, Reason.SUSPECTED, now)
            self._reroute(journey, now)

    def on_unreachable(self, node_id: bytes, now: float) -> None:
        """The transport gave a node up: do not wait for its acknowledgements."""
        for _, journey in self.hops.take_for(node_id):
            self._reroute(journey, now)

    def on_settled(self, node_id: bytes, now: float) -> None:
        """A suspicion ended: what waited for the verdict goes on."""
        journeys = self._parked.pop(node_id, [])
        self._parked_count -= len(journeys)
        for journey in journeys:
            self._reroute(journey, now)

    def on_ready(self, now: float) -> None:
        """This node is a member: what waited for that goes on."""
        held, self._held = self._held, deque()
        for expires_at, journey in held:
            if expires_at >= now:
                self._dispatch(journey, now)
            else:
                self._drop(journey, "not ready in time")

    def _journey(self, key: Id, application: Application, body: bytes) -> Journey:
        message = self._entropy.token(MESSAGE_ID_BYTES)
        return Journey(message, self._me, key, application, 0, body)

    def _question(self, key: Id, question: FindRootSet) -> Journey:
        journey = self._journey(key, Application.PASTRY, encode(question))
        journey.question = question
        return journey

    def _dispatch(self, journey: Journey, now: float) -> None:
        if self._peers.standing is not Standing.READY:
            self._hold(journey, now)
            return
        to = self._next_hop(journey)
        if to is None:
            self._arrive(journey, now)
        elif not self._peers.is_usable(to.node_id):
            self._park(journey, to.node_id)
        elif self._may_leave(journey, to, now):
            self.hops.send(journey, to, now)
            self._observer.record(
                Routed(self._me.id, journey.key, journey.application, to.id, journey.hops)
            )

    def _next_hop(self, journey: Journey) -> NodeHandle | None:
        """Return the next hop, None if this node is the root."""
        peers = self._peers
        here = peers.leaf_set.neighbourhood
        usable: Callable[[int], bool] = self._is_usable
        if journey.asks_way:
            # The root of a joiner's id is whoever would be it without the joiner.
            joiner = number(journey.origin.node_id)
            here = replace(here, leaves=[leaf for leaf in here.leaves if leaf != joiner])

            def usable(node: int) -> bool:
                return node != joiner and self._is_usable(node)

        table = peers.constrained if journey.is_constrained else peers.table
        hop = next_hop(here, number(journey.key), table, self._config.bits_per_digit, usable)
        node_id = hop.to_bytes(20, "big")
        return peers.get(node_id)

    def _is_usable(self, node: int) -> bool:
        return self._peers.is_usable(node.to_bytes(20, "big"))

    def _may_leave(self, journey: Journey, to: NodeHandle, now: float) -> bool:
        if journey.hops >= HOPS_MAX or not self.hops.has_room:
            self._drop(journey, "too many hops" if self.hops.has_room else "too many in flight")
            return False
        if journey.is_announced:
            return True
        journey.is_announced = True
        if journey.asks_way:
            self._peers.upkeep.help_joiner(journey.origin, is_first_hop=journey.hops == 1)
            return True
        upcalls = self._upcalls.get(journey.application)
        return upcalls is None or upcalls.forward(
            journey.key, journey.origin, journey.body, to, now
        )

    def _arrive(self, journey: Journey, now: float) -> None:
        if not self._delivered.add(journey.message, now):
            return
        self._observer.record(
            Delivered(
                self._me.id,
                journey.key,
                journey.application,
                journey.origin.id,
                journey.hops,
            )
        )
        upcalls = self._upcalls.get(journey.application)
        if journey.question is not None:
            self._on_question(journey.origin, journey.question.nonce, now)
        elif journey.asks_way:
            self._show_way(journey)
        elif upcalls is not None:
            upcalls.deliver(journey.key, journey.origin, journey.body, now)

    def _show_way(self, journey: Journey) -> None:
        """Tell a joiner who its neighbours are; ourselves by our link."""
        joiner = journey.origin
        if joiner.node_id == self._me.node_id:
            return
        self._peers.upkeep.help_joiner(joiner, is_first_hop=journey.hops == 1)
        leaves = tuple(n for n in self._peers.leaf_set if n.node_id != joiner.node_id)
        self._outbox.notify(joiner, Application.PASTRY, encode(JoinReply(leaves)))

    def _reroute(self, journey: Journey, now: float) -> None:
        journey.reroutes += 1
        is_ours = journey.origin.node_id == self._me.node_id
        if journey.asks_way and is_ours:
            return  # asked again by another contact
        if journey.reroutes > REROUTES_MAX:
            self._drop(journey, "no way found")
        else:
            self._dispatch(journey, now)

    def _hold(self, journey: Journey, now: float) -> None:
        if journey.application is Application.PASTRY:
            return  # who is no member cannot show the way
        while self._held and (self._held[0][0] < now or len(self._held) >= WAITING_MAX):
            self._drop(self._held.popleft()[1], "not ready in time")
        self._held.append((now + self._config.hold_seconds, journey))

    def _park(self, journey: Journey, node_id: bytes) -> None:
        if self._parked_count >= WAITING_MAX:
            self._drop(journey, "too many messages wait for a verdict")
            return
        self._parked_count += 1
        self._parked.setdefault(node_id, []).append(journey)

    def _drop(self, journey: Journey, reason: str) -> None:
        self._observer.record(MessageDropped(self._me.id, journey.application, reason))
