"""What the block store of one node stands on; put together in one place, handed to its parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from epost.crypto.certificates import NodeRole, recall_node
from epost.crypto.signing import SigningKey
from epost.foundation.effects import Outbox
from epost.foundation.ids import Handle, NodeHandle
from epost.foundation.ports import Clock, Observer, Vault
from epost.past.config import PastConfig
from epost.past.overlay import Overlay
from epost.rings.issuers import Issuers


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The node that stores: its ports, its ring, its authority, its key."""

    me: NodeHandle
    overlay: Overlay
    vault: Vault
    outbox: Outbox
    issuers: Issuers
    clock: Clock
    observer: Observer
    node_key: SigningKey = field(repr=False)
    node_certificate: bytes = field(repr=False)
    config: PastConfig = PastConfig()  # noqa: RUF009 - a frozen value
    agreed_ms: Callable[[], int] | None = None
    """The wall time of most peers, where that is compared with the own."""
    may_copy: Callable[[], bool] = lambda: True
    """May blocks be fetched for the ring's sake now? (Not on battery, unless allowed.)"""

    def dating_ms(self) -> int:
        """Return the wall time to put on tickets: nobody takes one that is not of now (there)."""
        return self.clock.wall_ms() if self.agreed_ms is None else self.agreed_ms()

    def is_near(self, handle: Handle) -> bool:
        """Is it known here which nodes should have a block, stand-ins included?"""
        size = self.issuers.replication_factor() + self.config.stand_ins
        return self.overlay.covers(handle.place, size)

    def is_storage_node(self) -> bool:
        """Does the own certificate say that this node keeps blocks of others?"""
        node = recall_node(self.node_certificate)
        return bool(node.roles & NodeRole.STORAGE)

    @property
    def ring(self) -> bytes:
        """The ring whose blocks are stored."""
        return self.issuers.trust.ring
