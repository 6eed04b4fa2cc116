"""Every typed event of every package is counted; some are measured."""

import ast
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from epost.daemon.observability.counters import MODULES, EventCounters, counted_events, events_of
from epost.foundation.ids import BlockKind, Handle, Id, NodeId
from epost.foundation.ports import Role
from epost.foundation.wire import Application
from epost.node.observed import CallAnswered
from epost.past.observed import BlockStored
from epost.pastry.observed import BecameReady, CeasedReady, Delivered, NodeJoined
from epost.scribe.observed import AnycastEnded, MulticastReceived

SOURCES = Path(__file__).parents[4] / "src" / "epost"
NODE = NodeId(Id(b"n" * 20))
KEY = Id(b"k" * 20)
NOT_COUNTED: set[str] = set()
"""Events that `/metrics` leaves out on purpose; none so far."""


class Time:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def counting() -> tuple[EventCounters, CollectorRegistry, Time]:
    registry, clock = CollectorRegistry(), Time()
    return EventCounters(registry, clock), registry, clock


def modules() -> Iterator[str]:
    """Yield every module that defines events, the simulator's own apart."""
    for path in sorted(SOURCES.rglob("observed.py")):
        if "simulation" not in path.parts:
            yield ".".join(("epost", *path.relative_to(SOURCES).with_suffix("").parts))


def recorded() -> Iterator[tuple[str, str]]:
    """Yield (file, event) of every `….record(Event(…))` in the sources."""
    for path in sorted(SOURCES.rglob("*.py")):
        if "simulation" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            made = node.args[0] if node.func.attr == "record" and node.args else None
            if isinstance(made, ast.Call) and isinstance(made.func, ast.Name):
                yield path.name, made.func.id


def test_every_package_with_events_is_counted() -> None:
    assert {module.__name__ for module in MODULES.values()} == set(modules())


@pytest.mark.parametrize("module", sorted(modules()))
def test_every_event_of_a_package_has_its_counter_from_the_start(module: str) -> None:
    _, registry, _ = counting()
    part = next(part for part, known in MODULES.items() if known.__name__ == module)
    kinds = {kind.__name__ for kind in events_of(import_module(module))}
    assert kinds
    for kind in kinds - NOT_COUNTED:
        labels = {"part": part, "event": kind}
        assert registry.get_sample_value("epost_events_total", labels) == 0.0, kind


def test_whatever_is_recorded_anywhere_is_an_event_of_some_package() -> None:
    known = {kind.__name__ for _, kind in counted_events()}
    strays = {(file, event) for file, event in recorded() if event not in known | NOT_COUNTED}
    assert strays == set()


def test_an_event_counts_under_its_type() -> None:
    counters, registry, _ = counting()
    counters.count(NodeJoined(NODE, NODE))
    counters.count(object())
    labels = {"part": "pastry", "event": "NodeJoined"}
    assert registry.get_sample_value("epost_events_total", labels) == 1.0


def test_hops_fan_out_and_visits_are_measured() -> None:
    counters, registry, _ = counting()
    counters.count(Delivered(NODE, KEY, Application.PAST, NODE, 3))
    counters.count(MulticastReceived(NODE, KEY, b"m" * 16, 5, True))
    counters.count(AnycastEnded(NODE, KEY, 7, True))
    counters.count(CallAnswered(NODE, 0.03))
    assert registry.get_sample_value("epost_route_hops_sum") == 3.0
    assert registry.get_sample_value("epost_group_fan_out_sum") == 5.0
    assert registry.get_sample_value("epost_anycast_visits_sum") == 7.0
    assert registry.get_sample_value("epost_call_seconds_bucket", {"le": "0.05"}) == 1.0


def test_the_time_to_become_a_member_is_measured_at_each_time() -> None:
    counters, registry, clock = counting()
    clock.now += 2.0
    counters.count(BecameReady(NODE, False))
    clock.now += 50.0
    counters.count(BecameReady(NODE, False))
    counters.count(CeasedReady(NODE, 600.0))
    clock.now += 3.0
    counters.count(BecameReady(NODE, False))
    assert registry.get_sample_value("epost_join_seconds_count") == 2.0
    assert registry.get_sample_value("epost_join_seconds_sum") == 5.0


def test_repair_traffic_is_told_from_insertions() -> None:
    counters, registry, _ = counting()
    handle = Handle(BlockKind.CONTENT, b"h" * 32)
    counters.count(BlockStored(handle, Role.REPLICA, True, 100))
    counters.count(BlockStored(handle, Role.REPLICA, False, 30))
    repaired, inserted = (
        registry.get_sample_value("epost_stored_bytes_total", {"why": why})
        for why in ("repair", "insertion")
    )
    assert (repaired, inserted) == (100.0, 30.0)
