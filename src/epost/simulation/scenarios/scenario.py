"""What every scenario of `epost simulate` offers; `simulation.run` names them all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from epost.simulation.host import World
from epost.simulation.invariants.violations import Findings


class Scenario(Protocol):
    """One run: made from a seed and a defect inside the virtual loop, then run once."""

    world: World
    findings: Findings

    async def run(self, minutes: float) -> None:
        """Run to the end, or to the first violation or bug, which is raised."""

    def figures(self) -> Mapping[str, float]:
        """Return what happened so far, in numbers, by the words a report prints."""
        ...
