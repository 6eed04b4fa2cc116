"""How far away nodes are in time, and how long to wait for them (TCP's estimator, RFC 6298).

Proximity neighbour selection and the timeouts rest on the same samples: acknowledgements of hops
and answers to probes that were sent once.
"""

from __future__ import annotations

from epost.pastry.config import ROUND_TRIPS_MAX

MEAN_GAIN = 1 / 8
DEVIATION_GAIN = 1 / 4
DEVIATIONS = 4
NEARER = 0.8
"""A node takes a slot from another only if it is nearer by a fifth: samples waver."""


class RoundTrips:
    """Smoothed round trips of the nodes measured last, at most ROUND_TRIPS_MAX."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[float, float]] = {}

    def learn(self, node_id: bytes, seconds: float) -> None:
        """Take a sample; only of what was sent once, else it may answer an earlier try."""
        known = self._known.pop(node_id, None)
        if known is None:
            mean, deviation = seconds, seconds / 2
        else:
            mean, deviation = known
            deviation += DEVIATION_GAIN * (abs(seconds - mean) - deviation)
            mean += MEAN_GAIN * (seconds - mean)
        self._known[node_id] = mean, deviation
        if len(self._known) > ROUND_TRIPS_MAX:
            del self._known[next(iter(self._known))]

    def of(self, node_id: bytes) -> float | None:
        """Return the round trip of a node in seconds, None if it was not measured."""
        known = self._known.get(node_id)
        return None if known is None else known[0]

    def patience(self, node_id: bytes, usual_seconds: float) -> float:
        """Return how long to wait for an answer: half of the usual time to four times of it."""
        known = self._known.get(node_id)
        if known is None:
            return usual_seconds
        mean, deviation = known
        return min(max(mean + DEVIATIONS * deviation, usual_seconds / 2), usual_seconds * 4)

    def is_nearer(self, candidate: int, entry: int) -> bool:
        """Prefer the nearer of two nodes (routing_table.Preference); unmeasured ones never win."""
        one, other = (self.of(node.to_bytes(20, "big")) for node in (candidate, entry))
        return one is not None and other is not None and one < NEARER * other
