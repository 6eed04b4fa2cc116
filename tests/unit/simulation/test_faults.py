"""Faults: each does what it says and undoes it; plans follow from their seed."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

from epost.foundation.ids import NodeHandle
from epost.foundation.ports import PutBlock
from epost.node.driver import Driver
from epost.simulation.faults import (
    Crash,
    Cut,
    FaultConfig,
    FillDisk,
    JumpClock,
    LoseDisk,
    Partition,
    Planned,
    Rot,
    draw_plan,
    inflict,
)
from epost.simulation.host import SimulatedHost, World
from epost.simulation.world import EPOCH_MS
from tests.support.gossip import trace_of
from tests.support.nodes import content_handle, entry_for, host_of, in_world, settle

EVERYTHING = FaultConfig(
    crash_every_seconds=10,
    partition_every_seconds=30,
    cut_every_seconds=20,
    rot_every_seconds=30,
    fill_every_seconds=100,
    clock_every_seconds=50,
    lose_disk_every_seconds=60,
    disk_losses_gap_seconds=60,
    outage_seconds_max=20,
)


async def reaches(sender: SimulatedHost, receiver: SimulatedHost) -> bool:
    heard: list[NodeHandle] = []
    assert isinstance(receiver.node, Driver)
    receiver.node.tell_heard_from(lambda node, _now: heard.append(node))
    sender.transport.send(receiver.me, b"\x01\x00")
    await settle(0.5)
    return heard == [sender.me]


def test_a_crashed_host_comes_back() -> None:
    async def story(world: World) -> None:
        host = host_of(world, "a")
        for fault in (Crash("a", 5, with_machine=True), Crash("a", 5), LoseDisk("a", 5)):
            happening = asyncio.create_task(fault.inflict(world))
            await settle()
            assert not host.is_running
            await happening
            assert host.is_running

    in_world(story)


def test_partitions_and_cuts_separate_and_end() -> None:
    async def story(world: World) -> None:
        a, b, c = (host_of(world, name) for name in "abc")
        happening = asyncio.create_task(Partition(("a", "b"), 5).inflict(world))
        await settle(0.1)
        assert await reaches(a, b)
        assert not await reaches(a, c)
        await happening
        assert await reaches(a, c)
        happening = asyncio.create_task(Cut("a", "b", 5).inflict(world))
        await settle(0.1)
        assert not await reaches(a, b)
        assert await reaches(b, a)
        await happening
        assert await reaches(a, b)

    in_world(story)


def test_disks_fill_up_and_rot_and_clocks_jump_for_a_while() -> None:
    body = b"body"

    async def story(world: World) -> None:
        host = host_of(world, "a")
        assert isinstance(host.node, Driver)
        await host.node.durable([PutBlock(entry_for(body), body)])
        plan = [Planned(0, FillDisk("a", 5)), Planned(1, JumpClock("a", 60, 5))]
        happening = asyncio.create_task(inflict(world, [*plan, Planned(2, Rot("a"))]))
        await settle(3)
        assert host.vault.free_bytes() == 0
        assert host.clock.wall_ms() > EPOCH_MS + 60_000
        assert await host.vault.load(content_handle(body)) is None
        await happening
        assert host.vault.free_bytes() > 0
        assert host.clock.wall_ms() < EPOCH_MS + 10_000

    in_world(story)


def test_a_plan_follows_from_its_seed_and_keeps_its_distances() -> None:
    def plan(seed: int) -> list[Planned]:
        return draw_plan(Random(seed), "abcde", EVERYTHING, seconds=3600)

    assert plan(1) == plan(1)
    assert plan(1) != plan(2)
    times = [planned.at_seconds for planned in plan(1)]
    assert times == sorted(times)
    assert {type(planned.fault) for planned in plan(1)} == {
        *(Crash, Cut, FillDisk, JumpClock, LoseDisk, Partition, Rot)
    }
    losses = [each.at_seconds for each in plan(1) if isinstance(each.fault, LoseDisk)]
    assert all(later - earlier > 60 for earlier, later in pairwise(losses))


def test_what_never_happens_is_not_planned() -> None:
    plan = draw_plan(Random(1), "ab", FaultConfig(crash_every_seconds=0), seconds=36_000)
    assert not [each for each in plan if isinstance(each.fault, Crash | LoseDisk | FillDisk)]


@pytest.mark.no_cover  # tracing takes twice the time, and other tests run the same lines
def test_a_run_under_all_faults_is_the_same_each_time_and_another_with_another_seed() -> None:
    first = trace_of(1, EVERYTHING)
    assert first == trace_of(1, EVERYTHING)
    assert first != trace_of(2, EVERYTHING)


def test_a_run_does_not_depend_on_the_order_of_hashes() -> None:
    def trace_in_new_process(hash_seed: str) -> str:
        command = [sys.executable, "-m", "tests.support.gossip", "3"]
        root = Path(__file__).parents[3]
        environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(root / "src")}
        done = subprocess.run(
            command, cwd=root, env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    traces = [trace_in_new_process(hash_seed) for hash_seed in ("0", "1")]
    assert len(traces[0]) == 64
    assert traces[0] == traces[1]
