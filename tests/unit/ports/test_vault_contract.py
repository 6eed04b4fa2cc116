"""What both vaults promise: the one on SQLite and its simulated twin."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from epost.daemon.vault import SqliteVault
from epost.foundation.errors import DiskFull
from epost.foundation.ids import BlockKind, Handle, Id, point
from epost.foundation.ports import (
    DeleteBlock,
    DeleteNote,
    ExtendBlock,
    PutBlock,
    PutNote,
    Role,
    SetRoles,
    SetTicket,
    Vault,
    VaultCounts,
    VaultEntry,
)
from epost.node.observed import BlockDamaged
from epost.simulation.clock import run as run_virtually
from epost.simulation.vault import DiskConfig, SimulatedDisk, SimulatedVault
from tests.support.vaults import Recorder, rot_sqlite

CONTRIBUTED_BYTES_MAX = 10_000_000
MIRROR, REPLICA, STAND_IN, UNPUSHED = Role.MIRROR, Role.REPLICA, Role.STAND_IN, Role.UNPUSHED


@dataclass
class Twin:
    """One kind of vault: how to open it (again), and how to harm it."""

    open: Callable[[], Vault]
    run: Callable[[Coroutine[Any, Any, None]], None]
    rot: Callable[[Handle], None]
    recorder: Recorder


def sqlite_twin(folder: Path) -> Twin:
    recorder = Recorder()

    def open_it() -> Vault:
        return SqliteVault(
            folder,
            contributed_bytes_max=CONTRIBUTED_BYTES_MAX,
            observer=recorder,
            reserve_bytes=0,
        )

    return Twin(open_it, asyncio.run, lambda handle: rot_sqlite(folder, handle), recorder)


def simulated_twin(_: Path) -> Twin:
    recorder = Recorder()
    config = DiskConfig(contributed_bytes_max=CONTRIBUTED_BYTES_MAX)
    disk = SimulatedDisk(config, Random(1))

    def rot(handle: Handle) -> None:
        disk.durable.flip_bit(handle, 77)

    return Twin(lambda: SimulatedVault(disk, recorder), run_virtually, rot, recorder)


@pytest.fixture(params=[sqlite_twin, simulated_twin], ids=["sqlite", "simulated"])
def twin(request: pytest.FixtureRequest, tmp_path: Path) -> Twin:
    return request.param(tmp_path / "vault")


def with_vault(twin: Twin, story: Callable[[Vault], Coroutine[Any, Any, None]]) -> None:
    """Run a story with an open vault, and close it."""

    async def whole() -> None:
        vault = twin.open()
        try:
            await story(vault)
        finally:
            await vault.close()

    twin.run(whole())


def handle_at(place: int, kind: BlockKind = BlockKind.CONTENT, tail: int = 0) -> Handle:
    return Handle(kind, point(place) + tail.to_bytes(12, "big"))


def entry_at(handle: Handle, body: bytes = b"body", roles: Role = REPLICA) -> VaultEntry:
    return VaultEntry(handle, len(body), roles)


def put_at(place: int, body: bytes = b"body", roles: Role = REPLICA) -> PutBlock:
    return PutBlock(entry_at(handle_at(place), body, roles), body)


HANDLE = handle_at(1000)
LARGE = hashlib.sha256(b"large").digest() * 20_000


def test_a_block_is_readable_at_once_and_after_it_is_durable(twin: Twin) -> None:
    entry = VaultEntry(
        HANDLE, 5, REPLICA, version=7, body_hash=b"hash", proof=b"proof", ticket=b"ticket"
    )

    async def story(vault: Vault) -> None:
        assert vault.entry(HANDLE) is None
        assert await vault.load(HANDLE) is None
        done = vault.commit([PutBlock(entry, b"hello")])
        for _ in range(2):
            assert vault.entry(HANDLE) == entry
            assert await vault.load(HANDLE) == b"hello"
            await done

    with_vault(twin, story)


def test_everything_committed_is_there_after_opening_again(twin: Twin) -> None:
    async def before(vault: Vault) -> None:
        vault.commit([put_at(1), put_at(2, LARGE, MIRROR), PutNote("table", b"key", b"value")])
        extended = replace(entry_at(handle_at(1)), size=10)
        await vault.commit([ExtendBlock(extended, b"suffix")])

    async def after(vault: Vault) -> None:
        assert await vault.load(handle_at(1)) == b"bodysuffix"
        assert await vault.load(handle_at(2)) == LARGE
        assert vault.note("table", b"key") == b"value"
        assert vault.counts() == VaultCounts(2, 10 + len(LARGE), 1, 0, 1, 0)

    with_vault(twin, before)
    with_vault(twin, after)


def test_putting_again_replaces_row_and_body_and_unites_the_roles(twin: Twin) -> None:
    async def story(vault: Vault) -> None:
        for body in (b"first", LARGE, b"third"):
            entry = replace(entry_at(HANDLE, body), version=len(body), roles=REPLICA)
            await vault.commit([PutBlock(entry, body)])
            assert await vault.load(HANDLE) == body
        mirrored = replace(entry, roles=MIRROR)
        vault.commit([PutBlock(mirrored, b"third")])
        assert vault.entry(HANDLE) == replace(entry, roles=MIRROR | REPLICA)

    with_vault(twin, story)


def test_extensions_follow_each_other_durable_or_not(twin: Twin) -> None:
    async def story(vault: Vault) -> None:
        body = b"head"
        await vault.commit([PutBlock(entry_at(HANDLE, body), body)])
        for number in range(20):
            suffix = b"record %d " % number
            body += suffix
            entry = replace(entry_at(HANDLE, body), version=number, proof=suffix)
            done = vault.commit([ExtendBlock(entry, suffix)])
            assert vault.entry(HANDLE) == entry
            assert await vault.load(HANDLE) == body
            if number % 3 == 0:
                await done
            assert await vault.load(HANDLE) == body

    with_vault(twin, story)


def test_a_block_that_was_put_large_can_be_extended(twin: Twin) -> None:
    async def story(vault: Vault) -> None:
        await vault.commit([PutBlock(entry_at(HANDLE, LARGE), LARGE)])
        await vault.commit([ExtendBlock(entry_at(HANDLE, LARGE + b"more"), b"more")])
        assert await vault.load(HANDLE) == LARGE + b"more"

    with_vault(twin, story)


def test_roles_come_and_go_and_a_block_without_any_is_gone(twin: Twin) -> None:
    async def story(vault: Vault) -> None:
        entry = replace(entry_at(HANDLE, roles=STAND_IN), stand_in_for=b"somebody")
        await vault.commit([PutBlock(entry, b"body")])
        vault.commit([SetRoles(HANDLE, add=REPLICA)])
        assert vault.entry(HANDLE) == replace(entry, roles=REPLICA | STAND_IN)
        await vault.commit([SetRoles(HANDLE, remove=STAND_IN)])
        assert vault.entry(HANDLE) == replace(entry, roles=REPLICA, stand_in_for=b"")
        await vault.commit([SetRoles(HANDLE, remove=REPLICA)])
        assert vault.entry(HANDLE) is None
        assert await vault.load(HANDLE) is None
        assert vault.counts() == VaultCounts(0, 0, 0, 0, 0, 0)

    with_vault(twin, story)


def test_a_later_put_does_not_forget_for_whom_the_block_stands_in(twin: Twin) -> None:
    async def story(vault: Vault) -> None:
        entry = replace(entry_at(HANDLE, roles=STAND_IN), stand_in_for=b"somebody")
        vault.commit([PutBlock(entry, b"body"), PutBlock(entry_at(HANDLE), b"body")])
        assert vault.entry(HANDLE) == replace(entry, roles=REPLICA | STAND_IN)

    with_vault(twin, story)


def test_roles_and_deletion_of_absent_blocks_and_notes_are_ignored(twin: Twin) -> None:
    async def story(vault: Vault) -> None:
        await vault.commit(
            [SetRoles(HANDLE, add=REPLICA), DeleteBlock(HANDLE), DeleteNote("table", b"key")]
        )
        assert vault.entry(HANDLE) is None

    with_vault(twin, story)


def test_a_block_can_go_and_come_back_in_one_commit(twin: Twin) -> None:
    async def story(vault: Vault) -> None:
        await vault.commit([put_at(1000, b"old", MIRROR)])
        await vault.commit([DeleteBlock(HANDLE), put_at(1000, b"new")])
        assert vault.entry(HANDLE) == entry_at(HANDLE, b"new")
        assert await vault.load(HANDLE) == b"new"
        await vault.commit([DeleteBlock(HANDLE)])
        assert await vault.load(HANDLE) is None

    with_vault(twin, story)


@pytest.mark.parametrize(
    "write",
    [
        ExtendBlock(entry_at(HANDLE), b"suffix"),
        PutBlock(replace(entry_at(HANDLE), size=5), b"body"),
        PutBlock(entry_at(HANDLE, roles=Role.NONE), b"body"),
        PutNote("table", b"key", bytes(1024 * 1024 + 1)),
    ],
)
def test_senseless_writes_are_bugs_of_the_caller(twin: Twin, write: Any) -> None:
    async def story(vault: Vault) -> None:
        with pytest.raises(AssertionError):
            vault.commit([write])

    with_vault(twin, story)


def test_notes_are_kept_by_table_in_key_order(twin: Twin) -> None:
    async def story(vault: Vault) -> None:
        keys = [b"b", b"", b"c", b"a", b"aa"]
        await vault.commit([PutNote("table", key, b"old") for key in keys])
        await vault.commit([PutNote("other", b"x", b"y"), DeleteNote("table", b"c")])
        vault.commit([PutNote("table", b"b", bytes(1024 * 1024)), PutNote("table", b"d", b"")])
        vault.commit([DeleteNote("table", b"a")])
        expected = [(b"", b"old"), (b"aa", b"old"), (b"b", bytes(1024 * 1024)), (b"d", b"")]
        assert vault.notes("table") == expected
        assert vault.note("table", b"a") is None
        assert vault.note("table", b"d") == b""
        assert vault.notes("nothing here") == []

    with_vault(twin, story)


def places_of(entries: Sequence[VaultEntry]) -> list[int]:
    return [int.from_bytes(entry.handle.place, "big") for entry in entries]


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (10, 30, [20, 30]),
        (0, 15, [10]),
        (30, 10, [40, 2**160 - 1, 0, 10]),
        (20, 20, [30, 40, 2**160 - 1, 0, 10, 20]),
        (0, 0, [10, 20, 30, 40, 2**160 - 1, 0]),
        (41, 50, []),
        (2**160 - 1, 0, [0]),
    ],
)
@pytest.mark.parametrize("limit", [1, 2, 1000])
@pytest.mark.parametrize("is_durable", [True, False])
def test_an_arc_is_walked_clockwise_page_by_page(
    twin: Twin, start: int, end: int, expected: list[int], limit: int, is_durable: bool
) -> None:
    async def story(vault: Vault) -> None:
        done = vault.commit([put_at(place) for place in (40, 0, 2**160 - 1, 20, 10, 30)])
        if is_durable:
            await done
        found: list[VaultEntry] = []
        after: Handle | None = None
        while page := vault.entries_between(point(start), point(end), after=after, limit=limit):
            assert len(page) <= limit
            found += page
            after = page[-1].handle
        assert places_of(found) == expected

    with_vault(twin, story)


def test_blocks_of_one_place_follow_in_handle_order(twin: Twin) -> None:
    handles = [
        handle_at(5, BlockKind.KEY, 2),
        handle_at(5, BlockKind.CONTENT, 9),
        handle_at(5, BlockKind.CONTENT, 1),
    ]

    async def story(vault: Vault) -> None:
        await vault.commit([PutBlock(entry_at(handle), b"body") for handle in handles])
        everything = Id(bytes(20))
        found = vault.entries_between(everything, everything)
        assert [entry.handle for entry in found] == sorted(handles)
        rest = vault.entries_between(everything, everything, after=min(handles))
        assert [entry.handle for entry in rest] == sorted(handles)[1:]

    with_vault(twin, story)


def test_a_walk_sees_pending_changes_over_durable_rows(twin: Twin) -> None:
    async def story(vault: Vault) -> None:
        await vault.commit([put_at(place) for place in (10, 20, 30)])
        vault.commit([DeleteBlock(handle_at(10)), put_at(25), put_at(20, b"newer")])
        found = vault.entries_between(point(0), point(0))
        assert places_of(found) == [20, 25, 30]
        assert found[0].size == len(b"newer")

    with_vault(twin, story)


def test_blocks_are_listed_by_role_in_handle_order(twin: Twin) -> None:
    async def story(vault: Vault) -> None:
        writes = [put_at(place, roles=REPLICA) for place in (9, 3)]
        writes += [put_at(place, roles=MIRROR | UNPUSHED) for place in (8, 2, 5)]
        await vault.commit([*writes, put_at(7, roles=STAND_IN)])
        vault.commit([put_at(4, roles=UNPUSHED), SetRoles(handle_at(5), remove=UNPUSHED)])
        assert places_of(vault.entries_with(UNPUSHED)) == [2, 4, 8]
        assert places_of(vault.entries_with(MIRROR)) == [2, 5, 8]
        assert places_of(vault.entries_with(STAND_IN)) == [7]
        assert places_of(vault.entries_with(REPLICA, limit=1)) == [3]
        assert places_of(vault.entries_with(UNPUSHED, after=handle_at(2))) == [4, 8]

    with_vault(twin, story)


def test_counts_follow_every_write(twin: Twin) -> None:
    async def story(vault: Vault) -> None:
        await vault.commit([put_at(1, roles=MIRROR | UNPUSHED), put_at(2, b"longer body")])
        assert vault.counts() == VaultCounts(2, 15, 1, 0, 1, 1)
        vault.commit([SetRoles(handle_at(1), add=STAND_IN, remove=UNPUSHED)])
        assert vault.counts() == VaultCounts(2, 15, 1, 1, 1, 0)
        vault.commit([put_at(2, b""), DeleteBlock(handle_at(1))])
        assert vault.counts() == VaultCounts(1, 0, 1, 0, 0, 0)

    with_vault(twin, story)


def test_a_put_ends_what_was_only_pointed_to_or_cached_or_trash(twin: Twin) -> None:
    async def story(vault: Vault) -> None:
        for role in (Role.POINTER, Role.CACHED, Role.TRASH):
            pointer = replace(entry_at(HANDLE, b"", roles=role), stand_in_for=b"somebody")
            await vault.commit([PutBlock(pointer, b"")])
            assert vault.entry(HANDLE) == pointer
            await vault.commit([PutBlock(entry_at(HANDLE), b"body")])
            assert vault.entry(HANDLE) == entry_at(HANDLE)
            assert await vault.load(HANDLE) == b"body"
            await vault.commit([DeleteBlock(HANDLE)])

    with_vault(twin, story)


def test_each_role_is_counted_and_found_by_itself(twin: Twin) -> None:
    async def story(vault: Vault) -> None:
        roles = (Role.DIVERTED, Role.POINTER, Role.CACHED, Role.TRASH)
        await vault.commit([put_at(n, b"body", roles=role) for n, role in enumerate(roles)])
        counts = vault.counts()
        assert (counts.diverted, counts.pointers, counts.cached, counts.trashed) == (1, 1, 1, 1)
        assert (counts.cached_bytes, counts.trashed_bytes) == (4, 4)
        for n, role in enumerate(roles):
            assert [e.handle for e in vault.entries_with(role)] == [handle_at(n)]

    with_vault(twin, story)


def test_a_lease_is_renewed_with_its_ticket(twin: Twin) -> None:
    async def story(vault: Vault) -> None:
        await vault.commit([PutBlock(entry_at(HANDLE), b"body"), SetTicket(HANDLE, b"newer")])
        assert vault.entry(HANDLE) == replace(entry_at(HANDLE), ticket=b"newer")
        assert await vault.load(HANDLE) == b"body"
        await vault.commit([SetTicket(handle_at(9), b"of nothing")])
        assert vault.entry(handle_at(9)) is None

    with_vault(twin, story)


def test_only_what_is_kept_for_the_ring_uses_up_the_contributed_space(twin: Twin) -> None:
    async def story(vault: Vault) -> None:
        free = vault.free_bytes()
        assert free == CONTRIBUTED_BYTES_MAX < vault.room_bytes()
        vault.commit([put_at(1, bytes(1000), roles=MIRROR)])
        assert vault.free_bytes() == free
        vault.commit([put_at(2, bytes(1000))])
        assert vault.free_bytes() == free - 1000
        await vault.commit([put_at(3, bytes(CONTRIBUTED_BYTES_MAX))])
        assert vault.free_bytes() == 0
        assert vault.room_bytes() > CONTRIBUTED_BYTES_MAX

    with_vault(twin, story)


def test_commits_finish_in_order(twin: Twin) -> None:
    finished: list[int] = []

    async def story(vault: Vault) -> None:
        for number in range(50):
            done = vault.commit([put_at(number)])
            done.add_done_callback(lambda _, number=number: finished.append(number))
        await vault.commit([])
        assert finished == list(range(50))

    with_vault(twin, story)


def test_what_nobody_waits_for_is_read_at_once_and_durable_soon_and_in_order(twin: Twin) -> None:
    async def story(vault: Vault) -> None:
        soon = vault.commit_soon([PutNote("table", b"key", b"soon")])
        assert vault.note("table", b"key") == b"soon"
        await vault.commit([PutNote("table", b"key", b"later")])
        assert soon.done()
        await vault.commit_soon([PutNote("other", b"key", b"by itself")])

    with_vault(twin, story)


def test_closing_finishes_what_was_committed_and_refuses_more(twin: Twin) -> None:
    async def story(vault: Vault) -> None:
        done = vault.commit([put_at(1)])
        await vault.close()
        assert done.done()
        assert done.exception() is None
        with pytest.raises(OSError, match="closed"):
            await vault.commit([put_at(2)])

    with_vault(twin, story)


def test_a_cancelled_wait_takes_nothing_back(twin: Twin) -> None:
    async def story(vault: Vault) -> None:
        vault.commit([put_at(1)]).cancel()
        vault.load(handle_at(1)).cancel()
        await vault.commit([put_at(2)])

    async def after(vault: Vault) -> None:
        assert places_of(vault.entries_between(point(0), point(0))) == [1, 2]

    with_vault(twin, story)
    with_vault(twin, after)


@pytest.mark.parametrize("body", [b"body", LARGE], ids=["inline", "file"])
def test_a_rotten_body_is_reported_and_absent_until_it_is_put_again(
    twin: Twin, body: bytes
) -> None:
    put = PutBlock(entry_at(HANDLE, body, MIRROR), body)

    async def before(vault: Vault) -> None:
        await vault.commit([put, put_at(2)])

    async def story(vault: Vault) -> None:
        assert vault.entry(HANDLE) == put.entry
        assert await vault.load(HANDLE) is None
        assert twin.recorder.events == [BlockDamaged(HANDLE)]
        assert vault.entry(HANDLE) is None
        assert vault.is_damaged(HANDLE)
        assert await vault.load(HANDLE) is None
        assert places_of(vault.entries_between(point(0), point(0))) == [2]
        assert vault.entries_with(MIRROR) == []
        assert vault.counts() == VaultCounts(1, 4, 1, 0, 0, 0)
        assert len(twin.recorder.events) == 1

    async def after(vault: Vault) -> None:
        assert vault.entry(HANDLE) is None
        again = replace(put.entry, roles=REPLICA)
        await vault.commit([PutBlock(again, body)])
        assert vault.entry(HANDLE) == replace(put.entry, roles=MIRROR | REPLICA)
        assert not vault.is_damaged(HANDLE)
        assert await vault.load(HANDLE) == body

    with_vault(twin, before)
    twin.rot(HANDLE)
    with_vault(twin, story)
    with_vault(twin, after)


def test_an_extension_of_a_damaged_block_leaves_it_damaged(twin: Twin) -> None:
    async def before(vault: Vault) -> None:
        await vault.commit([put_at(1000)])

    async def story(vault: Vault) -> None:
        loading = vault.load(HANDLE)
        vault.commit([ExtendBlock(entry_at(HANDLE, b"bodymore"), b"more")])
        assert await loading is None
        vault.commit([ExtendBlock(entry_at(HANDLE, b"bodymoremore"), b"more")])
        await vault.commit([SetRoles(HANDLE, add=MIRROR)])
        assert vault.entry(HANDLE) is None
        await vault.commit([SetRoles(HANDLE, remove=MIRROR | REPLICA)])
        assert vault.counts() == VaultCounts(0, 0, 0, 0, 0, 0)

    with_vault(twin, before)
    twin.rot(HANDLE)
    with_vault(twin, story)


def test_a_full_disk_fails_the_commit_and_every_later_one() -> None:
    async def story() -> None:
        disk = SimulatedDisk(DiskConfig(capacity_bytes=10), Random(1))
        vault = SimulatedVault(disk, Recorder())
        first = vault.commit([put_at(1)])
        failing = [vault.commit([put_at(2, bytes(100))]), vault.commit([put_at(3)])]
        await first
        for done in failing:
            with pytest.raises(DiskFull):
                await done
        await vault.close()
        assert places_of(SimulatedVault(disk, Recorder()).entries_with(REPLICA)) == [1]

    run_virtually(story())
