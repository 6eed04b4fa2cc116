"""Group trees: join, leave, multicast (Scribe, IEEE JSAC 2002).

A member sends a join request towards the group's root (the overlay's root of the group id). The
first node on the way becomes its parent and, if it was not in the tree yet, sends a request of
its own: so the tree is made of reversed routes. Children refresh their parents; either side that
falls silent is forgotten. Each parent tells its path to the root, so that nobody adopts a node
that is above it: a loop breaks as soon as somebody sees itself in its parent's path.

Multicasts are best effort and not authenticated: what they say must prove itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, assert_never

from epost.foundation.codec import encode
from epost.foundation.effects import Caller, Outbox
from epost.foundation.errors import MessageTooLarge, Overloaded, PeerError
from epost.foundation.ids import Id, NodeHandle, NodeId
from epost.foundation.ports import Entropy, Observer
from epost.foundation.wire import Application, RefusalCode
from epost.pastry.overlay import Overlay
from epost.pastry.seen import Seen
from epost.scribe.config import (
    BODY_SIZE_MAX,
    GROUPS_MAX,
    PATH_MAX,
    SEEN_MAX,
    ScribeConfig,
)
from epost.scribe.forest import Forest
from epost.scribe.messages import (
    PACKET,
    Adopted,
    Branch,
    Disowned,
    JoinGroup,
    LeaveGroups,
    Multicast,
    Packet,
    Publish,
    Refresh,
)
from epost.scribe.observed import (
    GroupPacketRefused,
    LoopBroken,
    MulticastReceived,
    ParentFound,
)
from epost.scribe.tree import Tree

MESSAGE_ID_BYTES = 16


class GroupListener(Protocol):
    """Who gets the news of the groups this node is a member of."""

    def on_multicast(self, group: Id, body: bytes, now: float) -> None:
        """News came, once; whether it is true is for the listener to check."""


class Scribe:
    """The groups of one node (Machine for Application.SCRIBE, and OverlayApplication)."""

    def __init__(
        self,
        overlay: Overlay,
        config: ScribeConfig,
        outbox: Outbox,
        entropy: Entropy,
        observer: Observer,
    ) -> None:
        """Registers itself with the overlay for Application.SCRIBE."""
        self._overlay = overlay
        self._me = overlay.me
        self._config = config
        self._outbox = outbox
        self._entropy = entropy
        self._observer = observer
        self._forest = Forest(overlay, config, outbox, entropy, observer)
        self._listeners: list[GroupListener] = []
        self._seen = Seen(SEEN_MAX)
        overlay.register(Application.SCRIBE, self)

    # What applications ask for

    def register(self, listener: GroupListener) -> None:
        """Add somebody who gets all news."""
        self._listeners.append(listener)

    @property
    def groups(self) -> Sequence[Id]:
        """The groups this node is a member of, sorted."""
        return [tree.group for tree in self._forest if tree.is_member]

    def join(self, group: Id) -> None:
        """Become a member, and stay one through all failures, until `leave` or the next start.

        Raises Overloaded if this node is in GROUPS_MAX trees already.
        """
        tree = self._forest.plant(group)
        if tree is None:
            raise Overloaded(f"this node takes part in {GROUPS_MAX} groups already")
        tree.is_member = True
        self._forest.tend_next(tree)

    def leave(self, group: Id) -> None:
        """Stop being a member; the node may go on to forward for others."""
        tree = self._forest.get(group)
        if tree is not None:
            tree.is_member = False
            self._forest.tend_next(tree)

    def multicast(self, group: Id, body: bytes) -> None:
        """Send news to all members, oneself included if a member; anybody may.

        Best effort. Raises MessageTooLarge beyond BODY_SIZE_MAX.
        """
        if len(body) > BODY_SIZE_MAX:
            raise MessageTooLarge(f"{len(body)} bytes; a multicast has at most {BODY_SIZE_MAX}")
        publish = Publish(self._entropy.token(MESSAGE_ID_BYTES), body)
        self._overlay.route(group, Application.SCRIBE, encode(publish))

    # OverlayApplication

    def deliver(self, key: Id, origin: NodeHandle, body: bytes, now: float) -> None:
        """We are the root of a group."""
        match self._decode(origin, body):
            case JoinGroup():
                self._on_join_at_root(key, origin, now)
            case Publish() as publish:
                self._spread(Multicast(key, publish.message, publish.body), None, now)
            case _:
                self._refuse(origin, "a packet that must not be routed")

    def forward(
        self, key: Id, origin: NodeHandle, body: bytes, next_hop: NodeHandle, now: float
    ) -> bool:
        """Become the parent of whoever asks the root for a place: its request ends here.

        Where that is not possible (it is above us, or there are too many) the request goes on.
        """
        if origin.node_id == self._me.node_id:
            return True
        if not isinstance(self._decode(origin, body), JoinGroup):
            return True
        return not self._adopt(key, origin, now)

    def update(self, node: NodeHandle, joined: bool, now: float) -> None:
        """A change nearby may give a group another root, or orphan us."""
        for tree in self._forest:
            if not joined and tree.has_parent(node.node_id):
                self._forest.lose_parent(tree, now)
            elif tree.is_root and not self._forest.is_root_of(tree.group):
                tree.become_orphan()
                self._forest.tend_at(tree, now, now)

    # Machine

    def on_start(self, now: float) -> None:
        """Nothing to do: trees grow when somebody joins."""

    def on_notify(self, sender: NodeHandle, body: bytes, now: float) -> None:
        """Take a packet of a parent or child."""
        packet = self._decode(sender, body)
        if packet is not None:
            self._on_packet(sender, packet, now)

    def on_request(self, caller: Caller, body: bytes, now: float) -> None:
        """Refuse: groups have no requests."""
        self._outbox.refuse(caller, RefusalCode.UNKNOWN, "groups answer no requests")

    def on_timer(self, name: str, now: float) -> None:
        """Tend the trees that are due."""
        assert name == Forest.TIMER
        self._forest.on_timer(now)

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
            case Adopted():
                for branch in packet.branches:
                    self._on_adopted(sender, branch, now)
            case Refresh():
                self._on_refresh(sender, packet, now)
            case Disowned():
                for group in packet.groups:
                    self._on_disowned(sender, Id(group), now)
            case LeaveGroups():
                for group in packet.groups:
                    self._on_child_leaving(sender, Id(group), now)
            case Multicast():
                self._spread(packet, sender, now)
            case JoinGroup() | Publish():
                self._refuse(sender, "a packet that must be routed")
            case _:
                assert_never(packet)

    def _on_join_at_root(self, group: Id, origin: NodeHandle, now: float) -> None:
        tree = self._forest.plant(group)
        if tree is None:
            self._refuse(origin, "a join request beyond the limit of groups")
            return
        if not tree.is_root:
            self._forest.part_from_parent(tree)
            tree.become_root()
            self._forest.tend_later(tree, now)
            self._observer.record(ParentFound(self._me.id, group, None))
            self._tell_path(tree)
        if origin.node_id != self._me.node_id:
            self._adopt(group, origin, now)

    def _on_adopted(self, sender: NodeHandle, branch: Branch, now: float) -> None:
        group = Id(branch.group)
        tree = self._forest.get(group)
        is_parent = tree is not None and tree.has_parent(sender.node_id)
        if tree is None or not (is_parent or tree.is_seeking):
            self._tell(sender, LeaveGroups((group,)))
            return
        if branch.path[:1] != (sender.node_id,):
            self._refuse(sender, "a path that does not begin at its sender")
            return
        if self._me.node_id in branch.path or len(branch.path) >= PATH_MAX:
            self._observer.record(LoopBroken(self._me.id, group))
            self._tell(sender, LeaveGroups((group,)))
            tree.become_orphan()
            self._forest.tend_at(tree, now + self._config.seek_seconds_min, now)
            return
        has_new_path = branch.path != tree.path
        tree.become_child(sender, branch.path)
        self._forest.tend_later(tree, now)
        if not is_parent:
            self._observer.record(ParentFound(self._me.id, group, sender.id))
        if has_new_path:
            self._tell_path(tree)

    def _on_refresh(self, sender: NodeHandle, refresh: Refresh, now: float) -> None:
        kept, lost = [], []
        for group in refresh.groups:
            tree = self._forest.adopt(Id(group), sender, now)
            if tree is None:
                lost.append(group)
            else:
                kept.append(self._branch(tree))
        if kept:
            self._tell(sender, Adopted(tuple(kept)))
        if lost:
            self._tell(sender, Disowned(tuple(lost)))

    def _on_disowned(self, sender: NodeHandle, group: Id, now: float) -> None:
        tree = self._forest.get(group)
        if tree is not None and tree.has_parent(sender.node_id):
            self._forest.lose_parent(tree, now)

    def _on_child_leaving(self, sender: NodeHandle, group: Id, now: float) -> None:
        tree = self._forest.get(group)
        if tree is None:
            return
        tree.children.pop(sender.node_id, None)
        if not tree.is_needed:
            self._forest.tend_at(tree, now, now)

    def _spread(self, news: Multicast, sender: NodeHandle | None, now: float) -> None:
        """Pass news on along the tree and to ourselves, the first time it comes.

        News may begin below the top of the tree while the root changes, so it goes upwards, too.
        """
        group = Id(news.group)
        tree = self._forest.get(group)
        if not self._seen.add(news.message, now):
            return
        if tree is None:
            if sender is None:
                self._pass_to_former_root(news)
            return
        next_nodes = [n for n in tree.relatives() if sender is None or n.node_id != sender.node_id]
        for node in next_nodes:
            self._tell(node, news)
        self._observer.record(
            MulticastReceived(self._me.id, group, news.message, len(next_nodes), tree.is_member)
        )
        if tree.is_member:
            for listener in self._listeners:
                listener.on_multicast(group, news.body, now)

    def _pass_to_former_root(self, news: Multicast) -> None:
        """We have become root just now and nobody has joined here yet: the next closest node
        may still have the tree."""
        closest = self._overlay.replica_set(Id(news.group), 2)
        for node in closest:
            if node.node_id != self._me.node_id:
                self._tell(node, news)

    # Trees

    def _adopt(self, group: Id, child: NodeHandle, now: float) -> bool:
        tree = self._forest.adopt(group, child, now)
        if tree is not None:
            self._tell(child, Adopted((self._branch(tree),)))
        return tree is not None

    def _tell_path(self, tree: Tree) -> None:
        """Let the children know at once, so that loops are found at once."""
        news = Adopted((self._branch(tree),))
        for child in tree.offspring():
            self._tell(child, news)

    def _branch(self, tree: Tree) -> Branch:
        return Branch(tree.group, (self._me.node_id, *tree.path)[:PATH_MAX])

    # Bytes

    def _decode(self, sender: NodeHandle, body: bytes) -> Packet | None:
        try:
            return PACKET.decode(body)
        except PeerError as error:
            self._refuse(sender, str(error))
            return None

    def _refuse(self, sender: NodeHandle, reason: str) -> None:
        self._observer.record(GroupPacketRefused(self._me.id, sender.id, reason))

    def _tell(self, node: NodeHandle, packet: Packet) -> None:
        self._outbox.notify(node, Application.SCRIBE, encode(packet))
