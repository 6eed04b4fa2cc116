"""The simulated twin of what a machine runs on: as a test or a scenario says."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class SimulatedPowerAndLink:
    """A machine whose charger and network are pulled out by assignment."""

    battery: bool = False
    metered: bool = False

    def on_battery(self) -> bool:
        """Is the charger pulled out?"""
        return self.battery

    def is_metered(self) -> bool:
        """Is the network paid by volume?"""
        return self.metered
