"""What PAST needs of the overlay (Pastry's common API, IPTPS 2003)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from epost.foundation.ids import Id, NodeHandle
from epost.foundation.wire import Application


class MemberView(Protocol):
    """A node of the leaf set, or one that was until it fell silent."""

    @property
    def node(self) -> NodeHandle:
        """Who."""
        ...

    @property
    def live(self) -> bool:
        """Whether it answers."""
        ...

    @property
    def absent_since(self) -> float | None:
        """Since when it does not, in monotonic seconds."""
        ...


class Overlay(Protocol):
    """The ring as PAST sees it."""

    @property
    def epoch(self) -> int:
        """How often this node became a member; a change means that it was away meanwhile."""
        ...

    def route(self, key: Id, application: Application, body: bytes) -> None:
        """Send to the root of a key, best effort."""

    def route_securely(
        self, key: Id, size: int, found: Callable[[Sequence[NodeHandle]], None]
    ) -> None:
        """Find the nodes closest to a key although some lie; `found` is called once."""

    def replica_set(self, key: Id, size: int) -> Sequence[NodeHandle]:
        """Return the live nodes closest to a key, closest first, this node included."""
        ...

    def round_trip(self, node: NodeHandle) -> float | None:
        """Return the round trip to a node in seconds, None if it was not measured lately."""
        ...

    def covers(self, key: Id, size: int) -> bool:
        """Is `replica_set(key, size)` the true one, or the whole ring?"""
        ...

    def members(self, now: float) -> Sequence[MemberView]:
        """Return the leaf set and the absent ones who would be in it."""
        ...
