"""Bottleneck removal (JSAC 2002, V-B): a node with too many children hands some to their siblings.

In the tree with most children the farthest one is asked to find a parent among the others. It stays
until one of them agrees, so that it misses nothing; a sibling with too many hands on in its turn.
"""

from __future__ import annotations

from collections.abc import Sequence

from epost.foundation.ids import NodeHandle
from epost.scribe.config import HAND_OVER_CHILDREN_MIN, SIBLINGS_MAX
from epost.scribe.forest import Forest
from epost.scribe.messages import HandOver
from epost.scribe.observed import ChildHandedOver
from epost.scribe.surroundings import Surroundings
from epost.scribe.tree import Child, Tree


class Bottleneck:
    """Watches over the number of children of one node."""

    def __init__(self, around: Surroundings, forest: Forest) -> None:
        self._around = around
        self._forest = forest

    def relieve(self, now: float) -> None:
        """Hand over as many children as there are too many and may be."""
        excess = self._forest.child_count - self._around.config.children_limit
        if excess <= 0:
            return
        large = [tree for tree in self._forest if len(tree.children) >= HAND_OVER_CHILDREN_MIN]
        for tree in sorted(large, key=lambda tree: -len(tree.children)):
            leaving = sum(self._is_leaving(child, now) for child in tree.children.values())
            excess -= leaving
            staying = len(tree.children) - leaving
            while excess > 0 and staying >= HAND_OVER_CHILDREN_MIN:
                self._hand_over(tree, now)
                excess, staying = excess - 1, staying - 1
            if excess <= 0:
                return

    def nearest(self, nodes: Sequence[NodeHandle]) -> NodeHandle:
        """Return the nearest of some nodes; any, if no distance is known."""
        known = [(d, n) for n in nodes if (d := self._around.distance(n)) is not None]
        return min(known)[1] if known else nodes[self._around.draw(len(nodes))]

    def _hand_over(self, tree: Tree, now: float) -> None:
        staying = [c for c in tree.children.values() if not self._is_leaving(c, now)]
        chosen = self._farthest(staying)
        chosen.handed_over_at = now
        siblings = [child.node for child in staying if child is not chosen]
        start = self._around.draw(len(siblings))
        offered = sorted((siblings[start:] + siblings[:start])[:SIBLINGS_MAX])
        self._around.tell(chosen.node, HandOver(tree.group, tuple(offered)))
        me = self._around.me.id
        self._around.observer.record(ChildHandedOver(me, tree.group, chosen.node.id))

    def _farthest(self, children: Sequence[Child]) -> Child:
        """Return the farthest child, if distances are known, else any."""
        known = [(d, c) for c in children if (d := self._around.distance(c.node)) is not None]
        if known:
            return max(known, key=lambda pair: (pair[0], pair[1].node.node_id))[1]
        return children[self._around.draw(len(children))]

    def _is_leaving(self, child: Child, now: float) -> bool:
        at = child.handed_over_at
        return at is not None and now - at < self._around.config.hand_over_seconds
