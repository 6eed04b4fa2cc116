"""The ports that an authority needs, and a machine that becomes a member's."""

from __future__ import annotations

from dataclasses import dataclass

from epost.crypto.sealing import HpkeSealing
from epost.daemon.world import SystemClock, SystemEntropy
from epost.foundation.ports import Clock, Entropy, Sealing
from epost.post.accounts.devices import AccountKeys, Signing


@dataclass(frozen=True, slots=True)
class World:
    """Time, randomness and sealing: real in the daemon."""

    clock: Clock
    entropy: Entropy
    sealing: Sealing

    def signing(self, keys: AccountKeys) -> Signing:
        """Return what these keys sign a change of their account with, now."""
        return Signing(keys, self.clock.wall_ms(), self.sealing, self.entropy)


def system_world() -> World:
    """Return the real ones."""
    return World(SystemClock(), SystemEntropy(), HpkeSealing())
