"""The trees a node takes part in, and what time does to them: refresh, seek, prune."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from epost.foundation.codec import encode
from epost.foundation.ids import Id, NodeHandle
from epost.foundation.wire import Application
from epost.pastry.alarm import Alarm
from epost.scribe.config import GROUPS_MAX, GROUPS_OF_CHILD_MAX, REFRESH_GROUPS_MAX
from epost.scribe.messages import JoinGroup, LeaveGroups, Refresh
from epost.scribe.observed import ParentLost
from epost.scribe.surroundings import Surroundings
from epost.scribe.terms import TermsBook
from epost.scribe.tree import Tree


class Forest:
    """At most GROUPS_MAX trees for others, and those of the own groups; each is tended when due."""

    TIMER = "tend"

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._config = around.config
        self._alarm = Alarm(around.outbox, Application.SCRIBE, self.TIMER)
        self._trees: dict[Id, Tree] = {}
        self._places: Counter[bytes] = Counter()
        """In how many trees each node is a child of this one."""
        self.terms = TermsBook(is_in_use=self._trees.__contains__)

    def __iter__(self) -> Iterator[Tree]:
        """All trees by group."""
        return iter([self._trees[group] for group in sorted(self._trees)])

    def get(self, group: Id) -> Tree | None:
        """Return a tree this node takes part in, None for other groups."""
        return self._trees.get(group)

    @property
    def child_count(self) -> int:
        """How many children this node has in all trees together."""
        return self._places.total()

    def plant(self, group: Id) -> Tree | None:
        """Return the tree of a group, new if need be; None beyond GROUPS_MAX."""
        tree = self._trees.get(group)
        if tree is None and len(self._trees) < GROUPS_MAX:
            tree = self._trees[group] = Tree(group)
        return tree

    def plant_own(self, group: Id) -> Tree | None:
        """Return the tree of a group that this node is to be a member of; None beyond GROUPS_MAX.

        What others have planted here takes no room from it.
        """
        tree = self._trees.get(group)
        if tree is None and sum(tree.is_member for tree in self._trees.values()) < GROUPS_MAX:
            tree = self._trees[group] = Tree(group)
        return tree

    def adopt(self, group: Id, child: NodeHandle, permit: bytes, now: float) -> Tree | None:
        """Enter a node as child, or keep it for longer; None if that may not be."""
        tree = self._trees.get(group)
        is_new = tree is None or child.node_id not in tree.children
        if is_new and self._places[child.node_id] >= GROUPS_OF_CHILD_MAX:
            return None
        tree = self.plant(group)
        if tree is None or not tree.may_adopt(child.node_id):
            return None
        if is_new:
            self._places[child.node_id] += 1
            if tree.is_root:
                tree.tend_at = min(tree.tend_at, now + self._config.heirs_seconds)
        tree.adopt(child, now + self._config.child_kept_seconds, permit)
        self._alarm.set_by(max(tree.tend_at, now), now)
        return tree

    def part_from_child(self, tree: Tree, node_id: bytes) -> None:
        """Forget a child; unknown ones are ignored."""
        if tree.children.pop(node_id, None) is None:
            return
        self._places[node_id] -= 1
        if not self._places[node_id]:
            del self._places[node_id]

    def tend_at(self, tree: Tree, at: float, now: float) -> None:
        """Tend a tree at another time."""
        tree.tend_at = at
        self._alarm.set_by(at, now)

    def tend_next(self, tree: Tree) -> None:
        """Tend a tree in the next turn."""
        tree.tend_at = 0.0
        self._alarm.set_now()

    def tend_later(self, tree: Tree, now: float) -> None:
        """Tend a tree after the usual time, spread by a quarter either way.

        So groups that were joined together need not be refreshed together.
        """
        spread = 0.75 + self._around.entropy.token(1)[0] / 512
        self.tend_at(tree, now + self._config.refresh_seconds * spread, now)

    def lose_parent(self, tree: Tree, now: float) -> None:
        """Look for another parent at once."""
        if tree.parent is not None:
            around = self._around
            around.observer.record(ParentLost(around.me.id, tree.group, tree.parent.id))
            tree.become_orphan()
            self.tend_at(tree, now, now)

    def part_from_parent(self, tree: Tree) -> None:
        """Tell the parent, if there is one, that it need not send any more."""
        if tree.parent is not None:
            self._around.tell(tree.parent, LeaveGroups((tree.group,)))

    def permit_of(self, tree: Tree) -> bytes:
        """Return what lets this node into a tree: its own permit, or that of a child below."""
        own = [tree.permit] if tree.is_member else []
        permits = own + [tree.children[node_id].permit for node_id in sorted(tree.children)]
        return next((p for p in permits if self.terms.may_join(tree.group, p)), b"")

    def on_timer(self, now: float) -> Sequence[Tree]:
        """Tend the trees that are due; return those of which this node is the root.

        One packet refreshes all that have the same parent.
        """
        self._alarm.rang()
        families: dict[bytes, list[Tree]] = {}
        tended = self._due(now)
        for tree in tended:
            self._tend(tree, now)
            if tree.parent is not None and tree.is_needed:
                families.setdefault(tree.parent.node_id, []).append(tree)
        for trees in families.values():
            self._refresh(trees)
        if self._trees:
            self._alarm.set_by(min(tree.tend_at for tree in self._trees.values()), now)
        return [tree for tree in tended if tree.is_root and tree.is_needed]

    def _due(self, now: float) -> Sequence[Tree]:
        """Return the trees whose time has come, and their siblings whose time comes soon."""
        parents = {t.parent.node_id for t in self if t.tend_at <= now and t.parent is not None}
        soon = now + self._config.refresh_seconds / 2

        def is_sibling(tree: Tree) -> bool:
            is_answered = tree.tries == 0
            return tree.parent is not None and tree.parent.node_id in parents and is_answered

        return [t for t in self if t.tend_at <= now or (t.tend_at <= soon and is_sibling(t))]

    def _tend(self, tree: Tree, now: float) -> None:
        """Prune, then see to it that somebody is above us; a root, that it still is one."""
        for node_id in tree.silent(now):
            self.part_from_child(tree, node_id)
        if not tree.is_needed:
            self.part_from_parent(tree)
            del self._trees[tree.group]
            return
        if tree.tries >= self._config.refresh_tries:
            self.lose_parent(tree, now)
        if tree.parent is not None:
            tree.tries += 1
            self.tend_at(tree, now + self._config.answer_timeout_seconds, now)
        elif tree.is_root and self._around.is_root_of(tree.group):
            self.tend_later(tree, now)
        else:
            self._seek(tree, now)

    def _seek(self, tree: Tree, now: float) -> None:
        tree.is_root = False
        pause = self._config.seek_seconds_min
        overlay = self._around.overlay
        if overlay.is_ready:
            pause = min(pause * 2 ** min(tree.seeks, 10), self._config.seek_seconds_max)
            tree.seeks += 1
            request = JoinGroup(self.permit_of(tree))
            overlay.route(tree.group, Application.SCRIBE, encode(request))
        self.tend_at(tree, now + pause, now)

    def _refresh(self, trees: Sequence[Tree]) -> None:
        parent = trees[0].parent
        assert parent is not None
        for start in range(0, len(trees), REFRESH_GROUPS_MAX):
            part = trees[start : start + REFRESH_GROUPS_MAX]
            self._around.tell(parent, Refresh(tuple(tree.group for tree in part)))
