"""What "acknowledged" means for one insertion or several (design 4)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Durability:
    """On how many distinct machines something is committed.

    `wanted` is min(k, enrolled storage nodes), so a partition cannot lower the promise silently.
    Ring-durable survives the loss of any `wanted` - 1 machines for ever; held locally survives a
    crash of this one.
    """

    acked: int
    wanted: int
    ring_durable: bool

    def combine(self, *others: Durability) -> Durability:
        """Return the durability of the whole: that of its weakest part."""
        parts = (self, *others)
        return Durability(
            min(part.acked for part in parts),
            max(part.wanted for part in parts),
            all(part.ring_durable for part in parts),
        )

    def suffices(self, wanted: int) -> bool:
        """Is it ring-durable by what is wanted now? A ring that has grown wants more machines."""
        return self.ring_durable and self.wanted >= wanted
