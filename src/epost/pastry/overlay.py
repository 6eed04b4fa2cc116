"""What applications see of the overlay: the field's common API (IPTPS 2003), as Protocols."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from epost.foundation.ids import Id, NodeHandle, NodeId
from epost.foundation.wire import Application


class Member(msgspec.Struct, frozen=True):
    """A node of the leaf set, or one that was until it fell silent.

    `absent_since` is monotonic seconds, None while the node lives.
    """

    node: NodeHandle
    live: bool
    absent_since: float | None


class OverlayApplication(Protocol):
    """An application on the overlay; called in the turn of the event, must not wait."""

    def deliver(self, key: Id, origin: NodeHandle, body: bytes, now: float) -> None:
        """A routed message reached the root of its key: this node.

        `origin` is what the previous hop says, and proven only if it came in one hop.
        """

    def forward(
        self, key: Id, origin: NodeHandle, body: bytes, next_hop: NodeHandle, now: float
    ) -> bool:
        """A routed message is about to leave for `next_hop`; False stops it here."""
        ...

    def update(self, node: NodeHandle, joined: bool, now: float) -> None:
        """A node entered the leaf set, or left it (failed, or displaced by a nearer one)."""


class Overlay(Protocol):
    """The ring as an application uses it."""

    @property
    def me(self) -> NodeHandle:
        """This node."""
        ...

    @property
    def is_ready(self) -> bool:
        """Whether this node is a member: may answer for its keys."""
        ...

    @property
    def epoch(self) -> int:
        """How often this node became ready; a change means that it was away meanwhile."""
        ...

    def register(self, application: Application, upcalls: OverlayApplication) -> None:
        """Name who gets the upcalls of an application; once each, before the start."""

    def route(self, key: Id, application: Application, body: bytes) -> None:
        """Send to the root of a key, best effort; waits for readiness up to hold_seconds."""

    def route_securely(
        self, key: Id, size: int, found: Callable[[Sequence[NodeHandle]], None]
    ) -> None:
        """Find the nodes closest to a key although some lie, closest first.

        `found` is called once, perhaps at once, with nobody if none could be proven.
        """

    def replica_set(self, key: Id, size: int) -> Sequence[NodeHandle]:
        """Return the live nodes closest to a key that this node knows, itself included."""
        ...

    def covers(self, key: Id, size: int) -> bool:
        """Tell whether `replica_set(key, size)` is the true one (or the whole ring)."""
        ...

    def neighbours(self) -> Sequence[NodeHandle]:
        """Return the live leaf set without this node, sorted by id."""
        ...

    def members(self, now: float) -> Sequence[Member]:
        """Return the leaf set and those absent who would be in it, sorted by id."""
        ...

    def arc(self, node_id: NodeId, k: int, now: float) -> tuple[Id, Id]:
        """Return the keys (start, end] for which a node is among the k closest live ones.

        start == end is the whole ring. Nodes beyond the leaf set are not known, so the arcs of
        its outermost members come out too small.
        """
        ...
