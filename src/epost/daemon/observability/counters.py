"""Counts the typed events of all packages for `/metrics`, and measures some of them.

Every event of every package's `observed` module is counted under its name, from 0, without anybody
having to think of it. Labels are names of our own types: never ids, names of people, or addresses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import is_dataclass
from types import ModuleType
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram

from epost.apps.mail import observed as mail
from epost.daemon.authority.publishing import LogNotPublished
from epost.daemon.enrolment.listener import EnrolmentRefused
from epost.daemon.ring_word import CertifiedLogForked
from epost.daemon.tls import observed as links
from epost.node import observed as node
from epost.past import observed as past
from epost.pastry import observed as pastry
from epost.post import observed as post
from epost.rings import observed as rings
from epost.scribe import observed as scribe

MODULES: dict[str, ModuleType] = {
    "mail": mail,
    "links": links,
    "node": node,
    "past": past,
    "pastry": pastry,
    "post": post,
    "rings": rings,
    "scribe": scribe,
}
OF_THE_DAEMON = (CertifiedLogForked, EnrolmentRefused, LogNotPublished)
"""Events of the daemon's own, which has no module for them."""
ROUTE_HOPS = (0, 1, 2, 3, 4, 5, 6, 8, 12, 16)
JOIN_SECONDS = (0.25, 0.5, 1, 2, 5, 10, 30, 60, 300)
CALL_SECONDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
FAN_OUT = (0, 1, 2, 4, 8, 16, 32, 64, 128)
VISITS = (1, 2, 4, 8, 16, 32, 64)


def events_of(module: ModuleType) -> Iterator[type]:
    """Return the event types that a package's `observed` module defines."""
    for value in vars(module).values():
        if isinstance(value, type) and is_dataclass(value) and value.__module__ == module.__name__:
            yield value


def counted_events() -> Iterator[tuple[str, type]]:
    """Return every event type that is counted, with the name of its package."""
    for part, module in MODULES.items():
        for kind in events_of(module):
            yield part, kind
    for kind in OF_THE_DAEMON:
        yield "daemon", kind


class EventCounters:
    """What happened since the daemon started, in a Prometheus registry."""

    def __init__(self, registry: CollectorRegistry, clock: Callable[[], float]) -> None:
        """`clock` returns monotonic seconds."""
        self._clock = clock
        self._unready_since: float | None = clock()
        events = Counter(
            "epost_events", "Events by package and type", ["part", "event"], registry=registry
        )
        self._counters = {
            kind: events.labels(part, kind.__name__) for part, kind in counted_events()
        }
        self._make_measures(registry)
        self._measures: dict[type, Callable[[Any], None]] = {
            node.CallAnswered: self._on_answered,
            pastry.Delivered: self._on_delivered,
            pastry.BecameReady: self._on_ready,
            pastry.CeasedReady: self._on_ceased,
            past.BlockStored: self._on_stored,
            scribe.MulticastReceived: self._on_multicast,
            scribe.AnycastEnded: self._on_anycast,
            links.RelayEnded: self._on_relayed,
        }

    def count(self, event: object) -> None:
        """Take note of an event; of a type that no `observed` module defines, not."""
        kind = type(event)
        counter = self._counters.get(kind)
        if counter is None:
            return
        counter.inc()
        measure = self._measures.get(kind)
        if measure is not None:
            measure(event)

    def _make_measures(self, registry: CollectorRegistry) -> None:
        def histogram(name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(name, text, buckets=buckets, registry=registry)

        self._hops = histogram(
            "epost_route_hops", "Hops of messages that ended at this node", ROUTE_HOPS
        )
        self._join = histogram(
            "epost_join_seconds", "Time until this node was a member (again)", JOIN_SECONDS
        )
        self._calls = histogram(
            "epost_call_seconds",
            "Time until others answered, over all hops and tries",
            CALL_SECONDS,
        )
        self._fan_out = histogram(
            "epost_group_fan_out", "Nodes to which news of a group were passed on", FAN_OUT
        )
        self._visits = histogram(
            "epost_anycast_visits", "Nodes asked until an anycast ended here", VISITS
        )
        stored = Counter(
            "epost_stored_bytes",
            "Bytes of blocks accepted from others, by why they came",
            ["why"],
            registry=registry,
        )
        self._repaired, self._inserted = stored.labels("repair"), stored.labels("insertion")

        self._relayed = Counter(
            "epost_relayed_bytes",
            "Bytes passed on for pairs of nodes that cannot link with each other",
            registry=registry,
        )

    def _on_delivered(self, event: pastry.Delivered) -> None:
        self._hops.observe(event.hops)

    def _on_answered(self, event: node.CallAnswered) -> None:
        self._calls.observe(event.seconds)

    def _on_ready(self, _: pastry.BecameReady) -> None:
        if self._unready_since is not None:
            self._join.observe(self._clock() - self._unready_since)
            self._unready_since = None

    def _on_ceased(self, _: pastry.CeasedReady) -> None:
        self._unready_since = self._clock()

    def _on_stored(self, event: past.BlockStored) -> None:
        (self._repaired if event.repaired else self._inserted).inc(event.size)

    def _on_relayed(self, event: links.RelayEnded) -> None:
        self._relayed.inc(event.octets)

    def _on_multicast(self, event: scribe.MulticastReceived) -> None:
        self._fan_out.observe(event.passed_to)

    def _on_anycast(self, event: scribe.AnycastEnded) -> None:
        self._visits.observe(event.visited)
