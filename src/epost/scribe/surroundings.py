"""What every part of the groups works with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from epost.foundation.codec import encode
from epost.foundation.effects import Outbox
from epost.foundation.ids import Id, NodeHandle
from epost.foundation.ports import Entropy, Observer
from epost.foundation.wire import Application
from epost.pastry.overlay import Overlay
from epost.scribe.config import ScribeConfig
from epost.scribe.messages import Packet
from epost.scribe.observed import GroupPacketRefused

Distance = Callable[[NodeHandle], float | None]
"""Returns how far away a node is in seconds, None if that is not known."""


def unknown_distance(_: NodeHandle) -> None:
    """Know no distances: any sibling is as good as another."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """One node's ring, settings and ports."""

    overlay: Overlay
    config: ScribeConfig
    outbox: Outbox
    entropy: Entropy
    observer: Observer
    distance: Distance = unknown_distance

    @property
    def me(self) -> NodeHandle:
        """This node."""
        return self.overlay.me

    def tell(self, node: NodeHandle, packet: Packet) -> None:
        """Send a packet to a node directly, best effort."""
        self.outbox.notify(node, Application.SCRIBE, encode(packet))

    def refuse(self, sender: NodeHandle, reason: str) -> None:
        """Note that a peer sent what it must not."""
        self.observer.record(GroupPacketRefused(self.me.id, sender.id, reason))

    def is_root_of(self, group: Id) -> bool:
        """Tell whether no node of the leaf set is closer to a group than this one."""
        return self.overlay.replica_set(group, 1)[0].node_id == self.me.node_id

    def draw(self, below: int) -> int:
        """Return a number in [0, below)."""
        return int.from_bytes(self.entropy.token(4), "big") % below
