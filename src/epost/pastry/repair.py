"""Finding those who take the places of lost leaf-set members (Pastry 2.4).

A member half-way out on the side of the loss is asked for its leaf set, which reaches beyond ours.
It is asked again at every beat until the set is full, or known to hold the whole ring.
"""

from __future__ import annotations

from collections.abc import Set

from epost.pastry.leaf_set import LeafSet
from epost.pastry.prober import Probe, Prober, Reason


class LeafSetRepair:
    """Asks advisers; what they answer is Peers' to consider."""

    def __init__(self, leaf_set: LeafSet, prober: Prober) -> None:
        self._leaf_set = leaf_set
        self._prober = prober

    def on_beat(self, now: float) -> None:
        """Ask again while members are lacking and no question is out."""
        if not self._prober.is_out_for(Reason.CANDIDATE, Reason.REPAIR):
            self.on_lost(None, now)

    def on_lost(self, lost: bytes | None, now: float) -> None:
        """Ask who takes the place of a lost member, without `lost` of any that is lacking."""
        if self._leaf_set.lacks_members:
            self._ask(lost, now)

    def on_silent(self, probe: Probe, now: float) -> None:
        """Ask after a dead candidate too: while it seemed the nearest, nobody farther was asked."""
        was_candidate = probe.reason is Reason.CANDIDATE
        if self._leaf_set.lacks_members or (was_candidate and self._leaf_set.is_full):
            self._ask(probe.node.node_id, now)

    def takes_for_whole(self, probe: Probe, known: Set[bytes], named: Set[bytes]) -> bool:
        """Tell whether an answer shows a leaf set that lacks members to be (nearly) the ring.

        So it is if the sender knows all members (`known`: whom it named, and itself) and nobody
        else who may live (`named`). If an adviser knows others, but none on the side that lacks
        somebody, then the ring is hardly larger, and the others fill the set from behind.
        """
        if not self._leaf_set.lacks_members or self._prober.is_out_for(Reason.CANDIDATE):
            return False
        knows_others = probe.reason is Reason.REPAIR and not named <= self._leaf_set.ids()
        if not knows_others and not self._leaf_set.ids() <= known:
            return False
        self._leaf_set.close()
        return True

    def _ask(self, lost: bytes | None, now: float) -> None:
        adviser = self._leaf_set.adviser(lost)
        if adviser is not None:
            self._prober.probe(adviser, Reason.REPAIR, now)
