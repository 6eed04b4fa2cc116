"""Settings of the rings package; times in seconds."""

from __future__ import annotations

from dataclasses import dataclass

from epost.foundation.errors import ConfigError


@dataclass(frozen=True, slots=True)
class RingsConfig:
    """How news of the authority spreads."""

    # 100 bytes to one of the leaf set in turn. News are flooded when they come, and compared when a
    # link or a neighbour comes up; this finds what was lost nevertheless.
    gossip_seconds: float = 60.0
    # Policy until the first issuer block is seen: the paper's k, and enrolled nodes to match.
    replication_factor_default: int = 3

    def __post_init__(self) -> None:
        if self.gossip_seconds <= 0:
            raise ConfigError(f"rings.gossip_seconds must be positive, is {self.gossip_seconds}")
        if not 1 <= self.replication_factor_default <= 16:
            raise ConfigError("rings.replication_factor_default must be 1..16")
