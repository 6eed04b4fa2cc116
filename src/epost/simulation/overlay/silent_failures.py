"""A tenth of a ring falls silent at one moment (Middleware 2001, 3.4): hops before, at once, later.

Look-ups are asked at the moment of the failure, so they meet tables that nobody has repaired; hops
count nodes that took a message over, as published, not the tries at dead ones. What the repair
costs is the traffic beyond that of the same ring in quiet times.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from epost.foundation.wire import Application
from epost.pastry.messages import HopAck, Transit
from epost.simulation.overlay.figure import Progress
from epost.simulation.overlay.hops import leaf_sets_wrong, measure_hops, protocol_ring
from epost.simulation.overlay.protocol_ring import SEEK, ProtocolRing
from epost.simulation.overlay.statistics import Estimate

NOT_CONTROL = (Transit.__name__, HopAck.__name__, SEEK, Application.PAST.name)
"""What look-ups themselves send; and calls for those who are gone, which repair nothing."""


REPAIR_SECONDS = 60.0
"""Leaf sets are whole long before; what follows is the slow upkeep of tables."""

QUIET_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class SilentFailures:
    """Hops in the three states, and what it took to get to the last."""

    before: Estimate
    at_once: Estimate
    repaired: Estimate
    failed: int
    messages_by_kind: Mapping[str, float]
    """Per failed node, beyond what is sent in quiet times."""
    leaf_sets_wrong: int
    lost: int

    @property
    def rpcs_per_failed(self) -> float:
        """Questions with their answers: half of the messages."""
        return sum(self.messages_by_kind.values()) / 2


def silent_failures(
    size: int,
    lookups_each: int,
    seed: int,
    progress: Progress,
    *,
    part: float = 0.1,
    upkeep_seconds: float = 950.0,
) -> SilentFailures:
    """Run the experiment; the table upkeep of 900 s must fit into `upkeep_seconds`."""
    ring, lookups, counter = protocol_ring(size, seed)
    progress(f"{size} nodes have joined")
    before = measure_hops(ring, lookups, counter, lookups_each)
    progress(f"hops before: {before}")
    quiet = _control_sent_in(ring, QUIET_SECONDS)
    failing = ring.random.sample(ring.hosts, round(size * part))
    for host in failing:
        ring.crash(host)
    sent, began_at = ring.sent.copy(), ring.now
    at_once = measure_hops(ring, lookups, counter, lookups_each)
    progress(f"hops at once: {at_once}")
    ring.run(began_at + REPAIR_SECONDS - ring.now)
    spent = control_sent(ring, sent)
    usual = (1 - part) * REPAIR_SECONDS / QUIET_SECONDS
    excess = {kind: (n - usual * quiet[kind]) / len(failing) for kind, n in spent.items()}
    wrong = leaf_sets_wrong(ring)
    progress(f"after {REPAIR_SECONDS:g} s {wrong} leaf sets are wrong; messages {excess}")
    ring.run(upkeep_seconds - REPAIR_SECONDS)
    repaired = measure_hops(ring, lookups, counter, lookups_each)
    return SilentFailures(before, at_once, repaired, len(failing), excess, wrong, lookups.lost)


def control_sent(ring: ProtocolRing, before: Counter[str]) -> Counter[str]:
    """Return what was sent since `before` to keep the ring, not to carry look-ups."""
    return Counter({kind: n for kind, n in (ring.sent - before).items() if kind not in NOT_CONTROL})


def _control_sent_in(ring: ProtocolRing, seconds: float) -> Counter[str]:
    before = ring.sent.copy()
    ring.run(seconds)
    return control_sent(ring, before)
