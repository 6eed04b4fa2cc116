"""What `epost ring` tells: the leaf set, who can be reached, what is below k, what may be lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from epost.daemon.config import format_address
from epost.daemon.observability.loss_estimate import LossWatch
from epost.foundation.durations import DAY_SECONDS
from epost.foundation.ids import (
    DIGEST_BYTES,
    RING_SIZE,
    BlockKind,
    Handle,
    NodeId,
    clockwise_distance,
)
from epost.foundation.ports import Clock
from epost.node.assembly import Node
from epost.past.config import PastConfig
from epost.past.coverage import COMPARISONS_NEEDED
from epost.pastry.overlay import Member

SMALL_RING = COMPARISONS_NEEDED + 1
"""In rings of so many machines each needs all others to be sure that it missed nothing."""
LONG_ABSENCE_SECONDS = 7 * DAY_SECONDS
"""From then on somebody should ask where it is; the overlay forgets it after twice that time."""


class RingReport:
    """Reads a node's view of its ring; `watch` is to be called every minute or so."""

    def __init__(
        self,
        node: Node,
        clock: Clock,
        past: PastConfig,
        relay_to: Callable[[NodeId], NodeId | None] = lambda _: None,
    ) -> None:
        """`relay_to(node)` tells through whom a node is reached that no direct link leads to."""
        self._relay_to = relay_to
        self._node = node
        self._clock = clock
        self._past = past
        self._losses = LossWatch(past.repair_delay_seconds)

    def watch(self) -> None:
        """Note who is there, for the estimate."""
        now = self._clock.now()
        self._losses.sample(self._node.overlay.members(now), now)

    def overview(self) -> dict[str, Any]:
        """Return everything of interest about the ring."""
        node = self._node
        return {
            "node_id": node.me.node_id.hex(),
            "domain": node.issuers.trust.domain,
            "ready": node.overlay.is_ready,
            "enrolled": node.issuers.enrolled_storage_nodes(),
            "copies_wanted": node.issuers.replication_factor(),
            "leaf_set": [self._neighbour(member) for member in self._members()],
            "groups": len(node.scribe.children_by_group),
            "below_k": node.blocks.below_k(),
            "strays": node.replica.strays(),
            "catching_up": self.is_catching_up(),
            "loss": asdict(self.loss()),
            "advice": self.advice(),
        }

    def loss(self) -> Any:
        """Return the estimated probability of losing data, with what it rests on."""
        node = self._node
        copying = node.vault.counts().bytes / self._past.repair_bytes_per_second
        return self._losses.estimate(
            copies=node.issuers.replication_factor(),
            machines=node.issuers.enrolled_storage_nodes(),
            repair_seconds=self._past.repair_delay_seconds + copying,
        )

    def is_catching_up(self) -> bool:
        """May this node have missed something of its own part of the ring?"""
        near = bytes(self._node.me.node_id).ljust(DIGEST_BYTES, b"\0")
        return self._node.replica.is_catching_up(Handle(BlockKind.CONTENT, near))

    def advice(self) -> list[str]:
        """Return what the operator should know or do, empty if all is well."""
        node = self._node
        if not node.overlay.is_ready:
            return ["Not in the ring yet: is the network there, does any other machine run?"]
        absent = [member for member in self._members() if not member.live]
        enrolled = node.issuers.enrolled_storage_nodes()
        missing = enrolled - 1 - len(node.overlay.neighbours())
        if missing <= 0:
            return []  # who is away is revoked already
        if enrolled <= SMALL_RING:
            return [self._small_ring_advice(enrolled, missing, absent)]
        return [
            f"{_named([member])} has been away for {self._away(member)}. If it is gone for good, "
            "revoke it on the machine with the authority, unless that is done: "
            f"epost org revoke-node {member.node.node_id.hex()[:16]}"
            for member in absent
            if self._absence(member) > LONG_ABSENCE_SECONDS
        ]

    def _small_ring_advice(self, enrolled: int, missing: int, absent: Sequence[Member]) -> str:
        which = f" ({_named(absent)})" if absent else ""
        target = absent[0].node.node_id.hex()[:16] if len(absent) == 1 else "NAME-OR-ID"
        return (
            f"{missing} of {enrolled} enrolled machines cannot be reached{which}. In a ring this "
            "small everybody is needed to be sure that nothing was missed, so this machine goes on "
            "catching up until the other is back. If it is gone for good, revoke it on the machine "
            f"with the authority: epost org revoke-node {target}"
        )

    def _members(self) -> Sequence[Member]:
        """Return the leaf set as it lies clockwise from this node."""
        me = self._node.me.node_id
        members = self._node.overlay.members(self._clock.now())
        others = [member for member in members if member.node.node_id != me]
        return sorted(others, key=lambda m: clockwise_distance(me, m.node.node_id))

    def _neighbour(self, member: Member) -> dict[str, Any]:
        seconds = self._node.overlay.round_trip(member.node)
        relay = self._relay_to(member.node.id)
        distance = clockwise_distance(self._node.me.node_id, member.node.node_id)
        return {
            "node_id": member.node.node_id.hex(),
            "addresses": [format_address(address) for address in member.node.addresses],
            "side": "clockwise" if distance <= RING_SIZE // 2 else "counter-clockwise",
            "reachable": member.live,
            "through": "" if relay is None else relay.hex(),
            "round_trip_ms": None if seconds is None else round(seconds * 1000, 1),
            "absent_seconds": round(self._absence(member)),
        }

    def _absence(self, member: Member) -> float:
        if member.live or member.absent_since is None:
            return 0.0
        return self._clock.now() - member.absent_since

    def _away(self, member: Member) -> str:
        return f"{self._absence(member) / DAY_SECONDS:.0f} days"


def _named(members: Sequence[Member]) -> str:
    return ", ".join(member.node.node_id.hex()[:8] for member in members)
