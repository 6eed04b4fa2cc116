"""Freed blocks are room on the disk again: files go at once, most pages are given back."""

from __future__ import annotations

import asyncio
from pathlib import Path

from epost.daemon.vault import SqliteVault
from epost.daemon.vault.writer import FREE_PAGES_KEPT, GROUPS_PER_VACUUM, VACUUM_PAGES_MAX
from epost.foundation.ids import BlockKind, Handle
from epost.foundation.ports import PutBlock, PutNote, Role, SetRoles, VaultEntry
from tests.support.vaults import Recorder

PAGE_BYTES = 4096
KEPT_BYTES = FREE_PAGES_KEPT * PAGE_BYTES
SMALL, LARGE = 200_000, 1_000_000
SMALLS, LARGES = 200, 5
STORED = [
    VaultEntry(
        Handle(BlockKind.CONTENT, number.to_bytes(2, "big") * 16),
        LARGE if number < LARGES else SMALL,
        Role.REPLICA,
    )
    for number in range(LARGES + SMALLS)
]


def on_disk(folder: Path) -> int:
    """Return the octets of the folder, without the log that SQLite writes ahead."""
    files = [folder / "vault.db", *(folder / "bodies").iterdir()]
    return sum(file.stat().st_size for file in files)


def test_freed_space_is_given_back_but_for_a_reserve_that_is_used_again(tmp_path: Path) -> None:
    async def story() -> None:
        vault = SqliteVault(
            tmp_path, contributed_bytes_max=1 << 40, observer=Recorder(), reserve_bytes=0
        )
        for entry in STORED:
            await vault.commit([PutBlock(entry, bytes(entry.size))])
        for entry in STORED:  # as the sweep of leases does: first the trash, then for good
            await vault.commit([SetRoles(entry.handle, add=Role.TRASH, remove=Role.REPLICA)])
        full = LARGES * LARGE + SMALLS * SMALL
        assert vault.counts().trashed_bytes == full
        for entry in STORED:
            await vault.commit([SetRoles(entry.handle, remove=Role.TRASH)])
        pages = full // (VACUUM_PAGES_MAX * PAGE_BYTES) + 1
        for number in range(pages * GROUPS_PER_VACUUM):
            await vault.commit([PutNote("test", b"time passes", b"%d" % number)])
        assert (vault.counts().blocks, vault.counts().bytes) == (0, 0)
        await vault.close()
        assert not list((tmp_path / "bodies").iterdir())
        left = on_disk(tmp_path)
        assert left < KEPT_BYTES + full // 20
        await fill_again(tmp_path, left)

    asyncio.run(story())


async def fill_again(folder: Path, size: int) -> None:
    """What is stored next goes into the pages that were kept."""
    vault = SqliteVault(folder, contributed_bytes_max=1 << 40, observer=Recorder(), reserve_bytes=0)
    for entry in STORED[LARGES : LARGES + KEPT_BYTES // SMALL // 2]:
        await vault.commit([PutBlock(entry, bytes(entry.size))])
    await vault.close()
    assert on_disk(folder) <= size + SMALL
