"""The spool: encrypted files without names, bounded, gone when nobody holds them."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random

import pytest

from epost.apps.mail.ports import in_the_loop
from epost.daemon.spool import IN_MEMORY_BYTES_MAX, SPOOLED_MAILS_MAX, DiskSpool, SpooledOctets
from epost.foundation.errors import DiskFull
from epost.foundation.octets import Octets

MIB = 1024 * 1024


def play(folder: Path, story: Callable[[DiskSpool], Awaitable[None]], size_max: int = MIB) -> None:
    spool = DiskSpool(folder / "spool", in_the_loop, size_max)

    async def run() -> None:
        await story(spool)

    asyncio.run(run())


async def spooled(spool: DiskSpool, octets: bytes, piece_bytes: int = 100_000) -> Octets:
    writer = spool.begin()
    for at in range(0, len(octets), piece_bytes):
        writer.write(octets[at : at + piece_bytes])
        await writer.drain()
    return await writer.finish()


def test_any_slice_reads_as_it_was_written(tmp_path: Path) -> None:
    random = Random(1)
    octets = random.randbytes(3 * MIB + 5)

    async def story(spool: DiskSpool) -> None:
        kept = await spooled(spool, octets)
        assert isinstance(kept, SpooledOctets)
        assert len(kept) == len(octets)
        assert kept[:] == octets
        for _ in range(200):
            start, stop = random.randrange(-9, len(octets)), random.randrange(len(octets) + 9)
            assert kept[start:stop] == octets[start:stop]

    play(tmp_path, story)


def test_few_octets_stay_in_memory(tmp_path: Path) -> None:
    async def story(spool: DiskSpool) -> None:
        assert await spooled(spool, b"abc") == b"abc"
        assert spool.used_bytes == 0

    play(tmp_path, story)


def test_a_file_has_no_name_and_no_plaintext(tmp_path: Path) -> None:
    async def story(spool: DiskSpool) -> None:
        kept = await spooled(spool, b"secret" * MIB)
        assert isinstance(kept, SpooledOctets)
        assert list((tmp_path / "spool").iterdir()) == []
        on_disk = os.pread(kept._descriptor, 2 * MIB, 0)
        assert b"secret" not in on_disk

    play(tmp_path, story, 8 * MIB)


def test_the_room_is_free_when_nobody_holds_the_octets(tmp_path: Path) -> None:
    async def story(spool: DiskSpool) -> None:
        kept: Octets | None = await spooled(spool, bytes(2 * MIB))
        assert spool.used_bytes == 2 * MIB
        del kept
        unfinished = spool.begin()
        unfinished.write(bytes(IN_MEMORY_BYTES_MAX))
        await unfinished.drain()
        assert spool.used_bytes == IN_MEMORY_BYTES_MAX
        del unfinished
        gc.collect()
        assert spool.used_bytes == 0

    play(tmp_path, story)


def test_all_files_together_are_bounded(tmp_path: Path) -> None:
    async def story(spool: DiskSpool) -> None:
        kept = [await spooled(spool, bytes(MIB)) for _ in range(SPOOLED_MAILS_MAX)]
        with pytest.raises(DiskFull, match="too many large mails"):
            await spooled(spool, bytes(MIB))
        kept.pop()
        await spooled(spool, bytes(MIB))

    play(tmp_path, story)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_disk_that_fills_up_is_told_as_such(tmp_path: Path) -> None:
    async def story(spool: DiskSpool) -> None:
        writer = spool.begin()
        writer.write(bytes(2**20))
        await writer.drain()
        (file,) = spool._files
        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, file._descriptor)
        os.close(full)
        writer.write(bytes(2**20))
        with pytest.raises(DiskFull):
            await writer.drain()

    play(tmp_path, story)


def test_what_a_crash_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "tmp123").write_bytes(b"left")
    play(tmp_path, lambda spool: spooled(spool, b"x"))  # type: ignore[arg-type,return-value]
    assert list((tmp_path / "spool").iterdir()) == []
