"""In a calm ring every message reaches the root of its key; during churn, how many do not."""

from __future__ import annotations

from bisect import bisect_left, insort

from epost.foundation.ids import Id, NodeId, closeness
from epost.foundation.wire import Application
from epost.pastry.observed import BecameReady, CeasedReady, Delivered
from epost.simulation.host import Crashed, Stopped
from epost.simulation.invariants.violations import Findings, Invariant
from epost.simulation.office import Office
from epost.simulation.world import Observed


class Roots:
    """Knows every member that is ready, and so which one is the root of a key."""

    def __init__(self, office: Office, findings: Findings) -> None:
        self._world = office.world
        self._findings = findings
        self._ready: list[NodeId] = []
        self.is_calm = False
        """Whether a message at the wrong node is a violation by now, or only counted."""
        self.delivered = 0
        self.misdelivered = 0
        self.hops = 0
        self._world.trace.listen(self._on_event)

    def root(self, key: Id) -> NodeId:
        """Return the ready member closest to a key."""
        at = bisect_left(self._ready, key)
        nearest = (self._ready[at - 1], self._ready[at % len(self._ready)])
        return min(nearest, key=lambda node: closeness(key, node))

    def _on_event(self, observed: Observed) -> None:
        match observed.event:
            case Delivered():
                self._on_delivered(observed.event)
            case BecameReady(at):
                if at not in self._ready:
                    insort(self._ready, at)
            case CeasedReady(at):
                self._gone(at)
            case Crashed() | Stopped():
                self._gone(self._world.hosts[observed.node].me.id)
            case _:
                pass

    def _gone(self, node: NodeId) -> None:
        if node in self._ready:
            self._ready.remove(node)

    def _on_delivered(self, event: Delivered) -> None:
        if event.application is Application.PASTRY:
            return  # a joiner's own id: its root is whoever would be it without the joiner
        self.delivered += 1
        self.hops += event.hops
        if not self._ready or event.at == self.root(event.key):
            return
        self.misdelivered += 1
        if self.is_calm:
            text = f"{event.key[:4].hex()} was delivered at {event.at[:4].hex()}"
            self._findings.violated(Invariant.ROOTS_DELIVER, text)
