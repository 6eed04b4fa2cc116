"""What `epost ring` and `epost status` tell of a ring, over whole nodes in virtual time."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from epost.daemon.observability import ring_report
from epost.daemon.observability.ring_report import RingReport
from epost.past.config import PastConfig
from epost.simulation.clock import run
from epost.simulation.defects import SOUND
from epost.simulation.office import Machine, Office, OfficeConfig


def in_ring(story: Callable[[Office], Coroutine[Any, Any, None]], machines: int) -> None:
    async def whole() -> None:
        office = Office(7, OfficeConfig(machines=machines, users=0), SOUND)
        await office.open()
        await office.world.run_for(60)
        await story(office)
        await office.close()

    run(whole())


def report_of(machine: Machine) -> RingReport:
    assert machine.node is not None
    return RingReport(machine.node, machine.host.clock, PastConfig())


def test_who_is_reached_through_another_is_told() -> None:
    async def story(office: Office) -> None:
        first, second, third = office.machines[:3]
        assert first.node is not None
        relays = {second.node_id: third.node_id}
        report = RingReport(first.node, first.host.clock, PastConfig(), relays.get)
        through = {n["node_id"]: n["through"] for n in report.overview()["leaf_set"]}
        assert through[second.node_id.hex()] == third.node_id.hex()
        assert through[third.node_id.hex()] == ""

    in_ring(story, machines=4)


def test_a_whole_ring_is_told_neighbour_by_neighbour() -> None:
    async def story(office: Office) -> None:
        first = office.machines[0]
        told = report_of(first).overview()
        ids = {machine.node_id.hex() for machine in office.machines}
        assert {node["node_id"] for node in told["leaf_set"]} == ids - {first.node_id.hex()}
        assert all(node["reachable"] and node["addresses"] for node in told["leaf_set"])
        assert any(node["round_trip_ms"] for node in told["leaf_set"])
        assert {node["side"] for node in told["leaf_set"]} == {"clockwise", "counter-clockwise"}
        assert (told["enrolled"], told["copies_wanted"], told["below_k"]) == (5, 3, 0)
        assert told["strays"] == 0
        assert told["loss"]["copies"] == 3
        assert not told["catching_up"]
        assert told["advice"] == []

    in_ring(story, machines=5)


def test_a_small_ring_with_one_machine_gone_says_what_to_do_until_it_is_revoked() -> None:
    async def story(office: Office) -> None:
        first, _, gone = office.machines
        first.crash(with_machine=False)
        gone.crash(with_machine=True)
        first.host.start()
        await office.world.run_for(120)
        report = report_of(first)
        assert report.is_catching_up()
        (advice,) = report.advice()
        assert "1 of 3 enrolled machines cannot be reached" in advice
        assert "epost org revoke-node" in advice
        office.organisation.revoke(gone.node_id)
        office._has_changed = True
        await office.world.run_for(120)
        assert report.advice() == []
        assert not report.is_catching_up()

    in_ring(story, machines=3)


def test_who_is_away_is_shown_and_named_after_a_long_time(monkeypatch) -> None:
    async def story(office: Office) -> None:
        first, *_, gone = office.machines
        gone.crash(with_machine=True)
        await office.world.run_for(300)
        report = report_of(first)
        report.watch()
        (absent,) = [n for n in report.overview()["leaf_set"] if not n["reachable"]]
        assert absent["node_id"] == gone.node_id.hex()
        assert 0 < absent["absent_seconds"] <= 300
        assert report.advice() == []
        await office.world.run_for(900)
        report.watch()
        assert report.loss().losses_seen == 1
        monkeypatch.setattr(ring_report, "LONG_ABSENCE_SECONDS", 1000.0)
        (advice,) = report.advice()
        assert f"epost org revoke-node {gone.node_id.hex()[:16]}" in advice
        office.organisation.revoke(gone.node_id)
        office._has_changed = True
        await office.world.run_for(60)
        assert report.advice() == [], "all that are enrolled are here"

    in_ring(story, machines=5)


def test_a_node_that_is_not_in_the_ring_says_so() -> None:
    async def story(office: Office) -> None:
        for machine in office.machines:
            machine.crash(with_machine=True)
        lonely = office.machines[2]
        lonely.host.start()
        (advice,) = report_of(lonely).advice()
        assert "Not in the ring yet" in advice

    in_ring(story, machines=3)
