"""A flipped byte in a real vault on disk is found by reading it again, and counts as absent."""

import asyncio
from pathlib import Path

import pytest

from epost.daemon.vault.vault import SqliteVault
from epost.foundation.effects import Load, Outbox
from epost.foundation.ports import PutBlock, Role, VaultEntry
from epost.node.observed import BlockDamaged
from epost.past.blocks import content_handle
from epost.past.config import PastConfig
from epost.past.scrubbing import Checking, Scrubbing
from tests.support.vaults import Recorder, rot_sqlite


class _Clock:
    def wall_ms(self) -> int:
        return 1_800_000_000_000


class _Around:
    """The few things of a node's surroundings that scrubbing stands on."""

    def __init__(self, vault: SqliteVault, recorder: Recorder) -> None:
        self.vault = vault
        self.outbox = Outbox()
        self.clock = _Clock()
        self.observer = recorder
        self.config = PastConfig(scrub_seconds=10.0)


@pytest.mark.parametrize("size", [100, 300_000], ids=["in the database", "in a file"])
def test_a_flipped_byte_is_found_and_wanted_again(tmp_path: Path, size: int) -> None:
    bodies = [bytes([n]) * size for n in range(5)]
    handles = [content_handle(body) for body in bodies]
    recorder = Recorder()

    def open_it() -> SqliteVault:
        return SqliteVault(
            tmp_path, contributed_bytes_max=10_000_000, observer=recorder, reserve_bytes=0
        )

    async def fill() -> None:
        vault = open_it()
        await vault.commit(
            [
                PutBlock(VaultEntry(handle, size, Role.REPLICA), body)
                for handle, body in zip(handles, bodies, strict=True)
            ]
        )
        await vault.close()

    async def scrub() -> None:
        vault = open_it()
        around = _Around(vault, recorder)
        wanted: list[object] = []
        scrubbing = Scrubbing(around, wanted.append)  # type: ignore[arg-type]  # a part of it
        for second in range(60):
            scrubbing.tick(float(second))
            for effect in around.outbox.drain():
                if isinstance(effect, Load) and isinstance(effect.purpose, Checking):
                    body = await vault.load(effect.handle)
                    scrubbing.on_checked(effect.purpose, body, float(second))
        assert wanted == [handles[2]]
        assert recorder.events.count(BlockDamaged(handles[2])) == 1
        assert scrubbing.report().missing == 1
        await vault.commit([PutBlock(VaultEntry(handles[2], size, Role.REPLICA), bodies[2])])
        assert scrubbing.report().missing == 0
        await vault.close()

    asyncio.run(fill())
    rot_sqlite(tmp_path, handles[2])
    asyncio.run(scrub())
