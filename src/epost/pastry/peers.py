"""Who lives: the leaf set, the routing table, suspicion, and the verdicts on silent nodes.

One rule protects all of it: a node enters the leaf set only by its own LeafSetProbe or
LeafSetReply, and the table only by its own word; what others say about it is a reason to ask it.
Two nodes that enter each other compare leaf sets, so each finds whoever lies between them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from epost.foundation.codec import encode
from epost.foundation.ids import Id, NodeHandle
from epost.foundation.wire import Application
from epost.pastry.alarm import Alarm
from epost.pastry.config import BURIED_MAX
from epost.pastry.contacts import Contacts
from epost.pastry.leaf_set import LeafSet
from epost.pastry.messages import (
    FailureNotice,
    Heartbeat,
    LeafSetProbe,
    LeafSetReply,
    Ping,
    Pong,
    Standing,
)
from epost.pastry.observed import (
    NodeDisplaced,
    NodeFailed,
    NodeJoined,
    PacketRefused,
    SuspicionCleared,
)
from epost.pastry.prober import Probe, Prober, Reason
from epost.pastry.repair import LeafSetRepair
from epost.pastry.round_trips import RoundTrips
from epost.pastry.routing_table import RoutingTable, closest_to_slot
from epost.pastry.seen import Seen
from epost.pastry.surroundings import Surroundings
from epost.pastry.upkeep import TableUpkeep


class PeersListener(Protocol):
    """Who wants to know of changes."""

    def on_member(self, node: NodeHandle, joined: bool, now: float) -> None:
        """A node entered or left the leaf set."""

    def on_settled(self, node_id: bytes, now: float) -> None:
        """A suspicion ended, one way or the other."""


class Peers:
    """The other nodes as this one sees them."""

    TIMER = "watch"

    def __init__(
        self,
        around: Surroundings,
        listener: PeersListener,
    ) -> None:
        me, config, outbox = around.me, around.config, around.outbox
        self._me = me
        self._config = config
        self._outbox = outbox
        self._observer = around.observer
        self._listener = listener
        self.standing = Standing.FRESH
        self.leaf_set = LeafSet(me.id, config.leaf_set_size)
        self.round_trips = RoundTrips()
        self.table = RoutingTable(me.id, config.bits_per_digit, self.round_trips.is_nearer)
        self.constrained = RoutingTable(
            me.id, config.bits_per_digit, closest_to_slot(me.id, config.bits_per_digit)
        )
        self.contacts = Contacts(config.seek_seconds_min)
        self.prober = Prober(config, outbox, around.entropy, self._compose, self.round_trips)
        self._repair = LeafSetRepair(self.leaf_set, self.prober)
        self.upkeep = TableUpkeep(
            (self.table, self.constrained),
            self.leaf_set,
            self.prober,
            self.round_trips,
            around,
            self.heard_since,
        )
        self.confirmed: set[bytes] = set()
        self.changed_at = 0.0
        self._watch_alarm = Alarm(outbox, Application.PASTRY, self.TIMER)
        self._watched = b""
        self._watched_since = 0.0
        self._standings: dict[bytes, Standing] = {}
        self._heard: dict[bytes, float] = {}  # strangers are swept out at every beat
        self._exchanged: dict[bytes, float] = {}
        self._buried = Seen(BURIED_MAX)

    # What the others look like

    def standing_of(self, node_id: bytes) -> Standing:
        """Return what a leaf-set member last said of its standing."""
        return self._standings.get(node_id, Standing.FRESH)

    def is_usable(self, node_id: bytes) -> bool:
        """Tell whether a node is free of suspicion."""
        return not self.prober.is_suspected(node_id)

    @property
    def is_settling(self) -> bool:
        """Whether nodes that this one does not know yet may belong into its leaf set."""
        return self.leaf_set.lacks_members or self.prober.is_out_for(Reason.CANDIDATE)

    def covers(self, key: Id, size: int) -> bool:
        """Tell whether the closest live nodes to a key that are known here are the true ones."""
        if self.standing is not Standing.READY or (not self.leaf_set.is_full and self.is_settling):
            return False
        return self.leaf_set.covers(key, size)

    def get(self, node_id: bytes) -> NodeHandle | None:
        """Return the handle of a member or table entry, None of others."""
        for known in (self.leaf_set, self.table, self.constrained):
            if (node := known.get(node_id)) is not None:
                return node
        return None

    def heard_since(self, node_id: bytes, time: float) -> bool:
        """Tell whether a node spoke after a time."""
        return self._heard.get(node_id, time) > time

    # What arrives

    def heard_from(self, node: NodeHandle, now: float) -> bool:
        """Any message of a node proves that it lives; True if its addresses are new to us."""
        node_id = node.node_id
        self._heard[node_id] = now
        self._buried.forget(node_id)
        self.contacts.refresh(node)
        if self.prober.on_heard(node):
            self._observer.record(SuspicionCleared(self._me.id, node.id))
            self._listener.on_settled(node_id, now)
        if node_id in self.table:
            self.table.offer(node)
        if node_id in self.constrained:
            self.constrained.offer(node)
        return self.leaf_set.refresh(node) if node_id in self.leaf_set else False

    def met(self, node: NodeHandle, standing: Standing) -> None:
        """A node told its standing: members are noted, others may fill a hole of the table."""
        if node.node_id in self.leaf_set:
            self._standings[node.node_id] = standing
        if standing is Standing.READY:
            self.table.offer(node)
            self.constrained.offer(node)

    def on_heartbeat(self, sender: NodeHandle, standing: Standing, now: float) -> None:
        """The sender lives; if it errs in taking us for its predecessor, compare leaf sets."""
        node_id = sender.node_id
        is_news = self._standings.get(node_id) is not standing
        self.met(sender, standing)
        if node_id not in self.leaf_set:
            self.upkeep.on_hints(sender, (sender,), now, is_new=True)  # it may be nearer
            return
        if is_news or node_id == self._successor_id:
            return
        if now - self._exchanged[node_id] >= self._config.heartbeat_seconds:
            self.prober.probe(sender, Reason.ROUTINE, now)

    def on_ping(self, sender: NodeHandle, ping: Ping) -> None:
        """Answer that we live."""
        self._tell(sender, encode(Pong(ping.nonce, self.standing)))
        self.met(sender, ping.standing)

    def on_pong(self, sender: NodeHandle, pong: Pong, now: float) -> None:
        """A table entry, a candidate for one, or a lost contact lives."""
        self.prober.answered(sender.node_id, pong.nonce, now)
        self.met(sender, pong.standing)

    def on_leaf_set_probe(self, sender: NodeHandle, probe: LeafSetProbe, now: float) -> None:
        """Enter the asker, answer with our leaf set, look at its own."""
        self._enter(sender, probe.standing, now)
        self._tell(sender, encode(LeafSetReply(probe.nonce, self.standing, tuple(self.leaf_set))))
        self.consider(sender, probe.leaves, now)

    def on_leaf_set_reply(self, sender: NodeHandle, reply: LeafSetReply, now: float) -> None:
        """Enter a node that confirms us. An answer nobody waits for is only a sign of life."""
        probe = self.prober.answered(sender.node_id, reply.nonce, now)
        if probe is None:
            self.met(sender, reply.standing)
            return
        self._enter(sender, reply.standing, now)
        if sender.node_id in self.leaf_set:
            self.confirmed.add(sender.node_id)
        self.consider(sender, reply.leaves, now)
        if not self.leaf_set.lacks_members:
            return
        known = {sender.node_id, *(leaf.node_id for leaf in reply.leaves)}
        named = {leaf.node_id for leaf in reply.leaves if self._is_askable(sender, leaf, now)}
        if self._repair.takes_for_whole(probe, known, named):
            self.consider(sender, reply.leaves, now)

    def on_failure_notice(self, notice: FailureNotice, now: float) -> None:
        """Ask the members that others find silent; believe nothing."""
        just_now = now - self._config.probe_timeout_seconds
        for node_id in notice.failed:
            if node_id in self.leaf_set and not self.heard_since(node_id, just_now):
                self.suspect(node_id, Reason.TOLD, now)

    def on_leaving(self, sender: NodeHandle, now: float) -> None:
        """A node says good-bye: it is gone at once, and tells the others itself."""
        self._bury(sender.node_id, now)
        if self.prober.withdraw(sender.node_id):
            self._listener.on_settled(sender.node_id, now)
        self._give_up(sender, now, is_known=True)
        self._repair.on_lost(sender.node_id, now)

    def on_hints(self, sender: NodeHandle, nodes: Iterable[NodeHandle], now: float) -> None:
        """Look at nodes somebody names for the routing table."""
        nodes = [node for node in nodes if self._is_askable(sender, node, now)]
        is_new = self.standing is not Standing.READY
        self.upkeep.on_hints(sender, nodes, now, is_new=is_new)

    def consider(self, sender: NodeHandle, nodes: Iterable[NodeHandle], now: float) -> None:
        """Ask nodes that others have in their leaf sets and that would belong into ours."""
        # Most are members already, since neighbours have nearly the same leaf sets.
        strange = [n for n in nodes if n.node_id not in self.leaf_set]
        askable = {n.node_id: n for n in strange if self._is_askable(sender, n, now)}
        if not askable:
            return
        for node_id in sorted(self.leaf_set.missing_of(askable)):
            self.prober.probe(askable[node_id], Reason.CANDIDATE, now)

    # What time brings

    def suspect(self, node_id: bytes, reason: Reason, now: float) -> None:
        """Ask a member or table entry that was silent when it should have spoken."""
        node = self.get(node_id)
        if node is not None:
            self.prober.probe(node, reason, now)

    def on_beat(self, now: float) -> None:
        """Tell who watches us that we live, and compare leaf sets that are due."""
        predecessor = self.leaf_set.predecessor
        if predecessor is not None:
            self._tell(predecessor, encode(Heartbeat(self.standing)))
        self._exchange_due(now)
        self._repair.on_beat(now)
        self.upkeep.on_beat(now)
        self._forget_strangers()
        self._watch(now)

    def on_watch_timer(self, now: float) -> None:
        """Suspect the successor if it missed its heartbeats."""
        self._watch_alarm.rang()
        self._watch(now)

    def on_probe_timer(self, now: float) -> None:
        """Pass the verdict on those who used up their tries."""
        for probe in self.prober.take_silent(self.heard_since, now):
            self._on_silent(probe, now)

    def announce_standing(self) -> None:
        """Tell leaf set and table that our standing changed."""
        for node in self._known():
            self._tell(node, encode(Heartbeat(self.standing)))

    def start_over(self, now: float) -> None:
        """We were away: all we knew must be confirmed again, and nobody is to blame yet."""
        self.confirmed.clear()
        self.changed_at = now
        self.contacts.hurry(now)
        for node in self._known():
            self._heard[node.node_id] = now
        for probe in self.prober.clear():
            self._listener.on_settled(probe.node.node_id, now)

    # Changes

    def _known(self) -> Sequence[NodeHandle]:
        known = (*self.leaf_set, *self.table, *self.constrained)
        by_id = {node.node_id: node for node in known}
        return [by_id[node_id] for node_id in sorted(by_id)]

    @property
    def _successor_id(self) -> bytes:
        successor = self.leaf_set.successor
        return successor.node_id if successor else b""

    def _watch(self, now: float) -> None:
        """Each node is watched by its predecessor; a new successor is asked if long unheard."""
        node = self.leaf_set.successor
        if node is None:
            return
        if node.node_id != self._watched:
            self._watched, self._watched_since = node.node_id, now
        patience = self._config.suspect_after_seconds
        silent_at = self._heard.get(node.node_id, now) + patience
        if silent_at > now:
            self._watch_alarm.set_by(silent_at, now)
        elif now - self._watched_since >= patience:
            self.prober.probe(node, Reason.SUSPECTED, now)
        else:
            self.prober.probe(node, Reason.ROUTINE, now)

    def _exchange_due(self, now: float) -> None:
        """A leaf set is compared soon after it changed, seldom while it stays the same.

        Where it is full, the next one on each side knows of all who belong into it: they put
        right what a lost message left wrong, and the others can wait for a quiet period.
        """
        config, seldom = self._config, self._config.exchange_quiet_seconds
        soon = config.exchange_seconds * len(self.leaf_set) / config.leaf_set_size
        often = min(max(soon, now - self.changed_at), seldom)
        near = {node.node_id for node in self.leaf_set.neighbours()}
        for node in self.leaf_set:
            node_id = node.node_id
            is_near = node_id in near or not self.leaf_set.is_full
            if now - self._exchanged[node_id] >= (often if is_near else seldom):
                self.prober.probe(node, Reason.ROUTINE, now)

    def _enter(self, node: NodeHandle, standing: Standing, now: float) -> None:
        node_id = node.node_id
        if self.leaf_set.admits(node_id):
            displaced = self.leaf_set.add(node)
            self.contacts.remove(node_id)
            self.changed_at = now
            self._observer.record(NodeJoined(self._me.id, node.id))
            self._listener.on_member(node, True, now)
            if displaced is not None:
                self._forget_member(displaced.node_id)
                self._observer.record(NodeDisplaced(self._me.id, displaced.id))
                self._listener.on_member(displaced, False, now)
        if node_id in self.leaf_set:
            self._exchanged[node_id] = now
        self.met(node, standing)

    def _on_silent(self, probe: Probe, now: float) -> None:
        node_id = probe.node.node_id
        self._bury(node_id, now)
        self._give_up(probe.node, now, is_known=probe.reason is Reason.TOLD)
        self._repair.on_silent(probe, now)
        self._listener.on_settled(node_id, now)

    def _give_up(self, node: NodeHandle, now: float, *, is_known: bool) -> None:
        self.upkeep.on_failed(node.node_id, now)
        was_near = node.node_id in [n.node_id for n in self.leaf_set.neighbours(reach=2)]
        if self.leaf_set.remove(node.node_id) is None:
            return
        self._forget_member(node.node_id)
        self.contacts.add_silent(node, now)
        self.changed_at = now
        self._observer.record(NodeFailed(self._me.id, node.id))
        self._listener.on_member(node, False, now)
        # The nearest two on each side announce it in any case: so everybody concerned is told
        # at least twice, and a notice may be lost.
        if was_near or not is_known:
            # Of nodes that die in a row, those in the middle have nobody left near on one side who
            # could announce them: so each notice repeats who was lost lately.
            lost = self.contacts.lost_since(now - self._config.burial_seconds)
            notice = encode(FailureNotice(tuple(contact.node_id for contact in lost)))
            for member in self.leaf_set:
                self._tell(member, notice)
        self._watch(now)

    def _bury(self, node_id: bytes, now: float) -> None:
        self._buried.forget(node_id)
        self._buried.add(node_id, now)

    def _forget_member(self, node_id: bytes) -> None:
        self.confirmed.discard(node_id)
        self._standings.pop(node_id, None)
        self._exchanged.pop(node_id, None)

    def _forget_strangers(self) -> None:
        known = (self.leaf_set, self.table, self.constrained, self.prober)
        for node_id in self._heard.keys() - set().union(*(part.ids() for part in known)):
            del self._heard[node_id]

    def _is_askable(self, sender: NodeHandle, node: NodeHandle, now: float) -> bool:
        if node.ring != self._me.ring:
            self._observer.record(PacketRefused(self._me.id, sender.id, "a handle of another ring"))
            return False
        if node.node_id == self._me.node_id:
            return False
        age = self._buried.age(node.node_id, now)
        return age is None or age >= self._config.burial_seconds

    def _compose(self, reason: Reason, nonce: int) -> bytes:
        if reason is Reason.TABLE:
            return encode(Ping(nonce, self.standing))
        return encode(LeafSetProbe(nonce, self.standing, tuple(self.leaf_set)))

    def _tell(self, node: NodeHandle, packet: bytes) -> None:
        self._outbox.notify(node, Application.PASTRY, packet)
