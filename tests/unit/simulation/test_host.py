"""Hosts: starting, stopping, crashing and what is left then."""

from __future__ import annotations

import asyncio

import pytest

from epost.foundation.effects import Caller
from epost.foundation.ids import NodeId
from epost.foundation.ports import PutBlock, PutNote
from epost.foundation.wire import Application
from epost.node.driver import Driver
from epost.node.observed import BlockDamaged
from epost.simulation.host import RESTART_SECONDS, Crashed, SimulatedHost, Started, Stopped, World
from tests.support.nodes import ScriptedMachine, entry_for, host_of, in_world, settle

PAST = Application.PAST


def driver_of(host: SimulatedHost) -> Driver:
    assert isinstance(host.node, Driver)
    return host.node


def observed(world: World) -> list[tuple[str, object]]:
    events: list[tuple[str, object]] = []
    world.trace.listen(lambda each: events.append((each.node, each.event)))
    return events


def test_a_host_starts_stops_and_starts_again_on_the_same_disk() -> None:
    async def story(world: World) -> None:
        events = observed(world)
        host = host_of(world, "a")
        host.start()  # runs already
        await driver_of(host).durable([PutNote("table", b"key", b"value")])
        await host.stop()
        await host.stop()
        assert not host.is_running
        host.start()
        assert host.vault.note("table", b"key") == b"value"
        assert events == [("a", Started(1)), ("a", Stopped()), ("a", Started(2))]

    in_world(story)


def test_what_a_crashed_node_still_does_reaches_nobody() -> None:
    async def story(world: World) -> None:
        events = observed(world)
        a, b = host_of(world, "a"), host_of(world, "b")
        machine = ScriptedMachine(driver_of(b).outbox)
        driver_of(b).register(PAST, machine)
        dead = driver_of(a)
        a.crash()
        a.crash()
        dead.outbox.notify(b.me, PAST, b"from the grave")
        dead.outbox.write(PutNote("table", b"key", b"value"))
        dead.wake()
        a.start()
        await settle(10)
        assert machine.notifies == []
        assert a.vault.notes("table") == []
        ours = [event for node, event in events if node == "a"]
        assert ours == [Started(1), Crashed(with_machine=False), Started(2)]

    in_world(story)


def test_no_two_lives_of_a_host_draw_the_same_randomness() -> None:
    async def story(world: World) -> None:
        host = host_of(world, "a")
        first = host.entropy.token(16)
        host.crash()
        host.start()
        assert host.entropy.token(16) != first

    in_world(story)


def test_losing_the_disk_loses_everything_on_it() -> None:
    async def story(world: World) -> None:
        host = host_of(world, "a")
        await driver_of(host).durable([PutNote("table", b"key", b"value")])
        host.lose_disk()
        host.start()
        assert host.vault.notes("table") == []

    in_world(story)


def test_a_node_that_its_disk_fails_is_started_again_and_is_no_bug() -> None:
    async def story(world: World) -> None:
        host = host_of(world, "a")
        host.disk.is_full = True
        driver_of(host).outbox.write(PutNote("table", b"key", b"value"))
        driver_of(host).wake()
        await settle()
        assert not host.is_running
        host.disk.is_full = False
        await world.run_for(RESTART_SECONDS)
        assert host.is_running
        assert world.bugs == []

    in_world(story)


def test_a_failed_node_is_not_started_again_on_a_machine_that_is_off() -> None:
    async def story(world: World) -> None:
        host = host_of(world, "a")
        host.disk.is_full = True
        driver_of(host).outbox.write(PutNote("table", b"key", b"value"))
        driver_of(host).wake()
        await settle()
        host.crash(with_machine=True)
        await settle(2 * RESTART_SECONDS)
        assert not host.is_running

    in_world(story)


def test_a_bug_ends_the_run() -> None:
    async def story(world: World) -> None:
        def equip(host: SimulatedHost, driver: Driver) -> None:
            machine = ScriptedMachine(driver.outbox, on_asked=broken)
            driver.register(PAST, machine)

        def broken(caller: Caller, body: bytes) -> None:
            raise ZeroDivisionError

        a, b = host_of(world, "a"), host_of(world, "b", equip)
        asking = asyncio.create_task(
            driver_of(a).calls.call(b.me, PAST, b"", timeout_seconds=1),
        )
        with pytest.raises(ZeroDivisionError):
            await world.run_for(3600)
        asking.cancel()

    in_world(story)


def test_rot_is_found_by_the_node_that_reads_it() -> None:
    body = b"a body that will rot"

    async def story(world: World) -> None:
        events = observed(world)
        host = host_of(world, "a")
        await driver_of(host).durable([PutBlock(entry_for(body), body)])
        handle = host.disk.rot()
        assert handle == entry_for(body).handle
        assert await host.vault.load(handle) is None
        assert ("a", BlockDamaged(handle)) in events

    in_world(story)


def test_a_transport_shows_the_certificate_of_its_host() -> None:
    async def story(world: World) -> None:
        a, b = host_of(world, "a"), host_of(world, "b")
        a.transport.send(b.me, b"\x00")
        await settle()
        assert b.transport.certificate(NodeId(a.me.id)) == b"a"

    in_world(story)
