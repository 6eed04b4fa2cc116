"""Who counts as a member when replicas are placed, now (design 4: desktops sleep).

A node that has been absent for less than repair_delay still counts: its replicas are not copied
elsewhere yet, and what others keep in its place they keep as stand-ins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from epost.foundation.ids import NodeHandle, NodeId, closeness
from epost.past.arcs import Arc, replica_arc
from epost.past.config import PastConfig
from epost.past.observed import CopyingPaused
from epost.past.overlay import MemberView
from epost.past.surroundings import Surroundings


@dataclass(frozen=True)
class RingView:
    """The nodes that count, this one included, and the live ones of the others."""

    me: NodeId
    k: int
    counted: tuple[NodeId, ...]
    """Sorted by id."""
    live: tuple[NodeHandle, ...]
    """Sorted by id, without this node."""
    own_arc: Arc

    def arc(self, node_id: NodeId) -> Arc:
        """Return the keys of a counted node."""
        return replica_arc(node_id, self.counted, self.k)

    def replicas(self, place: bytes) -> list[NodeId]:
        """Return the k counted nodes closest to a place, closest first."""
        return sorted(self.counted, key=lambda node: closeness(place, node))[: self.k]

    def absent_replica(self, place: bytes) -> bytes:
        """Return the closest of the k that is absent, empty if all live."""
        live = {node.node_id for node in self.live} | {self.me}
        return next((node for node in self.replicas(place) if node not in live), b"")


class Membership:
    """Keeps the view up to date."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._is_paused = False
        k = around.issuers.replication_factor()
        self.view = view_of(around.me.id, (), k, 0.0, around.config)

    def refresh(self, now: float) -> bool:
        """Look at the overlay again; return whether the view changed."""
        around = self._around
        config, issuers = around.config, around.issuers
        members = around.overlay.members(now)
        is_paused = is_mass_absence(members, issuers.enrolled_storage_nodes(), now, config)
        if is_paused is not self._is_paused:
            self._is_paused = is_paused
            around.observer.record(CopyingPaused(is_paused))
        if is_paused:
            config = replace(config, repair_delay_seconds=float("inf"))
        before = self.view
        self.view = view_of(around.me.id, members, issuers.replication_factor(), now, config)
        return self.view != before


def view_of(
    me: NodeId, members: Sequence[MemberView], k: int, now: float, config: PastConfig
) -> RingView:
    """Judge the members of the leaf set; `me` may or may not be among them."""
    others = [m for m in members if m.node.node_id != me]
    counted = {m.node.id for m in others if m.live or not _is_lost(m, now, config)} | {me}
    live = sorted((m.node for m in others if m.live), key=lambda node: node.node_id)
    ring = tuple(sorted(counted))
    return RingView(me, k, ring, tuple(live), replica_arc(me, ring, k))


def is_mass_absence(
    members: Sequence[MemberView], enrolled: int, now: float, config: PastConfig
) -> bool:
    """Has so much of the leaf set vanished at once that copying would only make it worse?"""
    if enrolled <= config.mass_absence_ring_min:
        return False
    recent = sum(1 for m in members if _absence(m, now) < config.mass_absence_seconds)
    return recent > config.mass_absence_part * len(members)


def _is_lost(member: MemberView, now: float, config: PastConfig) -> bool:
    return member.absent_since is None or _absence(member, now) >= config.repair_delay_seconds


def _absence(member: MemberView, now: float) -> float:
    if member.live or member.absent_since is None:
        return float("inf")
    return now - member.absent_since
