"""What waits for the disk, and what does not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from epost.daemon.vault import SqliteVault
from epost.foundation.effects import SendWhenDurable
from epost.foundation.ports import PutNote, Write
from epost.node.commits import Commits
from tests.support.nodes import node_handle
from tests.support.vaults import Recorder

NOTE = PutNote("table", b"key", b"value")
SEND = SendWhenDurable(node_handle("anybody"), b"message")


class Bench(SqliteVault):
    """A vault that tells how it was asked; sends are collected."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            folder, contributed_bytes_max=1 << 40, observer=Recorder(), reserve_bytes=0
        )
        self.asked: list[str] = []
        self.sent: list[SendWhenDurable] = []
        self.commits = Commits(self, send=self.sent.append, on_done=lambda *_: True)

    def commit(self, writes: Sequence[Write]) -> asyncio.Future[None]:
        self.asked.append("now")
        return super().commit(writes)

    def commit_soon(self, writes: Sequence[Write]) -> asyncio.Future[None]:
        self.asked.append("soon")
        return super().commit_soon(writes)


def with_bench(folder: Path, story: Callable[[Bench], Coroutine[Any, Any, None]]) -> None:
    async def whole() -> None:
        bench = Bench(folder)
        try:
            await story(bench)
        finally:
            await bench.commits.all_written()
            assert bench.commits.are_done
            await bench.close()

    asyncio.run(whole())


def test_a_turn_that_sends_nothing_hurries_no_disk(tmp_path: Path) -> None:
    async def story(bench: Bench) -> None:
        bench.commits.write([NOTE], 0, is_awaited=False)
        bench.commits.send_after([])
        assert bench.asked == ["soon"]

    with_bench(tmp_path, story)


def test_a_durable_send_hurries_what_nobody_had_waited_for(tmp_path: Path) -> None:
    async def story(bench: Bench) -> None:
        bench.commits.write([NOTE], 0, is_awaited=False)
        bench.commits.send_after([SEND])
        assert (bench.asked, bench.sent) == (["soon", "now"], [])
        await bench.commits.written()
        assert bench.sent == [SEND]

    with_bench(tmp_path, story)


def test_neither_sends_nor_stories_wait_for_what_nobody_is_ever_told_of(tmp_path: Path) -> None:
    async def story(bench: Bench) -> None:
        bench.commits.write_later([NOTE])
        bench.commits.send_after([SEND])
        await bench.commits.written()
        assert (bench.asked, bench.sent) == (["soon"], [SEND])
        assert not bench.commits.are_done

    with_bench(tmp_path, story)


def test_a_send_waits_for_what_was_written_before_something_that_can_wait(tmp_path: Path) -> None:
    async def story(bench: Bench) -> None:
        bench.commits.write([NOTE], 0, is_awaited=True)
        bench.commits.write_later([NOTE])
        bench.commits.send_after([SEND])
        assert bench.sent == []
        await bench.commits.written()
        assert (bench.asked, bench.sent) == (["now", "soon"], [SEND])

    with_bench(tmp_path, story)
