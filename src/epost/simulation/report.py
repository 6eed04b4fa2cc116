"""What a run found, for people and for scripts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from epost.simulation.invariants.violations import Violation


@dataclass(frozen=True)
class Report:
    """The outcome of one run; `trace` is equal for equal runs, whatever the machine."""

    scenario: str
    seed: int
    minutes: float
    broken: str | None
    trace: str
    figures: Mapping[str, float]
    violations: Sequence[Violation] = ()
    last_events: Sequence[str] = field(default=(), repr=False)

    @property
    def held(self) -> bool:
        """Did every invariant hold?"""
        return not self.violations

    @property
    def command(self) -> str:
        """The command that does the same again."""
        broken = f" --break {self.broken}" if self.broken else ""
        return (
            f"epost simulate --scenario {self.scenario} --seed {self.seed}"
            f" --minutes {self.minutes:g}{broken}"
        )

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "scenario": self.scenario,
            "seed": self.seed,
            "minutes": self.minutes,
            "broken": self.broken,
            "held": self.held,
            "trace": self.trace,
            "figures": dict(self.figures),
            "violations": [
                {"invariant": v.invariant.title, "seconds": v.seconds, "text": v.text}
                for v in self.violations
            ],
            "command": self.command,
            "last_events": list(self.last_events),
        }

    def text(self) -> str:
        """Return it for people; a failure with the last events before it."""
        lines = [f"{self.scenario}, seed {self.seed}, {self.minutes:g} virtual minutes"]
        lines += [f"  {name:26} {_shown(value)}" for name, value in self.figures.items()]
        lines.append(f"  {'trace':26} {self.trace}")
        if self.held:
            return "\n".join([*lines, "Every invariant held."])
        lines.append(f"\nThe last {len(self.last_events)} events before the first violation:")
        lines += self.last_events
        lines.append("\nVIOLATED")
        lines += [f"  {violation}" for violation in self.violations]
        lines.append(f"\nSeed {self.seed}; to see it again:\n  {self.command}")
        return "\n".join(lines)


def _shown(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"
