"""What only the simulated disk can do: crash on request, rot, and lie."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from epost.foundation.ports import PutNote
from epost.simulation.clock import run
from epost.simulation.vault import DiskConfig, SimulatedDisk, SimulatedVault
from tests.support.vaults import Recorder

SECOND_EACH = {"commit_seconds_min": 1.0, "commit_seconds_max": 1.0}


def notes_on(disk: SimulatedDisk) -> int:
    return len(disk.durable.notes.get("table", {}))


def write_notes(vault: SimulatedVault, count: int) -> list[asyncio.Future[None]]:
    return [vault.commit([PutNote("table", b"%d" % number, b"")]) for number in range(count)]


def test_a_crash_keeps_what_was_acknowledged_and_a_prefix_of_the_rest() -> None:
    kept: set[int] = set()

    async def story(seed: int) -> None:
        disk = SimulatedDisk(DiskConfig(**SECOND_EACH), Random(seed))
        vault = SimulatedVault(disk, Recorder())
        await vault.commit([PutNote("table", b"acknowledged", b"")])
        dones = write_notes(vault, 5)
        vault.crash()
        for done in dones:
            with pytest.raises(OSError, match="crashed"):
                await done
        again = SimulatedVault(disk, Recorder())
        keys = [key for key, _ in again.notes("table")]
        assert keys == sorted([b"acknowledged", *(b"%d" % n for n in range(len(keys) - 1))])
        kept.add(len(keys) - 1)

    for seed in range(50):
        run(story(seed))
    assert kept == {0, 1, 2, 3, 4, 5}


def test_a_crashed_vault_answers_nobody_and_harms_its_successor_in_nothing() -> None:
    async def story() -> None:
        disk = SimulatedDisk(DiskConfig(**SECOND_EACH), Random(1))
        vault = SimulatedVault(disk, Recorder())
        write_notes(vault, 3)
        loading = vault.load(None)  # type: ignore[arg-type]  # never looked up
        vault.crash()
        successor = SimulatedVault(disk, Recorder())
        before = notes_on(disk)
        await asyncio.gather(*write_notes(successor, 3))
        with pytest.raises(OSError, match="crashed"):
            await loading
        assert before <= notes_on(disk) == 3

    run(story())


def test_a_disk_that_skips_the_sync_loses_what_it_acknowledged() -> None:
    async def kept_of_ten(seconds: float) -> list[int]:
        kept = []
        for seed in range(20):
            config = DiskConfig(skips_sync=True, write_back_seconds=5.0)
            disk = SimulatedDisk(config, Random(seed))
            vault = SimulatedVault(disk, Recorder())
            await asyncio.gather(*write_notes(vault, 10))
            await asyncio.sleep(seconds)
            vault.crash()
            kept.append(notes_on(disk))
            await asyncio.sleep(10)
        return kept

    assert min(run(kept_of_ten(1.0))) < 10
    assert min(run(kept_of_ten(6.0))) == 10


def test_a_disk_that_skips_the_sync_writes_all_when_it_is_closed() -> None:
    async def story() -> None:
        disk = SimulatedDisk(DiskConfig(skips_sync=True), Random(1))
        vault = SimulatedVault(disk, Recorder())
        write_notes(vault, 10)
        await vault.close()
        assert notes_on(disk) == 10
        await asyncio.sleep(100)

    run(story())


def test_an_empty_disk_cannot_rot() -> None:
    assert SimulatedDisk(DiskConfig(), Random(1)).rot() is None


def test_a_full_disk_has_no_free_bytes() -> None:
    async def story() -> None:
        disk = SimulatedDisk(DiskConfig(capacity_bytes=100), Random(1))
        vault = SimulatedVault(disk, Recorder())
        assert vault.free_bytes() == 100
        disk.is_full = True
        assert vault.free_bytes() == 0

    run(story())
