"""Becoming a member, and finding a lost ring again.

A node is *ready*, and only then delivers, when every member of its leaf set has confirmed it and
one of them is ready (consistent join). Where all that can be found are former members like itself
(every daemon was killed, then restarted), the one with the smallest id among its leaf set
declares itself ready after a quiet time and the others follow: the ring's founders agree without
a vote, and should two of them declare in ignorance of each other, their rings merge.

A former member that finds nobody is not ready, however long it takes; only `org init` founds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from epost.foundation.codec import encode
from epost.foundation.ids import NodeHandle
from epost.foundation.wire import Application
from epost.pastry.alarm import Alarm
from epost.pastry.approach import Approach
from epost.pastry.config import (
    HEALING_FACTOR_MAX,
    SEEK_PAUSE_SECONDS,
    SEEKS_AT_ONCE_MAX,
)
from epost.pastry.messages import LeafSetReply, Ping, Standing
from epost.pastry.observed import BecameReady, CeasedReady
from epost.pastry.peers import Peers
from epost.pastry.prober import Reason
from epost.pastry.surroundings import Surroundings


class Join:
    """Leads one node from its contacts into the ring, again after each absence."""

    TIMER = "join"

    def __init__(
        self,
        around: Surroundings,
        peers: Peers,
        ask_way: Callable[[NodeHandle, float], None],
        on_ready: Callable[[bool, float], None],
    ) -> None:
        """`ask_way(contact, now)` routes a request for the leaf set of our own id's root.

        `on_ready(is_new, now)` hears whether this node never was a member before.
        """
        config, outbox = around.config, around.outbox
        self._me = around.me
        self._config = config
        self._outbox = outbox
        self._observer = around.observer
        self._peers = peers
        self._ask_way = ask_way
        self._on_ready = on_ready
        self._approach = Approach(config, outbox, peers.round_trips)
        self._alarm = Alarm(outbox, Application.PASTRY, self.TIMER)
        self._bootstrap: list[NodeHandle] | None = None
        self._asked_way_by = b""
        self._is_begun = False
        self._asked_way_at = -config.seek_seconds_min
        self._healed_at = -config.healing_seconds
        self._sought_at = -SEEK_PAUSE_SECONDS
        self.epoch = 0

    @property
    def is_ready(self) -> bool:
        """Whether this node may deliver."""
        return self._peers.standing is Standing.READY

    def resume(self, stored: Sequence[NodeHandle], now: float) -> None:
        """Start with the members of an earlier life, if there are any."""
        self._peers.changed_at = now
        self._peers.contacts.add_stored(self._of_our_ring(stored), now)
        if len(self._peers.contacts):
            self._peers.standing = Standing.RESUMING

    def join(self, bootstrap: Sequence[NodeHandle]) -> None:
        """Look for the ring from the next turn on."""
        self._bootstrap = [*(self._bootstrap or ()), *self._of_our_ring(bootstrap)]
        self._alarm.set_now()

    def stop(self) -> None:
        """Neither deliver nor look for the ring any more."""
        self._is_begun = False
        self._peers.standing = Standing.RESUMING

    def on_timer(self, now: float) -> None:
        """Ask the contacts that are due."""
        self._alarm.rang()
        self._begin(now)
        if self._is_begun:
            self._seek(now)
            self.advance(now)
            self.arm(now)

    def arm(self, now: float) -> None:
        """Have the timer ring when the next contact, or step of the approach, is due."""
        if self._approach.is_under_way:
            self._alarm.set_by(self._approach.deadline, now)
        due_at = self._peers.contacts.next_due_at(self._config.seek_seconds_max)
        if not self._is_begun or due_at is None:
            return
        if self._has_company:
            due_at = max(due_at, self._healed_at + self._healing_seconds)
        else:
            due_at = max(due_at, self._sought_at + SEEK_PAUSE_SECONDS)
        self._alarm.set_by(due_at, now)

    def on_met(self, node: NodeHandle, standing: Standing, now: float) -> None:
        """A node that is no member of our leaf set spoke: a way into its ring, or a neighbour."""
        if not self._is_begun or node.node_id in self._peers.leaf_set:
            return
        peers = self._peers
        if not self.is_ready and standing is Standing.READY:
            self._come_near(node, now)
            return
        if standing is not Standing.READY:
            peers.contacts.remove(node.node_id)  # it is back, and finds its way itself
        if node.node_id in peers.contacts or peers.leaf_set.admits(node.node_id):
            peers.prober.probe(node, Reason.CANDIDATE, now)

    def on_leaf_set(self, node: NodeHandle, reply: LeafSetReply, now: float) -> None:
        """A lost contact is back; if it is ready, perhaps with a ring that we do not know.

        Whose leaf set has one of ours in it is in our ring, and what it lacks the comparison finds.
        """
        peers = self._peers
        if not self.is_ready or node.node_id not in peers.contacts:
            return
        is_ours = any(leaf.node_id in peers.leaf_set for leaf in reply.leaves)
        if is_ours or reply.standing is not Standing.READY or self._ask_way_in_time(node, now):
            peers.contacts.remove(node.node_id)

    def on_beat(self, now: float) -> None:
        """Ask lost contacts that spoke of other things for their leaf sets."""
        if self.is_ready:
            for node in self._peers.contacts.take_heard():
                self._peers.prober.probe(node, Reason.CANDIDATE, now)

    def on_hints(self, sender: NodeHandle, nodes: Sequence[NodeHandle], now: float) -> None:
        """A member on the way named others, perhaps nearer ones."""
        self._approach.on_hints(sender, nodes, now)

    def advance(self, now: float) -> None:
        """Become ready as soon as that is allowed."""
        peers = self._peers
        self._approach.advance(now, self._ask_way)
        if self.is_ready or not self._is_begun or not len(peers.leaf_set):
            return
        unconfirmed = [n for n in peers.leaf_set if n.node_id not in peers.confirmed]
        for node in unconfirmed:
            peers.prober.probe(node, Reason.CANDIDATE, now)
        if unconfirmed:
            return
        if peers.is_settling and not self._has_passed(self._config.settle_seconds_max, now):
            return
        if any(peers.standing_of(n.node_id) is Standing.READY for n in peers.leaf_set):
            self._become_ready(now, founded=False)
        elif self._is_first_of_the_resuming() and self._has_passed(self._config.quiet_seconds, now):
            self._become_ready(now, founded=True)
        else:
            # Somebody may become ready, and its word of it get lost: ask again then.
            self._alarm.set_by(now + self._config.quiet_seconds, now)

    def start_over(self, away_seconds: float, now: float) -> None:
        """We slept: the others may have given us up, so nothing is ours until confirmed."""
        peers = self._peers
        if not len(peers.leaf_set) and not len(peers.contacts):
            return  # there never was anybody who could have given us up
        if self.is_ready:
            peers.standing = Standing.RESUMING
            self._observer.record(CeasedReady(self._me.id, away_seconds))
        peers.start_over(now)
        self.arm(now)
        self.advance(now)

    def _begin(self, now: float) -> None:
        if self._bootstrap is None:
            return
        contacts = self._peers.contacts
        contacts.add_bootstraps(self._bootstrap, now)
        self._bootstrap = None
        self._is_begun = True
        if self._config.is_first and not len(contacts) and not len(self._peers.leaf_set):
            self._become_ready(now, founded=True)

    def _seek(self, now: float) -> None:
        peers, config = self._peers, self._config
        if not self._has_company:
            if now < self._sought_at + SEEK_PAUSE_SECONDS:
                return
            self._sought_at = now
            due = peers.contacts.take_due(now, config.seek_seconds_max, SEEKS_AT_ONCE_MAX)
        elif now < self._healed_at + self._healing_seconds:
            return
        else:
            peers.contacts.expire(now - config.absence_kept_seconds)
            due = peers.contacts.take_due(now, config.seek_seconds_max, count_max=1)
            self._healed_at = now if due else self._healed_at
        ping = encode(Ping(0, peers.standing))
        for node in due:
            self._outbox.notify(node, Application.PASTRY, ping)
        if not self.is_ready:
            for node in peers.leaf_set:
                if peers.standing_of(node.node_id) is not Standing.READY:
                    peers.prober.probe(node, Reason.ROUTINE, now)

    def _come_near(self, contact: NodeHandle, now: float) -> None:
        """Newcomers look for a member nearby first; whoever was here before knows some."""
        if self._approach.is_under_way or now - self._asked_way_at < self._config.seek_seconds_min:
            return
        self._asked_way_at, self._asked_way_by = now, contact.node_id
        if self._peers.standing is Standing.FRESH and not len(self._peers.leaf_set):
            self._approach.begin(contact, now)
            self._alarm.set_by(self._approach.deadline, now)
        else:
            self._ask_way(contact, now)

    def _ask_way_in_time(self, contact: NodeHandle, now: float) -> bool:
        if now - self._asked_way_at < self._config.seek_seconds_min:
            return False
        self._asked_way_at = now
        self._ask_way(contact, now)
        return True

    def _become_ready(self, now: float, *, founded: bool) -> None:
        is_new = self._peers.standing is Standing.FRESH
        self._peers.standing = Standing.READY
        self.epoch += 1
        self._observer.record(BecameReady(self._me.id, founded))
        self._peers.contacts.remove(self._asked_way_by)
        self._peers.contacts.keep_near(self._peers.leaf_set.admits)
        self._peers.announce_standing()
        self._on_ready(is_new, now)

    def _is_first_of_the_resuming(self) -> bool:
        peers = self._peers
        return peers.standing is Standing.RESUMING and all(
            self._me.node_id < node.node_id
            for node in peers.leaf_set
            if peers.standing_of(node.node_id) is Standing.RESUMING
        )

    def _has_passed(self, seconds: float, now: float) -> bool:
        """Tell whether the leaf set stayed the same for so long; else look again then."""
        at = self._peers.changed_at + seconds
        if now < at:
            self._alarm.set_by(at, now)
        return now >= at

    @property
    def _healing_seconds(self) -> float:
        """In a larger ring more nodes look for a part that was cut off: each may wait longer."""
        crowd = self._peers.leaf_set.ring_size_estimate / self._config.leaf_set_size
        return self._config.healing_seconds * min(max(1.0, crowd), HEALING_FACTOR_MAX)

    @property
    def _has_company(self) -> bool:
        return self.is_ready and len(self._peers.leaf_set) > 0

    def _of_our_ring(self, nodes: Sequence[NodeHandle]) -> list[NodeHandle]:
        return [n for n in nodes if n.ring == self._me.ring and n.node_id != self._me.node_id]
