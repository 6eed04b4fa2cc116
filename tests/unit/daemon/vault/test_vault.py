"""The vault on SQLite: its files, what it says about wrong ones, a full disk, and kill -9."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import apsw
import pytest

from epost.daemon.vault import SqliteVault, database
from epost.daemon.vault import vault as vault_module
from epost.daemon.vault import writer as writer_module
from epost.daemon.vault.database import DISK_ERRORS, open_to_write
from epost.daemon.vault.index import ROWS_REMEMBERED_MAX
from epost.foundation.errors import ConfigError, DiskFull
from epost.foundation.ids import Id
from epost.foundation.ports import (
    DeleteBlock,
    ExtendBlock,
    PutBlock,
    PutNote,
    Role,
    SetRoles,
    VaultEntry,
)
from epost.node.commits import Commits
from epost.node.observed import BlockDamaged
from tests.support.nodes import content_handle, entry_for
from tests.support.vault_load import body_of, extended_of
from tests.support.vaults import Recorder, rot_sqlite

LARGE = bytes(300_000)
Story = Callable[[SqliteVault], Coroutine[Any, Any, None]]


def vault_in(folder: Path, recorder: Recorder | None = None) -> SqliteVault:
    return SqliteVault(
        folder,
        contributed_bytes_max=1 << 40,
        observer=recorder or Recorder(),
        reserve_bytes=0,
    )


def with_vault(folder: Path, story: Story, recorder: Recorder | None = None) -> None:
    async def whole() -> None:
        vault = vault_in(folder, recorder)
        try:
            await story(vault)
        finally:
            await vault.close()

    asyncio.run(whole())


async def nothing(_: SqliteVault) -> None:
    pass


def body_files(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "bodies").iterdir())


def put(body: bytes) -> PutBlock:
    return PutBlock(entry_for(body), body)


@pytest.mark.parametrize("roles", [Role.REPLICA, Role.REPLICA | Role.STAND_IN])
def test_a_page_of_a_longer_list_does_not_hide_what_is_written_afterwards(
    tmp_path: Path, roles: Role
) -> None:
    async def story(vault: SqliteVault) -> None:
        bodies = [b"block %d" % n for n in range(6)]
        await vault.commit([put(body) for body in bodies[:5]])
        pages = [
            vault.entries_with(roles, limit=2),
            vault.entries_between(Id(bytes(20)), Id(bytes(20)), limit=2),
        ]
        assert [len(page) for page in pages] == [2, 2]
        await vault.commit([put(bodies[5])])
        assert vault.entry(content_handle(bodies[5])) is not None

    gc.disable()  # what it would let go of by and by must not be needed
    try:
        with_vault(tmp_path, story)
    finally:
        gc.enable()


def test_a_large_body_is_a_file_as_long_as_its_block_lives(tmp_path: Path) -> None:
    async def story(vault: SqliteVault) -> None:
        handle = content_handle(LARGE)
        await vault.commit([put(LARGE)])
        assert len(body_files(tmp_path)) == 1
        first = body_files(tmp_path)
        await vault.commit([put(LARGE)])
        assert len(body_files(tmp_path)) == 1
        assert body_files(tmp_path) != first, "a name is never used twice"
        assert await vault.load(handle) == LARGE

    with_vault(tmp_path, story)


def test_files_that_no_row_names_are_swept_at_the_next_start(tmp_path: Path) -> None:
    async def before(vault: SqliteVault) -> None:
        await vault.commit([put(LARGE)])

    async def after(vault: SqliteVault) -> None:
        assert await vault.load(content_handle(LARGE)) == LARGE
        await vault.commit([put(LARGE + b"1"), put(LARGE + b"2")])

    with_vault(tmp_path, before)
    [kept] = body_files(tmp_path)
    for orphan in ("20000", "ffff0000", "rubbish"):
        (tmp_path / "bodies" / orphan).write_bytes(b"of a crash")
    with_vault(tmp_path, nothing)
    assert body_files(tmp_path) == [kept]
    with_vault(tmp_path, after)


def test_a_lost_file_is_damage(tmp_path: Path) -> None:
    recorder = Recorder()

    async def before(vault: SqliteVault) -> None:
        await vault.commit([put(LARGE)])

    async def after(vault: SqliteVault) -> None:
        assert await vault.load(content_handle(LARGE)) is None

    with_vault(tmp_path, before)
    (tmp_path / "bodies" / body_files(tmp_path)[0]).unlink()
    with_vault(tmp_path, after, recorder)
    assert recorder.events == [BlockDamaged(content_handle(LARGE))]


def test_a_body_that_is_replaced_while_it_is_read_is_not_damage(tmp_path: Path) -> None:
    recorder = Recorder()
    handle = content_handle(b"first")

    async def story(vault: SqliteVault) -> None:
        for number in range(200):
            body = b"body %d" % number
            await vault.commit([PutBlock(VaultEntry(handle, len(body), Role.REPLICA), body)])
            loading = [vault.load(handle) for _ in range(3)]
            vault.commit([PutBlock(VaultEntry(handle, 5, Role.REPLICA), b"newer")])
            loading += [vault.load(handle)]
            assert {await each for each in loading} <= {body, b"newer"}

    with_vault(tmp_path, story, recorder)
    assert recorder.events == []


def test_a_part_that_the_disk_put_elsewhere_is_damage(tmp_path: Path) -> None:
    recorder = Recorder()

    async def before(vault: SqliteVault) -> None:
        await vault.commit([put(b"one"), put(b"two")])

    async def after(vault: SqliteVault) -> None:
        assert await vault.load(content_handle(b"one")) is None
        assert await vault.load(content_handle(b"two")) is None

    with_vault(tmp_path, before)
    connection = apsw.Connection(str(tmp_path / "vault.db"))
    rows = connection.execute("SELECT id, checksum, body FROM bodies").fetchall()
    for (key, _, _), (_, checksum, body) in zip(rows, reversed(rows), strict=True):
        connection.execute(
            "UPDATE bodies SET checksum = ?, body = ? WHERE id = ?", (checksum, body, key)
        )
    connection.close()
    with_vault(tmp_path, after, recorder)


def test_a_vault_of_the_version_before_goes_on(tmp_path: Path) -> None:
    async def before(vault: SqliteVault) -> None:
        await vault.commit([put(b"one")])

    async def after(vault: SqliteVault) -> None:
        assert await vault.load(content_handle(b"one")) == b"one"
        await vault.commit([SetRoles(content_handle(b"one"), add=Role.TRASH)])
        assert len(vault.entries_with(Role.TRASH)) == 1

    with_vault(tmp_path, before)
    connection = apsw.Connection(str(tmp_path / "vault.db"))
    for index in ("diverted", "pointers", "cached", "trashed"):
        connection.execute(f"DROP INDEX {index}")
    connection.execute("PRAGMA user_version = 1")
    connection.close()
    with_vault(tmp_path, after)
    with_vault(tmp_path, after)


def test_the_disk_gets_back_what_was_freed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("epost.daemon.vault.writer.FREE_PAGES_KEPT", 16)
    monkeypatch.setattr("epost.daemon.vault.writer.GROUPS_PER_VACUUM", 1)
    bodies = [b"%d" % n + bytes(100_000) for n in range(40)]

    async def story(vault: SqliteVault) -> None:
        await vault.commit([put(body) for body in bodies])
        await vault.commit([DeleteBlock(content_handle(body)) for body in bodies])
        await vault.commit([put(b"a later one")])

    with_vault(tmp_path, story)
    assert (tmp_path / "vault.db").stat().st_size < 1_000_000


def test_a_row_that_was_read_is_read_anew_once_a_change_of_it_is_on_disk(tmp_path: Path) -> None:
    handle = content_handle(b"one")

    async def story(vault: SqliteVault) -> None:
        assert vault.entry(handle) is None
        for roles in (Role.REPLICA, Role.MIRROR, Role.STAND_IN):
            await vault.commit(
                [DeleteBlock(handle), PutBlock(VaultEntry(handle, 3, roles), b"one")]
            )
            assert vault.entry(handle) == VaultEntry(handle, 3, roles)
        others = [content_handle(b"%d" % number) for number in range(ROWS_REMEMBERED_MAX + 1)]
        assert not any(map(vault.entry, others))
        await vault.commit([DeleteBlock(handle)])
        assert vault.entry(handle) is None

    with_vault(tmp_path, story)


def test_a_commit_that_nobody_waits_for_shares_the_flush_of_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("epost.daemon.vault.vault.UNAWAITED_SECONDS", 3600.0)

    async def story(vault: SqliteVault) -> None:
        soon = vault.commit_soon([put(b"one")])
        commits = Commits(vault, send=lambda send: None, on_done=lambda size, error: True)
        commits.write([PutNote("table", b"key", b"value")], 0, is_awaited=False)
        await commits.written()
        assert soon.done()

    with_vault(tmp_path, story)


def test_only_one_process_uses_a_folder(tmp_path: Path) -> None:
    async def story(_: SqliteVault) -> None:
        with pytest.raises(ConfigError, match=r"vault\.lock: another epost"):
            vault_in(tmp_path)

    with_vault(tmp_path, story)
    with_vault(tmp_path, nothing)


def make_foreign(path: Path) -> None:
    connection = apsw.Connection(str(path))
    connection.execute("CREATE TABLE recipes (name)")
    connection.close()


def make_newer(path: Path) -> None:
    connection = open_to_write(path)
    connection.execute(f"PRAGMA user_version = {database.SCHEMA_VERSION + 1}")
    connection.close()


def make_rubbish(path: Path) -> None:
    path.write_bytes(b"not a database at all " * 1000)


def make_torn(path: Path) -> None:
    open_to_write(path).close()
    data = bytearray(path.read_bytes())
    data[100:4096] = bytes(3996)
    path.write_bytes(data)


def make_folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (make_foreign, "another program"),
        (make_newer, "format 3"),
        (make_rubbish, "not a vault"),
        (make_torn, "damaged"),
        (make_folder, "cannot be opened"),
    ],
)
def test_a_wrong_file_is_named_with_a_remedy_and_left_alone(
    tmp_path: Path, make: Callable[[Path], None], complaint: str
) -> None:
    path = tmp_path / "vault.db"
    make(path)
    before = path.read_bytes() if path.is_file() else b""
    for _ in range(2):  # the second finds the lock free
        with pytest.raises(ConfigError, match=complaint) as raised:
            with_vault(tmp_path, nothing)
        assert str(path) in str(raised.value)
    assert not path.is_file() or path.read_bytes()[:100] == before[:100]


@pytest.mark.parametrize("is_beside", [True, False])
def test_the_write_ahead_log_is_folded_back_beside_the_commits_and_by_them_if_it_grows_too_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_beside: bool
) -> None:
    monkeypatch.setattr(writer_module, "CHECKPOINT_PAGES", 20 if is_beside else 1_000_000)
    monkeypatch.setattr(writer_module, "LOG_PAGES_MAX", 1_000_000 if is_beside else 40)

    async def story(vault: SqliteVault) -> None:
        bodies = [number.to_bytes(2) * 10_000 for number in range(100)]
        for body in bodies:
            await vault.commit([put(body)])
        for body in bodies:
            assert await vault.load(content_handle(body)) == body
        if not is_beside:
            assert (tmp_path / "vault.db-wal").stat().st_size < 100 * 4096

    with_vault(tmp_path, story)
    assert (tmp_path / "vault.db").stat().st_size > 2_000_000


def test_a_full_disk_fails_this_commit_and_all_later_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def open_small(path: Path) -> apsw.Connection:
        connection = open_to_write(path)
        connection.execute("PRAGMA max_page_count = 40")
        return connection

    monkeypatch.setattr(vault_module, "open_to_write", open_small)

    async def story(vault: SqliteVault) -> None:
        await vault.commit([put(b"small")])
        failing = vault.commit([put(bytes(200_000))])
        later = vault.commit([PutNote("table", b"key", b"value")])
        for done in (failing, later, vault.commit([put(b"last")])):
            with pytest.raises(DiskFull):
                await done
        with pytest.raises(DiskFull):
            await vault.commit([put(b"last")])

    async def after(vault: SqliteVault) -> None:
        assert vault.counts().blocks == 1
        assert vault.notes("table") == []

    with_vault(tmp_path, story)
    with_vault(tmp_path, after)


def test_errors_of_sqlite_and_of_the_system_become_ours() -> None:
    def meaning(error: Exception) -> type[BaseException]:
        with pytest.raises((DiskFull, OSError)) as raised, DISK_ERRORS:
            raise error
        return raised.type

    assert meaning(OSError(errno.ENOSPC, "full")) is DiskFull
    assert meaning(apsw.FullError("full")) is DiskFull
    assert meaning(apsw.IOError("broken")) is OSError
    assert meaning(apsw.CorruptError("malformed")) is OSError
    assert meaning(PermissionError(errno.EACCES, "no")) is PermissionError


def test_what_waits_for_the_disk_counts_as_stored(tmp_path: Path) -> None:
    async def story(vault: SqliteVault) -> None:
        body = bytes(8_000_000)
        free = vault.free_bytes()
        vault.commit([put(body)])
        assert vault.free_bytes() < free - len(body) // 2
        await vault.commit([])

    with_vault(tmp_path, story)


@pytest.mark.parametrize("trial", range(3))
def test_nothing_acknowledged_is_lost_when_the_process_is_killed(
    tmp_path: Path, trial: int
) -> None:
    acknowledged = kill_in_mid_load(tmp_path, after_acknowledgements=200 + 150 * trial)

    async def story(vault: SqliteVault) -> None:
        for number in range(acknowledged):
            expected = body_of(number)
            assert await vault.load(content_handle(expected)) == extended_of(number), number
            assert vault.note("numbers", b"%d" % number) == expected[:10]

    recorder = Recorder()
    with_vault(tmp_path, story, recorder)
    assert recorder.events == []


def kill_in_mid_load(folder: Path, *, after_acknowledgements: int) -> int:
    """Let a child write, kill it without warning, return how many commits it saw acknowledged."""
    root = Path(__file__).parents[4]
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.support.vault_load", str(folder)],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root / "src")},
        stdout=subprocess.PIPE,
    )
    assert child.stdout is not None
    acknowledged = 0
    for line in child.stdout:
        acknowledged = int(line)
        if acknowledged >= after_acknowledgements:
            child.send_signal(signal.SIGKILL)
            break
    for line in child.stdout:
        if line.endswith(b"\n"):
            acknowledged = int(line)
    child.stdout.close()
    assert child.wait() == -signal.SIGKILL
    return acknowledged


def test_rot_in_an_extension_is_damage_too(tmp_path: Path) -> None:
    recorder = Recorder()
    handle = content_handle(b"head")

    async def before(vault: SqliteVault) -> None:
        await vault.commit([put(b"head")])
        await vault.commit([ExtendBlock(VaultEntry(handle, 8, Role.REPLICA), b"tail")])

    async def after(vault: SqliteVault) -> None:
        assert await vault.load(handle) is None

    with_vault(tmp_path, before)
    rot_sqlite(tmp_path, handle)
    with_vault(tmp_path, after, recorder)
    assert recorder.events == [BlockDamaged(handle)]
