"""What the overlay of one node stands on; put together in one place, handed to its parts."""

from __future__ import annotations

from dataclasses import dataclass

from epost.foundation.effects import Outbox
from epost.foundation.ids import NodeHandle
from epost.foundation.ports import Entropy, Observer
from epost.pastry.config import PastryConfig


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The node, its settings, and its ways to the world."""

    me: NodeHandle
    config: PastryConfig
    outbox: Outbox
    entropy: Entropy
    observer: Observer
