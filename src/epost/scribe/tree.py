"""One group's tree as one node sees it: its parent, its children, the way to the root."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from epost.foundation.ids import Id, NodeHandle
from epost.scribe.config import CHILDREN_MAX


@dataclass(slots=True)
class Child:
    """A node that gets its news from us, until it stops asking."""

    node: NodeHandle
    expires_at: float
    permit: bytes = b""
    handed_over_at: float | None = None


@dataclass(slots=True)
class Tree:
    """Soft state: whatever is lost is found again by refreshing.

    A node seeks while it has no parent and is not the root. `path` is the way from the parent to
    the root as far as it is known, `tend_at` when to refresh or seek again, `tries` and `seeks`
    how often that was done in vain. `prospect` is a sibling that was asked to be the parent
    instead, `known_to_heirs` what a root's heirs were told last.
    """

    group: Id
    is_member: bool = False
    is_root: bool = False
    parent: NodeHandle | None = None
    path: tuple[bytes, ...] = ()
    tend_at: float = 0.0
    tries: int = 0
    seeks: int = 0
    permit: bytes = b""
    prospect: bytes = b""
    known_to_heirs: tuple[object, ...] = ()
    children: dict[bytes, Child] = field(default_factory=dict)

    @property
    def is_needed(self) -> bool:
        """Whether anybody here or below wants the news."""
        return self.is_member or bool(self.children)

    @property
    def is_seeking(self) -> bool:
        """Whether this node looks for its place in the tree."""
        return self.parent is None and not self.is_root

    def may_adopt(self, node_id: bytes) -> bool:
        """Tell whether a node may become a child: not if it is above us, nor beyond the limit."""
        if node_id in self.path:
            return False
        return node_id in self.children or len(self.children) < CHILDREN_MAX

    def adopt(self, node: NodeHandle, expires_at: float, permit: bytes = b"") -> None:
        """Take a child on, or keep it for longer."""
        child = self.children.get(node.node_id)
        if child is None:
            self.children[node.node_id] = Child(node, expires_at, permit)
        else:
            child.node, child.expires_at = node, expires_at
            child.permit = permit or child.permit

    def silent(self, now: float) -> Sequence[bytes]:
        """Return the children that do not refresh any more."""
        return [node_id for node_id, child in self.children.items() if child.expires_at < now]

    def offspring(self) -> Sequence[NodeHandle]:
        """Return the children by id."""
        return [self.children[node_id].node for node_id in sorted(self.children)]

    def relatives(self) -> Sequence[NodeHandle]:
        """Return whoever is next to us in the tree: the parent, if any, and the children."""
        return (*(() if self.parent is None else (self.parent,)), *self.offspring())

    def has_parent(self, node_id: bytes) -> bool:
        """Tell whether a node is the parent."""
        return self.parent is not None and self.parent.node_id == node_id

    def become_root(self) -> None:
        """There is nobody above us."""
        self.is_root, self.parent, self.path = True, None, ()
        self.tries = self.seeks = 0
        self.prospect = b""

    def become_child(self, parent: NodeHandle, path: tuple[bytes, ...]) -> None:
        """There is somebody above us."""
        self.is_root, self.parent, self.path = False, parent, path
        self.tries = self.seeks = 0
        self.prospect, self.known_to_heirs = b"", ()

    def become_orphan(self) -> None:
        """Seek from now on."""
        self.is_root, self.parent, self.path, self.tries = False, None, (), 0
        self.prospect, self.known_to_heirs = b"", ()
