"""The device log under any order of appends, absences, restarts, crashes, backups and clones."""

from __future__ import annotations

import asyncio

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from epost.simulation.clock import run
from tests.support.post_world import Machine, World, settle
from tests.unit.post.logs.test_device_log import logged, mail, read_from_ring, started
from tests.unit.post.logs.test_device_log_crashes import Acknowledged, Fuse

OPERATIONS = st.one_of(
    st.tuples(st.just("append"), st.integers(1, 60)),
    st.tuples(st.just("big"), st.integers(1, 40)),
    st.tuples(st.just("together"), st.integers(2, 6)),
    st.tuples(st.just("away"), st.just(0)),
    st.tuples(st.just("back"), st.just(0)),
    st.tuples(st.just("restart"), st.just(0)),
    st.tuples(st.just("crash"), st.integers(1, 12)),
    st.tuples(st.just("wait"), st.integers(1, 100)),
    st.tuples(st.just("backup"), st.just(0)),
    st.tuples(st.just("restore"), st.just(0)),
)

RELOGGED = [("append", 1), ("restore", 0), ("append", 50), ("restore", 0)]
"""More than a cluster is logged again while it is waited for."""


class Life:
    """One machine, whatever happens to it, and what it acknowledged."""

    def __init__(self, *, tail_in_head: bool) -> None:
        self.alice: Machine = World(tail_in_head=tail_in_head).enrol("alice")
        self.acked = Acknowledged()
        self.count = 0
        self.backup = self.alice.disk.copy()
        self.was_restored = False
        self.at_risk: list[str] = []

    def texts(self, number: int, size: int = 0) -> list[str]:
        self.count += number
        return [f"{n} " + "x" * size for n in range(self.count - number, self.count)]

    async def start(self) -> None:
        self.log, _ = await started(self.alice)

    async def do(self, operation: str, number: int) -> None:
        match operation:
            case "append":
                await self.acked.append(self.log, *self.texts(number))
            case "big":
                await self.acked.append(self.log, *self.texts(1, number * 1000))
            case "together":
                texts = self.texts(number)
                await asyncio.gather(*(self.acked.append(self.log, text) for text in texts))
            case "away" | "back":
                self.alice.is_online = operation == "back"
            case "restart":
                await self.alice.stop()
                await self.start()
            case "wait":
                await settle(number)
            case "crash":
                await self.crash(number)
            case "backup":
                self.backup = self.alice.disk.copy()
            case "restore":
                await self.restore()

    async def crash(self, touches: int) -> None:
        fuse = Fuse(self.alice, touches)
        task = asyncio.ensure_future(self.acked.append(self.log, *self.texts(3)))
        for _ in range(200):
            await asyncio.sleep(0.001)
            if fuse.has_blown:
                break
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await self.alice.stop()
        fuse.remove()
        await self.start()

    async def restore(self) -> None:
        """Lose the disk, and with it what was only held locally."""
        await self.alice.stop()
        self.alice.disk, self.was_restored = self.backup.copy(), True
        self.acked.texts = list(self.acked.durable)
        await self.start()

    async def check(self) -> None:
        self.alice.is_online = True
        await settle(200)
        appended = await self.log.append([mail("the end")])
        assert appended.durability.ring_durable
        here = await logged(self.log)
        assert set(self.acked.texts) <= set(here)
        assert set(await read_from_ring(self.alice)) == set(here)
        if not self.was_restored:
            assert len(set(here)) == len(here)
        await self.alice.stop()


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@example(operations=RELOGGED, tail_in_head=True)
@example(operations=RELOGGED, tail_in_head=False)
@given(operations=st.lists(OPERATIONS, min_size=1, max_size=14), tail_in_head=st.booleans())
def test_whatever_happens_nothing_acknowledged_is_lost_and_no_version_is_signed_twice(
    operations: list[tuple[str, int]], tail_in_head: bool
) -> None:
    async def story() -> None:
        life = Life(tail_in_head=tail_in_head)
        await life.start()
        for operation, number in operations:
            await life.do(operation, number)
        await life.check()

    run(story())
