"""The ports that an authority needs."""

from __future__ import annotations

from dataclasses import dataclass

from epost.foundation.ports import Clock, Entropy, Sealing


@dataclass(frozen=True, slots=True)
class World:
    """Time, randomness and sealing: real in the daemon."""

    clock: Clock
    entropy: Entropy
    sealing: Sealing
