"""Asking nodes whether they live: bounded tries, then a verdict (MSPastry, DSN 2004).

Silence alone convicts nobody who was heard by other means while the probe was out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from enum import IntEnum

from epost.foundation.effects import Outbox
from epost.foundation.ids import NodeHandle
from epost.foundation.ports import Entropy
from epost.foundation.wire import Application
from epost.pastry.alarm import Alarm
from epost.pastry.config import PROBES_MAX, TABLE_PROBES_MAX, PastryConfig
from epost.pastry.round_trips import RoundTrips


class Reason(IntEnum):
    """Why a node is probed; a greater reason takes over a probe that is out already."""

    TABLE = 0
    """It may fill a hole of the routing table, or sits there unheard for long."""
    ROUTINE = 1
    """The periodic exchange with a leaf-set member, or the first one after it entered."""
    CANDIDATE = 2
    """Hearsay puts it into the leaf set."""
    REPAIR = 3
    """It may know who replaces a failed member."""
    TOLD = 4
    """A neighbour announces its failure."""
    SUSPECTED = 5
    """It was silent when it should have spoken."""


@dataclass(slots=True)
class Probe:
    """A question that is out; `began_at` is when the first try left.

    `tries` begins anew when the node is heard otherwise, `sendings` of one nonce do not.
    """

    node: NodeHandle
    reason: Reason
    nonce: int
    began_at: float
    deadline: float
    tries: int
    sendings: int = 0
    sent_at: float = 0.0

    @property
    def is_suspicious(self) -> bool:
        """Whether the node should get no messages that another can take."""
        return self.reason >= Reason.TOLD or self.tries > 1


class Prober:
    """The probes that are out, at most PROBES_MAX (members under suspicion come in addition)."""

    TIMER = "probes"

    def __init__(
        self,
        config: PastryConfig,
        outbox: Outbox,
        entropy: Entropy,
        compose: Callable[[Reason, int], bytes],
        round_trips: RoundTrips,
    ) -> None:
        """`compose(reason, nonce)` makes the packet; called again for each try."""
        self._config = config
        self._outbox = outbox
        self._compose = compose
        self._round_trips = round_trips
        self._alarm = Alarm(outbox, Application.PASTRY, self.TIMER)
        self._probes: dict[bytes, Probe] = {}
        self._nonce = int.from_bytes(entropy.token(4), "big")

    def ids(self) -> Set[bytes]:
        """Return whom a probe is out to."""
        return self._probes.keys()

    def get(self, node_id: bytes) -> Probe | None:
        """Return the probe that is out to a node, if any."""
        return self._probes.get(node_id)

    def is_suspected(self, node_id: bytes) -> bool:
        """Tell whether a node did not answer a first try, or is under suspicion."""
        probe = self._probes.get(node_id)
        return probe is not None and probe.is_suspicious

    def is_out_for(self, *reasons: Reason) -> bool:
        """Tell whether any probe is out for one of these reasons."""
        return any(probe.reason in reasons for probe in self._probes.values())

    def probe(self, node: NodeHandle, reason: Reason, now: float) -> None:
        """Ask a node, unless that is under way for a reason as good; drops beyond the bounds."""
        probe = self._probes.get(node.node_id)
        if probe is None:
            if self._has_room(reason):
                probe = Probe(node, reason, self._next_nonce(), now, 0.0, 0)
                self._probes[node.node_id] = probe
                self._send(probe, now)
        elif probe.reason < reason:
            was_ping = probe.reason is Reason.TABLE
            probe.reason = reason
            if was_ping:
                # A new nonce: the answer to the ping must not pass for one to this question.
                probe.nonce, probe.tries, probe.sendings = self._next_nonce(), 0, 0
                self._send(probe, now)

    def answered(self, node_id: bytes, nonce: int, now: float) -> Probe | None:
        """Take the probe that this answer ends; None if it is late or was not asked for."""
        probe = self._probes.get(node_id)
        if probe is None or probe.nonce != nonce:
            return None
        if probe.sendings == 1:
            self._round_trips.learn(node_id, now - probe.sent_at)
        return self._probes.pop(node_id)

    def on_heard(self, node: NodeHandle) -> bool:
        """A node spoke, so suspicion ends (the question stays); True if there was any."""
        probe = self._probes.get(node.node_id)
        if probe is None:
            return False
        probe.node = node  # perhaps it has moved: ask it where it is now
        if not probe.is_suspicious:
            return False
        if probe.reason >= Reason.TOLD:
            probe.reason = Reason.ROUTINE
        probe.tries = 1
        return True

    def withdraw(self, node_id: bytes) -> bool:
        """Stop asking a node; True if it was asked."""
        return self._probes.pop(node_id, None) is not None

    def clear(self) -> Sequence[Probe]:
        """Stop asking everybody; return the probes that were out."""
        probes = list(self._probes.values())
        self._probes.clear()
        return probes

    def take_silent(
        self, heard_since: Callable[[bytes, float], bool], now: float
    ) -> Sequence[Probe]:
        """Send what is to be retried; take and return the probes whose tries are used up.

        `heard_since(node_id, time)` spares a node that spoke meanwhile: it is asked afresh.
        """
        self._alarm.rang()
        silent = []
        for probe in [p for p in self._probes.values() if p.deadline <= now]:
            if probe.tries < self._tries_max(probe.reason):
                self._send(probe, now)
            elif heard_since(probe.node.node_id, probe.began_at):
                probe.tries, probe.began_at = 0, now
                self._send(probe, now)
            else:
                del self._probes[probe.node.node_id]
                silent.append(probe)
        for probe in self._probes.values():
            self._alarm.set_by(probe.deadline, now)
        return silent

    def _tries_max(self, reason: Reason) -> int:
        """One less where a mistake costs little, or a neighbour has used up all tries before."""
        is_lighter = reason in (Reason.TABLE, Reason.TOLD)
        return max(1, self._config.probe_tries - is_lighter)

    def _send(self, probe: Probe, now: float) -> None:
        probe.tries += 1
        probe.sendings += 1
        usual = self._config.probe_timeout_seconds
        # Never less than usual: a verdict of death needs its time, another way for a message not.
        patience = max(usual, self._round_trips.patience(probe.node.node_id, usual))
        probe.sent_at, probe.deadline = now, now + patience
        self._outbox.notify(
            probe.node, Application.PASTRY, self._compose(probe.reason, probe.nonce)
        )
        self._alarm.set_by(probe.deadline, now)

    def _has_room(self, reason: Reason) -> bool:
        if reason >= Reason.TOLD:
            return True
        out = len(self._probes)
        return out < (TABLE_PROBES_MAX if reason is Reason.TABLE else PROBES_MAX)

    def _next_nonce(self) -> int:
        self._nonce += 1
        return self._nonce
