"""How likely it is to lose data: a small model, and the observations that it rests on.

k copies of every block; a machine is lost for good at the rate L; a lost copy is made anew in T.
A block is lost if its other k-1 machines go while the first is not replaced. As a birth-death
process with repairs side by side that happens at the rate k * L * (L * T) ** (k - 1) per replica
set, and a ring of n machines has n replica sets of neighbours (one, if n <= k). The model takes
losses as independent: a fire or a bug that takes several machines at once is not in it.

L is what this node saw of its neighbours: those away for longer than repair_delay count as lost
(most come back, so this errs to the safe side), over the time that it watched them. A node that has
just started has seen nothing, so every estimate begins with one loss in three machine-years.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from epost.foundation.durations import DAY_SECONDS
from epost.foundation.ids import NodeId
from epost.pastry.overlay import Member

YEAR_SECONDS = 365.25 * DAY_SECONDS
PRIOR_LOSSES = 1.0
PRIOR_MACHINE_YEARS = 3.0
LOST_REMEMBERED_MAX = 1000


@dataclass(frozen=True, slots=True)
class LossEstimate:
    """The estimate with all its inputs."""

    copies: int
    machines: int
    losses_seen: int
    machine_years_watched: float
    losses_per_machine_year: float
    repair_seconds: float
    yearly_probability: float


def yearly_probability(
    *, copies: int, machines: int, losses_per_year: float, repair_seconds: float
) -> float:
    """Return the probability that anything in the ring is lost within a year."""
    replica_sets = machines if machines > copies else 1
    repair_years = repair_seconds / YEAR_SECONDS
    rate = copies * losses_per_year * (losses_per_year * repair_years) ** (copies - 1)
    return -math.expm1(-replica_sets * rate)


class LossWatch:
    """Counts how long the neighbours were watched and how many of them were lost."""

    def __init__(self, repair_delay_seconds: float) -> None:
        self._repair_delay_seconds = repair_delay_seconds
        self._sampled_at: float | None = None
        self._watched_seconds = 0.0
        self._lost: dict[NodeId, None] = {}
        self._losses_seen = 0

    def sample(self, members: Iterable[Member], now: float) -> None:
        """Look at the leaf set; call this often compared with repair_delay."""
        passed = 0.0 if self._sampled_at is None else now - self._sampled_at
        self._sampled_at = now
        for member in members:
            if member.live:
                self._watched_seconds += passed
                self._lost.pop(member.node.id, None)
            elif self._is_lost(member, now) and member.node.id not in self._lost:
                self._lost[member.node.id] = None
                self._losses_seen += 1
        while len(self._lost) > LOST_REMEMBERED_MAX:
            del self._lost[next(iter(self._lost))]

    def estimate(self, *, copies: int, machines: int, repair_seconds: float) -> LossEstimate:
        """Return the estimate for a ring; `repair_seconds` is from the loss to the new copy."""
        watched = self._watched_seconds / YEAR_SECONDS
        rate = (PRIOR_LOSSES + self._losses_seen) / (PRIOR_MACHINE_YEARS + watched)
        probability = yearly_probability(
            copies=copies, machines=machines, losses_per_year=rate, repair_seconds=repair_seconds
        )
        return LossEstimate(
            copies, machines, self._losses_seen, watched, rate, repair_seconds, probability
        )

    def _is_lost(self, member: Member, now: float) -> bool:
        since = member.absent_since
        return since is not None and now - since >= self._repair_delay_seconds
