"""The ports that an authority needs, and a machine that becomes a member's."""

from __future__ import annotations

from dataclasses import dataclass

from epost.crypto.sealing import HpkeSealing
from epost.daemon.world import SystemClock, SystemEntropy
from epost.foundation.ports import Clock, Entropy, Sealing


@dataclass(frozen=True, slots=True)
class World:
    """Time, randomness and sealing: real in the daemon."""

    clock: Clock
    entropy: Entropy
    sealing: Sealing


def system_world() -> World:
    """Return the real ones."""
    return World(SystemClock(), SystemEntropy(), HpkeSealing())
