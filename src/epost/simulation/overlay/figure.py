"""One row of docs/figures.md: what was published, what is wanted, what came out.

Whether a target is met is always computed from the figure, never stored as the truth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from epost.simulation.overlay.statistics import Estimate

Progress = Callable[[str], None]
"""Where long work says how far it is."""


@dataclass(frozen=True, slots=True)
class Target:
    """The range in which a figure must lie; None leaves a side open."""

    at_least: float | None = None
    at_most: float | None = None

    @classmethod
    def within(cls, value: float, part: float) -> Target:
        """Return the range of a value, give or take a part of it."""
        return cls(value * (1 - part), value * (1 + part))

    def is_met_by(self, value: float) -> bool:
        """Tell whether a figure lies in the range."""
        return (self.at_least is None or value >= self.at_least) and (
            self.at_most is None or value <= self.at_most
        )

    def __str__(self) -> str:
        if self.at_least is not None and self.at_most is not None:
            return f"{self.at_least:.4g} to {self.at_most:.4g}"
        if self.at_most is not None:
            return f"<= {self.at_most:g}"
        return "reported" if self.at_least is None else f">= {self.at_least:g}"


REPORTED = Target()
"""A figure that is shown for comparison and has no bounds."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured figure; `trials` counts independent samples, `seconds` is its CPU time."""

    experiment: str
    n: int
    trials: int
    ours: Estimate
    target: Target = REPORTED
    published: str = "-"
    seeds: Sequence[int] = ()
    seconds: float = 0.0

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None if there is none."""
        return None if self.target == REPORTED else self.target.is_met_by(self.ours.value)

    def timed(self, seconds: float) -> Figure:
        """Return it with the run time of its experiment, in seconds of CPU."""
        return replace(self, seconds=seconds)

    def as_dict(self) -> dict[str, Any]:
        """Return it for docs/figures.json."""
        return {
            "experiment": self.experiment,
            "n": self.n,
            "trials": self.trials,
            "published": self.published,
            "ours": self.ours.value,
            "interval_95": [self.ours.low, self.ours.high],
            "target": {"at_least": self.target.at_least, "at_most": self.target.at_most},
            "met": self.met,
            "seeds": list(self.seeds),
            "seconds": round(self.seconds, 1),
        }

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> Figure:
        """Return the figure of a row of docs/figures.json; its `met` is not believed."""
        return cls(
            row["experiment"],
            row["n"],
            row["trials"],
            Estimate(row["ours"], *row["interval_95"]),
            Target(**row["target"]),
            row["published"],
            tuple(row["seeds"]),
            row["seconds"],
        )

    def row(self) -> str:
        """Return it as a row of a Markdown table."""
        verdict = {None: "", True: "yes", False: "**no**"}[self.met]
        cells = (
            self.experiment,
            f"{self.n:,}",
            f"{self.trials:,}",
            self.published,
            str(self.target),
            str(self.ours),
            verdict,
            ", ".join(map(str, self.seeds)),
            f"{self.seconds:.0f}",
        )
        return f"| {' | '.join(cells)} |"


HEADER = (
    "| experiment | N | trials | published | target | ours [95 %] | met | seeds | CPU s |\n"
    "|---|---|---|---|---|---|---|---|---|"
)
