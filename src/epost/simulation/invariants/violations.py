"""What must hold in every run, and what is kept when something does not."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from epost.simulation.host import World
from epost.simulation.world import Observed

VIOLATIONS_KEPT = 20


class Invariant(Enum):
    """The promises that a run checks; the value is the sentence a report prints."""

    BLOCKS_STAY = "no ring-durable block is lost"
    MAILS_ARRIVE = "every acknowledged mail arrives once, octet for octet, and stays deleted"
    ROOTS_DELIVER = "in a calm ring every message reaches the root of its key"
    NEWEST_WINS = "nobody is given an older version than one seen, or ring-durable, before"
    DURABLE_FIRST = "nothing acknowledged disappears in a crash"
    NOTICES_WAIT = "a pending notice goes only for a receipt signed by its recipient"
    ONLY_AUTHENTIC = "nobody is given, and no replica keeps, what nobody inserted"
    NEVER_BACK = "no replica replaces a block by an older version of it"
    SETS_COMPLETE = "once nothing fails any more, every replica set becomes complete"
    COPYING_CAPPED = "no node is given blocks faster than it asks for"
    DELEGATES_DELIVER = (
        "a notice that an honest machine keeps is delivered while its sender is away"
    )
    DEVICES_AGREE = "in the end all machines of a user show the same mails and flags"
    NO_BUGS = "no assumption of the code is broken"

    @property
    def title(self) -> str:
        """The name on the command line and in reports."""
        return self.name.lower().replace("_", "-")


@dataclass(frozen=True, slots=True)
class Violation:
    """One invariant that did not hold, when, and what was seen."""

    invariant: Invariant
    seconds: float
    text: str

    def __str__(self) -> str:
        return f"{self.invariant.title}: {self.text} (at {self.seconds:.3f} s)"


class Violated(AssertionError):  # noqa: N818 - it is a finding, not an error
    """Ends a run at the first violation."""


class Findings:
    """Collects violations; the first ends the run and keeps the events before it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.violations: list[Violation] = []
        self.last_events: Sequence[Observed] = ()

    def violated(self, invariant: Invariant, text: str) -> None:
        """Note that an invariant did not hold."""
        if not self.violations:
            self.last_events = tuple(self._world.trace.last)
        if len(self.violations) < VIOLATIONS_KEPT:
            seconds = asyncio.get_running_loop().time()
            self.violations.append(Violation(invariant, seconds, text))
        self._world.bugs.append(Violated(text))
