"""When a node does without copying in the background: on battery, or on a metered link.

Insertions and reads of its own user, and what others ask of it, go on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class PowerAndLink(Protocol):
    """What the machine runs on. The daemon and the simulator have one each."""

    def on_battery(self) -> bool:
        """Does a battery run down?"""
        ...

    def is_metered(self) -> bool:
        """Is the network paid by volume?"""
        ...


class Mains:
    """A machine that always has power and a free link."""

    def on_battery(self) -> bool:
        """Never."""
        return False

    def is_metered(self) -> bool:
        """Never."""
        return False


@dataclass(frozen=True, slots=True)
class ThriftConfig:
    """What the operator allows all the same."""

    copies_on_battery: bool = False
    copies_when_metered: bool = False


class Thrift:
    """Judges whether copies may be fetched now."""

    def __init__(self, power: PowerAndLink, config: ThriftConfig) -> None:
        self._power = power
        self._config = config

    def may_copy(self) -> bool:
        """May blocks be fetched for the ring's sake?"""
        return not self.reason()

    def reason(self) -> str:
        """Return why not, for people; empty if they may."""
        if self._power.on_battery() and not self._config.copies_on_battery:
            return "on battery"
        if self._power.is_metered() and not self._config.copies_when_metered:
            return "the link is metered"
        return ""
