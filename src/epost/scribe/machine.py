"""Group trees: create, join, leave, multicast, anycast (Scribe, IEEE JSAC 2002).

A member sends a join request towards the group's root (the overlay's root of the group id). The
first node on the way becomes its parent and, if it was not in the tree yet, sends a request of
its own: so the tree is made of reversed routes (`family.py`). Children refresh their parents;
either side that falls silent is forgotten (`forest.py`). The root's neighbours know what it knows
(`succession.py`); who has too many children hands some over (`bottleneck.py`).

Groups are open to all unless they have a charter (`charter.py`). Multicasts are best effort; in an
open group what they say must prove itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from epost.foundation.codec import encode
from epost.foundation.effects import Caller, Outbox
from epost.foundation.errors import MessageTooLarge, NotPermitted, Overloaded, PeerError
from epost.foundation.ids import Id, NodeHandle, NodeId
from epost.foundation.ports import Entropy, Observer
from epost.foundation.wire import Application, RefusalCode
from epost.pastry.overlay import Overlay
from epost.scribe.anycast import AnycastTaker, Search
from epost.scribe.config import (
    ANYCAST_BODY_SIZE_MAX,
    BODY_SIZE_MAX,
    GROUPS_MAX,
    ScribeConfig,
)
from epost.scribe.family import Family
from epost.scribe.forest import Forest
from epost.scribe.messages import (
    PACKET,
    Adopted,
    Anycast,
    Attach,
    Disowned,
    Estate,
    HandOver,
    JoinGroup,
    LeaveGroups,
    Multicast,
    Packet,
    Publish,
    Refresh,
    Terms,
)
from epost.scribe.news import GroupListener, News
from epost.scribe.succession import Succession
from epost.scribe.surroundings import Distance, Surroundings, unknown_distance

__all__ = ["AnycastTaker", "GroupListener", "Scribe"]

MESSAGE_ID_BYTES = 16


class Scribe:
    """The groups of one node (Machine for Application.SCRIBE, and OverlayApplication)."""

    def __init__(
        self,
        overlay: Overlay,
        config: ScribeConfig,
        outbox: Outbox,
        entropy: Entropy,
        observer: Observer,
        *,
        distance: Distance = unknown_distance,
    ) -> None:
        """Registers itself with the overlay for Application.SCRIBE."""
        self._around = Surroundings(overlay, config, outbox, entropy, observer, distance)
        self._forest = Forest(self._around)
        self._family = Family(self._around, self._forest)
        self._succession = Succession(self._around, self._forest, self._family)
        self._news = News(self._around, self._forest, self._succession)
        self._search = Search(self._around, self._forest)
        overlay.register(Application.SCRIBE, self)

    # What applications ask for

    def register(self, listener: GroupListener) -> None:
        """Add somebody who gets all news."""
        self._news.register(listener)

    def register_taker(self, taker: AnycastTaker) -> None:
        """Add somebody who answers anycasts."""
        self._search.register(taker)

    @property
    def groups(self) -> Sequence[Id]:
        """The groups this node is a member of, sorted."""
        return [tree.group for tree in self._forest if tree.is_member]

    @property
    def children_by_group(self) -> dict[Id, int]:
        """How many children this node has in each tree it takes part in."""
        return {tree.group: len(tree.children) for tree in self._forest}

    def create(self, group: Id, charter: bytes) -> None:
        """Bring a signed charter into force, at the root first; an older one is never.

        It is kept by the root and its heirs, and by every member: create it again if all of them
        may have gone. Raises PeerError or AuthenticityError if it does not hold.
        """
        self._forest.terms.learn(Terms(group, charter, ()))
        body = encode(self._forest.terms.say(group))
        self._around.overlay.route(group, Application.SCRIBE, body)

    def join(self, group: Id, *, permit: bytes = b"") -> None:
        """Become a member, and stay one through all failures, until `leave` or the next start.

        Membership also ends when a charter comes that wants another permit: join again with it.
        Raises Overloaded if this node is a member of GROUPS_MAX groups already, NotPermitted if the
        group's charter is known and asks for another permit.
        """
        if not self._forest.terms.is_permit_of(group, self._around.me.node_id, permit):
            raise NotPermitted("the group's charter wants a permit for this node")
        tree = self._forest.plant_own(group)
        if tree is None:
            raise Overloaded(f"this node is a member of {GROUPS_MAX} groups already")
        tree.is_member, tree.permit = True, permit
        self._forest.tend_next(tree)

    def leave(self, group: Id) -> None:
        """Stop being a member; the node may go on to forward for others."""
        tree = self._forest.get(group)
        if tree is not None:
            tree.is_member = False
            self._forest.tend_next(tree)

    def multicast(self, group: Id, body: bytes) -> None:
        """Send news to all members, oneself included if a member.

        In a group with a charter `body` is made by `sign_publication`. Best effort. Raises
        MessageTooLarge beyond BODY_SIZE_MAX.
        """
        if len(body) > BODY_SIZE_MAX:
            raise MessageTooLarge(f"{len(body)} bytes; a multicast has at most {BODY_SIZE_MAX}")
        publish = Publish(self._around.entropy.token(MESSAGE_ID_BYTES), body)
        self._around.overlay.route(group, Application.SCRIBE, encode(publish))

    def anycast(self, group: Id, body: bytes, call_id: int) -> None:
        """Ask the members one by one until one answers the call; for `Calls.expect`.

        The call is refused if nobody takes it. Anybody may ask, whatever the charter. Raises
        MessageTooLarge beyond ANYCAST_BODY_SIZE_MAX.
        """
        if len(body) > ANYCAST_BODY_SIZE_MAX:
            raise MessageTooLarge(
                f"{len(body)} bytes; an anycast has at most {ANYCAST_BODY_SIZE_MAX}"
            )
        call = call_id.to_bytes(8, "big")
        question = Anycast(group, self._around.me, call, body, (), ())
        self._around.overlay.route(group, Application.SCRIBE, encode(question))

    # OverlayApplication

    def deliver(self, key: Id, origin: NodeHandle, body: bytes, now: float) -> None:
        """We are the root of a group."""
        match self._decode(origin, body):
            case JoinGroup(permit):
                self._on_join_at_root(key, origin, permit, now)
            case Publish(message, news):
                self._news.spread(Multicast(key, message, news), None, now)
            case Terms(group) as terms if group == key:
                if self._family.on_terms(origin, terms, now):
                    self._succession.tell_terms(key)
            case Anycast(group) as question if group == key:
                self._search.visit(question, now)
            case None:
                pass
            case _:
                self._around.refuse(origin, "a packet that must not be routed")

    def forward(
        self, key: Id, origin: NodeHandle, body: bytes, next_hop: NodeHandle, now: float
    ) -> bool:
        """Become the parent of whoever asks the root for a place: its request ends here.

        Where that is not possible (it is above us, or there are too many) the request goes on. An
        anycast begins at the first node of the tree.
        """
        match self._decode(origin, body):
            case JoinGroup(permit) if origin.node_id != self._around.me.node_id:
                if not self._family.may_join(key, origin, permit):
                    return False
                return not self._family.adopt(key, origin, permit, now)
            case Anycast(group) as question if group == key and self._forest.get(key) is not None:
                self._search.visit(question, now)
                return False
        return True

    def update(self, node: NodeHandle, joined: bool, now: float) -> None:
        """A change nearby may give a group another root, or orphan us."""
        if not joined:
            self._succession.take_over(node, now)
        for tree in self._forest:
            if not joined and tree.has_parent(node.node_id):
                self._forest.lose_parent(tree, now)
            elif tree.is_root and not self._around.is_root_of(tree.group):
                tree.become_orphan()
                self._forest.tend_at(tree, now, now)

    # Machine

    def on_start(self, now: float) -> None:
        """Nothing to do: trees grow when somebody joins."""

    def on_notify(self, sender: NodeHandle, body: bytes, now: float) -> None:
        """Take a packet of a parent, a child, or a root nearby."""
        packet = self._decode(sender, body)
        if packet is not None:
            self._on_packet(sender, packet, now)

    def on_request(self, caller: Caller, body: bytes, now: float) -> None:
        """Refuse: groups have no requests."""
        self._around.outbox.refuse(caller, RefusalCode.UNKNOWN, "groups answer no requests")

    def on_timer(self, name: str, now: float) -> None:
        """Tend the trees that are due."""
        assert name == Forest.TIMER
        for tree in self._forest.on_timer(now):
            self._succession.tell_heirs(tree)

    def on_loaded(self, purpose: object, body: bytes | None, now: float) -> None:
        """Groups load nothing."""
        raise AssertionError("groups load nothing")

    def on_unreachable(self, node: NodeId, now: float) -> None:
        """Do not wait for the next refresh of a parent that seems to be gone."""
        for tree in self._forest:
            if tree.has_parent(node):
                self._forest.tend_at(tree, now, now)

    # Packets

    def _on_packet(self, sender: NodeHandle, packet: Packet, now: float) -> None:
        match packet:
            case Adopted() | Refresh() | Disowned() | LeaveGroups() | HandOver() | Attach():
                self._family.on_packet(sender, packet, now)
            case Multicast():
                self._news.spread(packet, sender, now)
            case Terms():
                self._on_terms(sender, packet, now)
            case Estate():
                self._succession.on_estate(sender, packet)
            case Anycast():
                self._search.visit(packet, now)
            case JoinGroup() | Publish():
                self._around.refuse(sender, "a packet that must be routed")
            case _:
                assert_never(packet)

    def _on_join_at_root(self, group: Id, origin: NodeHandle, permit: bytes, now: float) -> None:
        if not self._family.may_join(group, origin, permit):
            return
        tree = self._forest.plant(group)
        if tree is None:
            self._around.refuse(origin, "a join request beyond the limit of groups")
            return
        self._family.become_root(tree, now)
        if origin.node_id != self._around.me.node_id:
            self._family.adopt(group, origin, permit, now)

    def _on_terms(self, sender: NodeHandle, terms: Terms, now: float) -> None:
        """Terms prove themselves, but only those of groups that concern us are kept."""
        group = Id(terms.group)
        if self._forest.get(group) is None and not self._succession.is_near(group, sender):
            self._around.refuse(sender, "the terms of a group that is none of ours")
            return
        self._family.on_terms(sender, terms, now)

    def _decode(self, sender: NodeHandle, body: bytes) -> Packet | None:
        try:
            return PACKET.decode(body)
        except PeerError as error:
            self._around.refuse(sender, str(error))
            return None
