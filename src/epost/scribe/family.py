"""Parents and children: who is adopted, on which path to the root, under which terms.

Each parent tells its path to the root, so that nobody adopts a node that is above it: a loop breaks
as soon as somebody sees itself in its parent's path.
"""

from __future__ import annotations

from typing import assert_never

from epost.foundation.errors import EpostError
from epost.foundation.ids import Id, NodeHandle
from epost.scribe.bottleneck import Bottleneck
from epost.scribe.config import PATH_MAX
from epost.scribe.forest import Forest
from epost.scribe.messages import (
    Adopted,
    Attach,
    Branch,
    Disowned,
    HandOver,
    LeaveGroups,
    Refresh,
    Terms,
)
from epost.scribe.observed import JoinRefused, LoopBroken, ParentFound, TermsChanged
from epost.scribe.surroundings import Surroundings
from epost.scribe.tree import Tree

FamilyPacket = Adopted | Refresh | Disowned | LeaveGroups | HandOver | Attach


class Family:
    """What one node says to its parents and children, and makes of what they say."""

    def __init__(self, around: Surroundings, forest: Forest) -> None:
        self._around = around
        self._forest = forest
        self._terms = forest.terms
        self._bottleneck = Bottleneck(around, forest)

    def on_packet(self, sender: NodeHandle, packet: FamilyPacket, now: float) -> None:
        """Take a packet of a parent, a child, or one of them to be."""
        match packet:
            case Adopted(branches):
                for branch in branches:
                    self._on_adopted(sender, branch, now)
            case Refresh():
                self._on_refresh(sender, packet, now)
            case Disowned(groups):
                for group in groups:
                    self._on_disowned(sender, Id(group), now)
            case LeaveGroups(groups):
                for group in groups:
                    self._on_leaving(sender, Id(group), now)
            case HandOver():
                self._on_hand_over(sender, packet)
            case Attach():
                self._on_attach(sender, packet, now)
            case _:
                assert_never(packet)

    # Who may be below us

    def may_join(self, group: Id, node: NodeHandle, permit: bytes) -> bool:
        """Tell whether a node is let in; if not, it is told the terms."""
        if self._terms.may_join(group, permit):
            return True
        self._around.observer.record(JoinRefused(self._around.me.id, group, node.id))
        self._disown(group, node)
        self._around.tell(node, self._terms.say(group))
        return False

    def adopt(self, group: Id, child: NodeHandle, permit: bytes, now: float) -> bool:
        """Take a child on and tell it so; False if it is above us, or there are too many."""
        tree = self._forest.adopt(group, child, permit, now)
        if tree is None:
            return False
        self._around.tell(child, Adopted((self._branch(tree),)))
        self._bottleneck.relieve(now)
        return True

    def become_root(self, tree: Tree, now: float) -> None:
        """There is nobody closer to the group than this node."""
        if not tree.is_root:
            self._forest.part_from_parent(tree)
            tree.become_root()
            self._forest.tend_later(tree, now)
            self._around.observer.record(ParentFound(self._around.me.id, tree.group, None))
            self._tell_path(tree)

    # What children say

    def _on_refresh(self, sender: NodeHandle, refresh: Refresh, now: float) -> None:
        """Keep children for longer; one that was forgotten is taken on again if it may be."""
        kept, lost = [], []
        for name in refresh.groups:
            tree = self._keep(Id(name), sender, now)
            if tree is None:
                lost.append(name)
            else:
                kept.append(self._branch(tree))
        if kept:
            self._around.tell(sender, Adopted(tuple(kept)))
        if lost:
            self._around.tell(sender, Disowned(tuple(lost)))
        self._bottleneck.relieve(now)

    def _keep(self, group: Id, child: NodeHandle, now: float) -> Tree | None:
        tree = self._forest.get(group)
        is_known = tree is not None and child.node_id in tree.children
        if not is_known and not self._terms.may_join(group, b""):
            return None  # it asks again, with its permit
        return self._forest.adopt(group, child, b"", now)

    def _on_leaving(self, sender: NodeHandle, group: Id, now: float) -> None:
        """A child has left."""
        tree = self._forest.get(group)
        if tree is None:
            return
        self._forest.part_from_child(tree, sender.node_id)
        if not tree.is_needed:
            self._forest.tend_at(tree, now, now)

    def _on_attach(self, sender: NodeHandle, attach: Attach, now: float) -> None:
        """A sibling was handed over to us."""
        group = Id(attach.group)
        if self._forest.get(group) is None:
            self._disown(group, sender)
            return
        if not self.may_join(group, sender, attach.permit):
            return
        if not self.adopt(group, sender, attach.permit, now):
            self._disown(group, sender)

    # What parents say

    def _on_adopted(self, sender: NodeHandle, branch: Branch, now: float) -> None:
        """Somebody is, or would be, our parent."""
        tree = self._forest.get(Id(branch.group))
        is_parent = tree is not None and tree.has_parent(sender.node_id)
        is_wanted = tree is not None and (tree.is_seeking or tree.prospect == sender.node_id)
        if tree is None or not (is_parent or is_wanted):
            self._around.tell(sender, LeaveGroups((branch.group,)))
        elif branch.path[:1] != (sender.node_id,):
            self._around.refuse(sender, "a path that does not begin at its sender")
        elif self._around.me.node_id in branch.path or len(branch.path) >= PATH_MAX:
            self._break_loop(tree, sender, now)
        else:
            self._accept_parent(tree, sender, branch, now)

    def _break_loop(self, tree: Tree, sender: NodeHandle, now: float) -> None:
        self._around.observer.record(LoopBroken(self._around.me.id, tree.group))
        self._around.tell(sender, LeaveGroups((tree.group,)))
        tree.prospect = b""
        if tree.parent is None or tree.has_parent(sender.node_id):
            tree.become_orphan()
            seconds = self._around.config.seek_seconds_min
            self._forest.tend_at(tree, now + seconds, now)

    def _accept_parent(self, tree: Tree, sender: NodeHandle, branch: Branch, now: float) -> None:
        is_new = not tree.has_parent(sender.node_id)
        if is_new:
            self._forest.part_from_parent(tree)
            self._around.observer.record(ParentFound(self._around.me.id, tree.group, sender.id))
        has_new_path = branch.path != tree.path
        tree.become_child(sender, branch.path)
        self._forest.tend_later(tree, now)
        if has_new_path:
            self._tell_path(tree)
        if branch.terms != self._terms.version(tree.group):
            self._around.tell(sender, self._terms.say(tree.group))  # the older one is corrected

    def _on_disowned(self, sender: NodeHandle, group: Id, now: float) -> None:
        """Our parent, or a sibling that we asked, does not want us."""
        tree = self._forest.get(group)
        if tree is None:
            return
        if tree.prospect == sender.node_id:
            tree.prospect = b""
        if tree.has_parent(sender.node_id):
            self._forest.lose_parent(tree, now)

    def _on_hand_over(self, sender: NodeHandle, request: HandOver) -> None:
        """Our parent has too many children: ask the nearest sibling; stay until it agrees."""
        tree = self._forest.get(Id(request.group))
        if tree is None or not tree.has_parent(sender.node_id):
            return
        below = {self._around.me.node_id, *tree.children}
        siblings = [node for node in request.siblings if node.node_id not in below]
        if siblings:
            sibling = self._bottleneck.nearest(siblings)
            tree.prospect = sibling.node_id
            self._around.tell(sibling, Attach(tree.group, self._forest.permit_of(tree)))

    # Terms

    def on_terms(self, sender: NodeHandle, terms: Terms, now: float) -> bool:
        """Take newer terms over and pass them on; tell newer ones to whoever has older ones.

        True if something changed.
        """
        group = Id(terms.group)
        if not terms.charter:
            self._correct(sender, terms)
            return False
        try:
            is_new = self._terms.learn(terms)
        except EpostError as error:
            self._around.refuse(sender, str(error))
            return False
        if is_new:
            version = self._terms.version(group)
            self._around.observer.record(TermsChanged(self._around.me.id, group, version))
            self._apply_terms(group, sender, now)
        else:
            self._correct(sender, terms)
        return is_new

    def _correct(self, sender: NodeHandle, theirs: Terms) -> None:
        ours = self._terms.say(Id(theirs.group))
        if ours.charter and ours.charter != theirs.charter:
            self._around.tell(sender, ours)

    def _apply_terms(self, group: Id, sender: NodeHandle, now: float) -> None:
        tree = self._forest.get(group)
        if tree is None:
            return
        for node_id in sorted(tree.children):
            child = tree.children[node_id]
            if not self.may_join(group, child.node, child.permit):
                self._forest.part_from_child(tree, node_id)
        me = self._around.me
        if tree.is_member and not self._terms.is_permit_of(group, me.node_id, tree.permit):
            tree.is_member = False
            self._around.observer.record(JoinRefused(me.id, group, me.id))
        for node in tree.relatives():
            if node.node_id != sender.node_id:
                self._around.tell(node, self._terms.say(group))
        self._forest.tend_at(tree, now, now)

    # Words

    def _disown(self, group: Id, node: NodeHandle) -> None:
        self._around.tell(node, Disowned((group,)))

    def _tell_path(self, tree: Tree) -> None:
        """Let the children know at once, so that loops are found at once."""
        news = Adopted((self._branch(tree),))
        for child in tree.offspring():
            self._around.tell(child, news)

    def _branch(self, tree: Tree) -> Branch:
        path = (self._around.me.node_id, *tree.path)[:PATH_MAX]
        return Branch(tree.group, path, self._terms.version(tree.group))
