"""Nodes come and go as in MSPastry's traces (DSN 2004) while look-ups are routed.

The number of members stays the same: whoever crashes, silently, is followed by another machine,
half of the time one that was a member before and returns with its id and contacts. Sessions are
exponential, or Weibull with the mean and median of the Gnutella trace.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random

from epost.foundation.wire import Application
from epost.pastry.messages import HopAck, Transit
from epost.simulation.overlay.figure import Progress
from epost.simulation.overlay.hops import protocol_ring
from epost.simulation.overlay.lookups import Lookups
from epost.simulation.overlay.protocol_ring import Host, ProtocolRing
from epost.simulation.overlay.statistics import Mean

SESSION_SECONDS_MEAN = 2.3 * 3600
WEIBULL_SHAPE = 0.67
WEIBULL_SCALE = SESSION_SECONDS_MEAN / 1.3224
"""Divided by gamma(1 + 1/shape): the mean is 2.3 h and the median 1 h."""

REPLACED_AFTER_SECONDS_MEAN = 10.0
SAMPLE_SECONDS = 60.0
PATIENCE_SECONDS = 25.0
"""After the end, for look-ups that are still asked again."""


def poisson(random: Random) -> float:
    """Return the length of a session without memory."""
    return random.expovariate(1 / SESSION_SECONDS_MEAN)


def weibull(random: Random) -> float:
    """Return the length of a session that is often short and sometimes very long."""
    return random.weibullvariate(WEIBULL_SCALE, WEIBULL_SHAPE)


CARRYING = (Transit.__name__, HopAck.__name__, Application.PAST.name)
"""What look-ups themselves send: one acknowledgement a hop, one answer."""

SESSIONS: dict[str, Callable[[Random], float]] = {"Poisson": poisson, "Weibull": weibull}


@dataclass(frozen=True, slots=True)
class ChurnOutcome:
    """What became of the look-ups, and what the ring cost per node and second."""

    lookups: Lookups
    crashes: int
    members_mean: float
    messages_per_node_second: Mapping[str, float]
    """By the kind of message."""

    @property
    def control(self) -> float:
        """Messages per node and second but for look-ups, their acknowledgements and answers."""
        kinds = self.messages_per_node_second.items()
        return sum(rate for kind, rate in kinds if kind not in CARRYING)


class Churn:
    """Ends sessions and begins others until a time."""

    def __init__(
        self, ring: ProtocolRing, session_seconds: Callable[[Random], float], until: float
    ) -> None:
        self.crashes = 0
        self._ring = ring
        self._session_seconds = session_seconds
        self._until = until
        self._absent: list[Host] = []
        for host in ring.hosts:
            self._plan_end(host)

    def _plan_end(self, host: Host) -> None:
        at = self._ring.now + self._session_seconds(self._ring.random)
        if at < self._until:
            self._ring.at(at, self._end, host)

    def _end(self, host: Host) -> None:
        random = self._ring.random
        self._ring.crash(host)
        self.crashes += 1
        pause = random.expovariate(1 / REPLACED_AFTER_SECONDS_MEAN)
        self._ring.at(self._ring.now + pause, self._replace)
        self._absent.append(host)

    def _replace(self) -> None:
        random, absent = self._ring.random, self._absent
        returns = random.random() < 0.5
        host = absent.pop(random.randrange(len(absent))) if returns else self._ring.add()
        self._ring.start(host, [self._ring.a_member()])
        self._plan_end(host)


def churn(
    size: int,
    lookups_per_second: float,
    seconds: float,
    session_seconds: Callable[[Random], float],
    seed: int,
    progress: Progress,
) -> ChurnOutcome:
    """Run the experiment on a ring that grew by joins and has settled."""
    departures = size * seconds / SESSION_SECONDS_MEAN
    ring, lookups, _ = protocol_ring(size, seed, machines=round(2 * (size + departures)) + 100)
    sent, until = ring.sent.copy(), ring.now + seconds
    changes = Churn(ring, session_seconds, until)
    lookups.ask_steadily(lookups_per_second, until)
    members = Mean()
    while ring.now < until:
        ring.run(min(SAMPLE_SECONDS, until - ring.now))
        members.add(len(ring.ready_ids))
        if members.count % 10 == 0:
            progress(
                f"{until - ring.now:.0f} s to go, {changes.crashes} crashes, {lookups.asked} asked"
            )
    node_seconds = members.value * seconds
    by_kind = {kind: count / node_seconds for kind, count in (ring.sent - sent).most_common()}
    ring.run(PATIENCE_SECONDS)
    return ChurnOutcome(
        lookups,
        changes.crashes,
        members.value,
        by_kind,
    )
