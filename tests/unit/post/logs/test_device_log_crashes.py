"""The device log dies between any two lines: nothing acknowledged is lost, no version signed twice.

A model check: a scenario is run once for every point at which the machine touches its disk or the
ring, dies there, starts again from its disk, and must end with one consistent log. The ring twin
fails the run if any key ever signs two bodies of one version.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from epost.post.logs.device_log import DeviceLog
from epost.simulation.clock import run
from tests.support.post_world import Crash, Machine, World, settle
from tests.unit.post.logs.test_device_log import BOTH, logged, mail, read_from_ring, started


class Fuse:
    """Kills the machine at its n-th touch of disk or ring; a dead machine touches nothing more."""

    def __init__(self, machine: Machine, blows_at: int) -> None:
        self.touches = 0
        self.blows_at = blows_at
        self.machine = machine
        machine.disk.on_commit = machine.crash_point = self.touch

    @property
    def has_blown(self) -> bool:
        return self.touches >= self.blows_at

    def touch(self, _where: str) -> None:
        self.touches += 1
        if self.has_blown:
            raise Crash

    def remove(self) -> None:
        self.machine.disk.on_commit = self.machine.crash_point = lambda _where: None


class Acknowledged:
    """Appends, and remembers what was acknowledged, and as ring-durable."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.durable: list[str] = []

    async def append(self, log: DeviceLog, *texts: str) -> None:
        appended = await log.append([mail(text) for text in texts])
        self.texts += texts
        if appended.durability.ring_durable:
            self.durable += texts


Scenario = Callable[[Machine, DeviceLog, Acknowledged], Awaitable[None]]


async def across_clusters(_machine: Machine, log: DeviceLog, acked: Acknowledged) -> None:
    await acked.append(log, *(f"old {n}" for n in range(48)))
    for n in range(4):
        await acked.append(log, f"slow {n}")
    await asyncio.gather(*(acked.append(log, f"quick {n}", f"and {n}") for n in range(3)))
    await acked.append(log, *(f"many {n}" for n in range(60)))
    await acked.append(log, "last")


async def offline_and_back(machine: Machine, log: DeviceLog, acked: Acknowledged) -> None:
    await acked.append(log, "first")
    machine.is_online = False
    await acked.append(log, *(f"away {n}" for n in range(53)))
    machine.is_online = True
    await settle(90)
    await acked.append(log, "back")


async def big_records(_machine: Machine, log: DeviceLog, acked: Acknowledged) -> None:
    for n in range(7):
        await acked.append(log, f"{n}" + "x" * 15_000)
    await acked.append(log, "small")


async def live_and_die(
    machine: Machine, scenario: Scenario, blows_at: int
) -> tuple[bool, Acknowledged]:
    fuse, acked = Fuse(machine, blows_at), Acknowledged()
    log, _ = await started(machine)
    task = asyncio.ensure_future(scenario(machine, log, acked))
    while not task.done() and not fuse.has_blown:
        await asyncio.sleep(0.001)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await machine.stop()
    fuse.remove()
    return fuse.has_blown, acked


async def check_afterlife(machine: Machine, acked: Acknowledged) -> None:
    ring = await read_from_ring(machine)
    assert set(acked.durable) <= set(ring), "ring-durable means it survives this machine"
    machine.is_online = True
    log, _ = await started(machine)
    await log.append([mail("after the crash")])
    await settle(5)
    assert log.is_ring_durable(log.sequence)
    here = await logged(log)
    assert [text for text in here if text in set(acked.texts)] == acked.texts
    assert len(set(here)) == len(here), "nothing twice"
    assert await read_from_ring(machine) == here
    await machine.stop()


@pytest.mark.no_cover  # tracing takes twice the time, and other tests run the same lines
@BOTH
@pytest.mark.parametrize("scenario", [across_clusters, offline_and_back, big_records])
def test_death_at_any_point_loses_nothing_acknowledged(
    scenario: Scenario, tail_in_head: bool
) -> None:
    async def story(blows_at: int) -> bool:
        alice = World(tail_in_head=tail_in_head).enrol("alice")
        has_blown, acked = await live_and_die(alice, scenario, blows_at)
        await check_afterlife(alice, acked)
        return has_blown

    blows_at = 1
    while run(story(blows_at)):
        blows_at += 1
    assert blows_at > 10


@pytest.mark.no_cover
@BOTH
def test_death_at_any_point_of_a_restoration_loses_nothing(tail_in_head: bool) -> None:
    async def grow(alice: Machine) -> list[str]:
        """Let the log go on for a while after a backup of the disk, then restore the backup."""
        log, _ = await started(alice)
        texts = [f"common {n}" for n in range(47)]
        await log.append([mail(text) for text in texts])
        backup = alice.disk.copy()
        later = [f"later {n}" for n in range(8)]
        await log.append([mail(text) for text in later])
        await alice.stop()
        alice.disk, alice.is_online = backup, False
        log, _ = await started(alice)
        await log.append([mail("only here")])
        await alice.stop()
        alice.is_online = True
        return [*texts, *later, "only here"]

    async def restored(_machine: Machine, log: DeviceLog, acked: Acknowledged) -> None:
        await acked.append(log, "new")
        await settle(5)

    async def story(blows_at: int) -> bool:
        alice = World(tail_in_head=tail_in_head).enrol("alice")
        before = await grow(alice)
        has_blown, acked = await live_and_die(alice, restored, blows_at)
        log, told = await started(alice)
        await settle(60)
        await log.append([mail("after the crash")])
        await settle(60)
        assert log.is_ring_durable(log.sequence)
        everything = {*before, *acked.texts, "after the crash"}
        assert everything <= set(await logged(log)) <= {*everything, "new"}
        assert set(await read_from_ring(alice)) == set(await logged(log))
        unread = {*before[47:], *acked.texts} - set(told.texts)
        assert unread <= set(await logged(log, after=48)), "an index at 48 can still catch up"
        await alice.stop()
        return has_blown

    blows_at = 1
    while run(story(blows_at)):
        blows_at += 1
    assert blows_at > 5
