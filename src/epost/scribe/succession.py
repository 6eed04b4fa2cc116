"""The heirs of a root: the nodes next closest to the group know what it knows (JSAC 2002, III-D).

When a root dies, the heir that is closest then has the group's children and terms at once: news
that are published before the children have found it reach them all the same. Children stay with
the heir only if they ask for it; else they expire.
"""

from __future__ import annotations

from collections.abc import Sequence

from epost.foundation.ids import Id, NodeHandle, closeness
from epost.scribe.config import ESTATES_MAX, HEIR_CHILDREN_MAX, HEIRS
from epost.scribe.family import Family
from epost.scribe.forest import Forest
from epost.scribe.messages import Estate, Multicast
from epost.scribe.observed import EstateTaken
from epost.scribe.surroundings import Surroundings
from epost.scribe.tree import Tree


class Succession:
    """What this node tells its heirs, and what it would inherit."""

    def __init__(self, around: Surroundings, forest: Forest, family: Family) -> None:
        self._around = around
        self._forest = forest
        self._family = family
        self._estates: dict[Id, Sequence[NodeHandle]] = {}

    def tell_heirs(self, tree: Tree) -> None:
        """Bring the heirs of a group up to date; says nothing if nothing has changed."""
        heirs = self._heirs(tree.group)
        children = tuple(tree.offspring()[:HEIR_CHILDREN_MAX])
        version = self._forest.terms.version(tree.group)
        known = ([heir.node_id for heir in heirs], children, version)
        if tree.known_to_heirs == known:
            return
        tree.known_to_heirs = known
        for heir in heirs:
            self._around.tell(heir, Estate(tree.group, children))
        self.tell_terms(tree.group)

    def tell_terms(self, group: Id) -> None:
        """Let the heirs know the charter, if the group has one."""
        if self._forest.terms.version(group):
            for heir in self._heirs(group):
                self._around.tell(heir, self._forest.terms.say(group))

    def tell_news(self, news: Multicast) -> None:
        """Let the heirs see signed news go by, so that a new root does not repeat them."""
        if self._forest.terms.version(Id(news.group)):
            for heir in self._heirs(Id(news.group)):
                self._around.tell(heir, news)

    def is_near(self, group: Id, node: NodeHandle) -> bool:
        """Tell whether this node and another both are among a group's root and heirs."""
        near = [n.node_id for n in self._around.overlay.replica_set(group, HEIRS + 1)]
        return self._around.me.node_id in near and node.node_id in near

    def on_estate(self, sender: NodeHandle, estate: Estate) -> None:
        """Remember what a root nearby would leave."""
        group = Id(estate.group)
        if not self.is_near(group, sender):
            self._around.refuse(sender, "an estate of somebody far away")
            return
        self._estates.pop(group, None)
        if estate.children:
            self._estates[group] = estate.children
            if len(self._estates) > ESTATES_MAX:
                del self._estates[next(iter(self._estates))]

    def take_over(self, lost: NodeHandle, now: float) -> None:
        """A neighbour is gone: stand in for it where this node is the closest now."""
        me = self._around.me.node_id
        for group in sorted(self._estates):
            was_closer = closeness(group, lost.node_id) < closeness(group, me)
            if was_closer and self._around.is_root_of(group):
                self._inherit(group, self._estates.pop(group), now)

    def _inherit(self, group: Id, children: Sequence[NodeHandle], now: float) -> None:
        tree = self._forest.plant(group)
        if tree is None or tree.is_root:
            return
        self._family.become_root(tree, now)
        others = [child for child in children if child.node_id != self._around.me.node_id]
        for child in others:
            self._forest.adopt(group, child, b"", now)
        self._around.observer.record(EstateTaken(self._around.me.id, group, len(others)))

    def _heirs(self, group: Id) -> Sequence[NodeHandle]:
        near = self._around.overlay.replica_set(group, HEIRS + 1)
        return [node for node in near if node.node_id != self._around.me.node_id][:HEIRS]
