"""A node of the ring: the machine that takes packets and timers and hands them to its parts.

`Peers` knows who lives, `Join` whether this node is a member, `Router` where messages go,
`ContactNotes` what to remember for the next start. This class joins them to the driver below
(Machine) and to the applications above (Overlay).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar, assert_never

from epost.foundation.codec import encode
from epost.foundation.effects import Caller, Outbox
from epost.foundation.errors import PeerError
from epost.foundation.ids import Id, NodeHandle, NodeId
from epost.foundation.ports import Entropy, Observer
from epost.foundation.wire import Application, RefusalCode
from epost.pastry.config import PastryConfig
from epost.pastry.contact_notes import ContactNotes
from epost.pastry.hops import Hops
from epost.pastry.join import Join
from epost.pastry.leaf_set import arc_among
from epost.pastry.messages import (
    PACKET,
    FailureNotice,
    Heartbeat,
    Hints,
    HopAck,
    JoinReply,
    LeafSetProbe,
    LeafSetReply,
    Leaving,
    Packet,
    Ping,
    Pong,
    RootSet,
    RootSetQuery,
    RowRequest,
    Transit,
)
from epost.pastry.observed import PacketRefused
from epost.pastry.overlay import Member, OverlayApplication
from epost.pastry.peers import Peers
from epost.pastry.prober import Prober, Reason
from epost.pastry.router import Router
from epost.pastry.secure_routing import Credentials, SecureRouting
from epost.pastry.surroundings import Surroundings
from epost.pastry.upkeep import TableUpkeep


class PastryNode:
    """One node of one ring (Machine for Application.PASTRY, and Overlay)."""

    TIMER = "beat"
    router_type: ClassVar[type[Router]] = Router
    """Simulations put a twin in its place that routes wrongly."""

    def __init__(
        self,
        me: NodeHandle,
        config: PastryConfig,
        outbox: Outbox,
        entropy: Entropy,
        observer: Observer,
        *,
        contacts: Sequence[NodeHandle] = (),
        credentials: Credentials | None = None,
    ) -> None:
        """`contacts` are those of `contact_notes.stored_contacts`: empty for a new node.

        Without credentials there is no secure routing beyond the own leaf set.
        """
        self._me = me
        self._config = config
        self._outbox = outbox
        self._observer = observer
        self._stored = contacts
        self._upcalls: dict[Application, OverlayApplication] = {}
        around = Surroundings(me, config, outbox, entropy, observer)
        self._peers = Peers(around, self)
        self._router = self.router_type(around, self._peers, self._upcalls, self._on_question)
        self._secure = SecureRouting(around, self._peers, self._router, credentials)
        self._join = Join(around, self._peers, self._router.ask_way, self._on_ready)
        self._notes = ContactNotes(config, outbox, self._contacts_worth_storing)
        self._last_turn_at: float | None = None
        self._just_heard: tuple[NodeHandle, float] | None = None

    # Overlay

    @property
    def me(self) -> NodeHandle:
        """This node."""
        return self._me

    @property
    def is_ready(self) -> bool:
        """Whether this node is a member of the ring."""
        return self._join.is_ready

    @property
    def epoch(self) -> int:
        """How often this node became ready."""
        return self._join.epoch

    def register(self, application: Application, upcalls: OverlayApplication) -> None:
        """Name who gets the upcalls of an application."""
        assert application not in self._upcalls
        self._upcalls[application] = upcalls

    def join(self, bootstrap: Sequence[NodeHandle]) -> None:
        """Look for the ring, for ever; with nobody to ask, `config.is_first` founds it."""
        self._join.join(bootstrap)

    def leave(self) -> None:
        """Say good-bye, so that nobody has to wait; the node is not ready from now on."""
        goodbye = encode(Leaving())
        for node in self._peers.leaf_set:
            self._outbox.notify(node, Application.PASTRY, goodbye)
        self._join.stop()

    def route(self, key: Id, application: Application, body: bytes) -> None:
        """Send to the root of a key, best effort; waits for readiness up to hold_seconds."""
        self._router.route(key, application, body)

    def route_securely(
        self, key: Id, size: int, found: Callable[[Sequence[NodeHandle]], None]
    ) -> None:
        """Find the nodes closest to a key although some nodes lie; closest first.

        `found` is called once, perhaps at once, with nobody if none could be proven. Nodes that
        are not this node's neighbours answered lately or are vouched for by a dense neighbourhood.
        """
        if self.covers(key, size):
            found(self.replica_set(key, size))
        else:
            self._secure.find(key, size, found)

    def replica_set(self, key: Id, size: int) -> Sequence[NodeHandle]:
        """Return the live nodes closest to a key that are known here, itself included."""
        return self._peers.leaf_set.closest(key, size, self._me)

    def covers(self, key: Id, size: int) -> bool:
        """Tell whether `replica_set(key, size)` is the true one."""
        return self._peers.covers(key, size)

    def knows(self, node_id: NodeId) -> bool:
        """Tell whether a node is, or was, a neighbour, or is in the routing table."""
        peers = self._peers
        return node_id in peers.leaf_set or node_id in peers.table or node_id in peers.contacts

    def neighbours(self) -> Sequence[NodeHandle]:
        """Return the live leaf set without this node, sorted by id."""
        return sorted(self._peers.leaf_set, key=lambda node: node.node_id)

    def members(self, now: float) -> Sequence[Member]:
        """Return the leaf set and those absent who would be in it, sorted by id."""
        kept_since = now - self._config.absence_kept_seconds
        members = [Member(node, True, None) for node in self._peers.leaf_set]
        for contact in self._peers.contacts.absent():
            since = contact.absent_since
            is_kept = since is not None and since >= kept_since
            if is_kept and self._peers.leaf_set.admits(contact.node.node_id):
                members.append(Member(contact.node, False, since))
        return sorted(members, key=lambda member: member.node.node_id)

    def round_trip(self, node: NodeHandle) -> float | None:
        """Return the smoothed round trip to a node in seconds, None if it was not measured."""
        return self._peers.round_trips.of(node.node_id)

    def arc(self, node_id: NodeId, k: int, now: float) -> tuple[Id, Id]:
        """Return the keys (start, end] for which a node is among the k closest live ones."""
        live = [self._me.node_id, *(node.node_id for node in self._peers.leaf_set)]
        return arc_among(node_id, live, k)

    # Machine

    def on_start(self, now: float) -> None:
        """Begin to beat; `join` begins to look for the ring."""
        self._last_turn_at = now
        self._join.resume(self._stored, now)
        self._outbox.set_timer(Application.PASTRY, self.TIMER, self._config.heartbeat_seconds)
        self._peers.upkeep.start()

    def on_notify(self, sender: NodeHandle, body: bytes, now: float) -> None:
        """Take a packet; malformed ones are reported and ignored."""
        # The driver told of it right before the turn, unless others came in between.
        if self._just_heard != (sender, now) and not self.heard_from(sender, now):
            return
        self._just_heard = None
        try:
            self._on_packet(sender, PACKET.decode(body), now)
        except PeerError as error:
            self._observer.record(PacketRefused(self._me.id, sender.id, str(error)))
            return
        self._advance(now)

    def on_request(self, caller: Caller, body: bytes, now: float) -> None:
        """Refuse: the overlay has no requests."""
        self._outbox.refuse(caller, RefusalCode.UNKNOWN, "the overlay answers no requests")

    def on_timer(self, name: str, now: float) -> None:
        """Do what was due."""
        self._notice_absence(now)
        match name:
            case PastryNode.TIMER:
                self._outbox.set_timer(
                    Application.PASTRY, self.TIMER, self._config.heartbeat_seconds
                )
                self._join.on_beat(now)
                self._peers.on_beat(now)
            case Peers.TIMER:
                self._peers.on_watch_timer(now)
            case Prober.TIMER:
                self._peers.on_probe_timer(now)
            case Hops.TIMER:
                self._router.on_hop_timer(now)
            case Router.TIMER:
                self._router.on_route_timer(now)
            case Join.TIMER:
                self._join.on_timer(now)
            case SecureRouting.TIMER:
                self._secure.on_timer(now)
            case TableUpkeep.TIMER:
                self._peers.upkeep.on_timer(now)
            case ContactNotes.TIMER:
                self._notes.on_timer(now)
            case _:
                raise AssertionError(f"no timer is called {name}")
        self._advance(now)

    def on_loaded(self, purpose: object, body: bytes | None, now: float) -> None:
        """The overlay loads nothing."""
        raise AssertionError("the overlay loads nothing")

    def on_unreachable(self, node: NodeId, now: float) -> None:
        """The transport gave up on a node: ask it, and send its messages another way."""
        self._notice_absence(now)
        self._peers.suspect(node, Reason.SUSPECTED, now)
        self._router.on_unreachable(node, now)

    def heard_from(self, node: NodeHandle, now: float) -> bool:
        """Any message of any application is a sign of life, and tells the newest addresses.

        False if the node is none of our ring: then its message must not be used.
        """
        self._notice_absence(now)
        if node.ring != self._me.ring or node.node_id == self._me.node_id:
            self._observer.record(PacketRefused(self._me.id, node.id, "a peer of another ring"))
            return False
        if self._peers.heard_from(node, now):
            self._notes.on_change(now)
        self._just_heard = node, now
        return True

    # PeersListener

    def on_member(self, node: NodeHandle, joined: bool, now: float) -> None:
        """The leaf set changed."""
        self._notes.on_change(now)
        self._join.arm(now)
        for application in sorted(self._upcalls):
            self._upcalls[application].update(node, joined, now)

    def on_settled(self, node_id: bytes, now: float) -> None:
        """A suspicion ended."""
        self._router.on_settled(node_id, now)

    def _advance(self, now: float) -> None:
        """Go on with what may have waited for the news of this turn."""
        self._join.advance(now)
        self._secure.advance(now)

    def _on_packet(self, sender: NodeHandle, packet: Packet, now: float) -> None:
        match packet:
            case Heartbeat() | Ping() | Pong():
                self._on_sign_of_life(sender, packet, now)
            case LeafSetProbe():
                self._peers.on_leaf_set_probe(sender, packet, now)
            case LeafSetReply():
                self._peers.on_leaf_set_reply(sender, packet, now)
                self._join.on_leaf_set(sender, packet, now)
            case FailureNotice():
                self._peers.on_failure_notice(packet, now)
            case Leaving():
                self._peers.on_leaving(sender, now)
            case RowRequest():
                self._peers.upkeep.on_row_request(sender, packet)
            case Hints():
                self._peers.on_hints(sender, packet.handles, now)
                self._join.on_hints(sender, packet.handles, now)
            case JoinReply():
                self._peers.consider(sender, (sender, *packet.leaves), now)
            case Transit() | HopAck() | RootSet() | RootSetQuery():
                self._on_routing(sender, packet, now)
            case _:
                assert_never(packet)

    def _on_routing(
        self, sender: NodeHandle, packet: Transit | HopAck | RootSet | RootSetQuery, now: float
    ) -> None:
        match packet:
            case Transit():
                self._router.on_transit(sender, packet, now)
            case HopAck():
                self._router.hops.on_ack(sender, packet.hop, now)
            case RootSet():
                self._secure.on_root_set(sender, packet, now)
            case RootSetQuery():
                self._secure.on_question(sender, packet.nonce, now)

    def _on_question(self, origin: NodeHandle, nonce: bytes, now: float) -> None:
        self._secure.on_question(origin, nonce, now)

    def _on_sign_of_life(
        self, sender: NodeHandle, packet: Heartbeat | Ping | Pong, now: float
    ) -> None:
        match packet:
            case Heartbeat():
                self._peers.on_heartbeat(sender, packet.standing, now)
            case Ping():
                self._peers.on_ping(sender, packet)
            case Pong():
                self._peers.on_pong(sender, packet, now)
        self._join.on_met(sender, packet.standing, now)

    def _notice_absence(self, now: float) -> None:
        """The beat leaves no long pause between two turns, unless the machine slept."""
        self._just_heard = None
        last_turn_at, self._last_turn_at = self._last_turn_at, now
        if last_turn_at is not None and now - last_turn_at > self._config.suspect_after_seconds:
            self._join.start_over(now - last_turn_at, now)

    def _on_ready(self, is_new: bool, now: float) -> None:
        self._notes.on_change(now)
        self._router.on_ready(now)
        self._secure.advance(now)
        self._peers.upkeep.compare_rows(now)
        if is_new:
            self._peers.upkeep.fill_constrained()
            self._secure.prove_place(now)

    def _contacts_worth_storing(self) -> Iterable[NodeHandle]:
        """The leaf set, those who are absent, and far nodes in case the whole leaf set dies."""
        yield from self._peers.leaf_set
        yield from (contact.node for contact in reversed(self._peers.contacts.absent()))
        yield from self._peers.table
