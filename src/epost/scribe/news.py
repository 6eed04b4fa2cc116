"""News on their way along the tree: each node passes them on once, and to its own members' ears."""

from __future__ import annotations

from typing import Protocol

from epost.foundation.errors import EpostError
from epost.foundation.ids import Id, NodeHandle
from epost.pastry.seen import Seen
from epost.scribe.config import SEEN_MAX
from epost.scribe.forest import Forest
from epost.scribe.messages import Multicast
from epost.scribe.observed import MulticastReceived, PublicationRefused
from epost.scribe.succession import Succession
from epost.scribe.surroundings import Surroundings


class GroupListener(Protocol):
    """Who gets the news of the groups this node is a member of."""

    def on_multicast(self, group: Id, body: bytes, now: float) -> None:
        """News came, once; in a group without signing publishers their truth is for the listener
        to check."""


class News:
    """Passes news on and hands them to the listeners."""

    def __init__(self, around: Surroundings, forest: Forest, succession: Succession) -> None:
        self._around = around
        self._forest = forest
        self._succession = succession
        self._listeners: list[GroupListener] = []
        self._seen = Seen(SEEN_MAX)

    def register(self, listener: GroupListener) -> None:
        """Add somebody who gets all news."""
        self._listeners.append(listener)

    def spread(self, news: Multicast, sender: NodeHandle | None, now: float) -> None:
        """Pass news on along the tree and to ourselves, the first time they come.

        News may begin below the top of the tree while the root changes, so they go upwards, too.
        """
        group = Id(news.group)
        if news.message in self._seen:
            return
        try:
            body = self._forest.terms.open_news(group, news.body)
        except EpostError as error:
            self._around.observer.record(PublicationRefused(self._around.me.id, group, str(error)))
            return
        self._seen.add(news.message, now)
        if sender is None:
            self._succession.tell_news(news)
        tree = self._forest.get(group)
        if tree is None:
            if sender is None:
                self._pass_to_former_root(news)
            return
        next_nodes = [n for n in tree.relatives() if sender is None or n.node_id != sender.node_id]
        for node in next_nodes:
            self._around.tell(node, news)
        self._around.observer.record(
            MulticastReceived(
                self._around.me.id, group, news.message, len(next_nodes), tree.is_member
            )
        )
        if tree.is_member:
            for listener in self._listeners:
                listener.on_multicast(group, body, now)

    def _pass_to_former_root(self, news: Multicast) -> None:
        """We have become root just now and nobody has joined here yet: the next closest node
        may still have the tree."""
        closest = self._around.overlay.replica_set(Id(news.group), 2)
        for node in closest:
            if node.node_id != self._around.me.node_id:
                self._around.tell(node, news)
