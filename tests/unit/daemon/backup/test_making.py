"""What a backup brings back: the same machine and the same authority, in empty folders only."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from epost.daemon.authority.authority import Authority
from epost.daemon.authority.world import system_world
from epost.daemon.backup.contents import Moved
from epost.daemon.backup.file import read_backup
from epost.daemon.backup.making import make_backup, restore_backup
from epost.daemon.demo.state import free_ports
from epost.daemon.folder import NodeFolder
from epost.daemon.joining.membership import found_organisation
from epost.daemon.joining.new_machine import NewMachine
from epost.daemon.joining.recovery_words import seed_of_words
from epost.daemon.observability.logs import LoggingObserver
from epost.daemon.vault import SqliteVault
from epost.foundation.errors import ConfigError, RefusedError
from epost.foundation.ports import PutNote

MOVED = Moved("127.0.0.1:4999", ("127.0.0.1:4998",), "127.0.0.1:4997")


async def founded(path: Path) -> str:
    """Make an organisation and note something in its founder's vault; return her 24 words."""
    ring, enrol = free_ports(2)
    joined = await found_organisation(
        "example.org",
        "alice",
        NewMachine(path / "node", f"127.0.0.1:{ring}"),
        path / "authority",
        enrol_listen=f"127.0.0.1:{enrol}",
    )
    (path / "node" / "vault").mkdir(mode=0o700)
    vault = SqliteVault(
        path / "node" / "vault", contributed_bytes_max=1 << 30, observer=LoggingObserver()
    )
    await vault.commit([PutNote("post.log", b"base", b"b"), PutNote("past.usage", b"m", b"u")])
    await vault.close()
    return joined.recovery_words


def test_a_machine_with_the_authority_comes_back_where_it_is_now(tmp_path: Path) -> None:
    async def story() -> None:
        words = await founded(tmp_path)
        file = tmp_path / "backup"
        made = make_backup(file, tmp_path / "node", tmp_path / "authority", None)
        assert (made.name, made.authority) == ("alice@example.org", True)
        assert made.as_dict()["octets"] == file.stat().st_size
        saved, to = read_backup(file), tmp_path / "new"
        with pytest.raises(RefusedError):
            await restore_backup(saved, bytes(32), to / "node", to / "authority", MOVED)
        seed = seed_of_words(words)
        done = await restore_backup(saved, seed, to / "node", to / "authority", MOVED)
        assert done == (True, True)
        old, new = NodeFolder(tmp_path / "node"), NodeFolder(to / "node")
        assert new.read_membership() == old.read_membership()
        assert new.read_node_seed() == old.read_node_seed()
        was, now = old.read_device_secrets(), new.read_device_secrets()
        assert now.signing_seed == was.signing_seed
        assert len(now.prekeys) == 1
        assert now.prekeys[0].seed not in {bytes(32), was.prekeys[-1].seed}, "not in the backup"
        config = new.read_config()
        assert (config.ring.listen, config.ring.advertise) == (MOVED.listen, MOVED.advertise)
        assert config.authority.directory == str(to / "authority")
        assert config.authority.listen == MOVED.enrol_listen
        vault = SqliteVault(
            to / "node" / "vault", contributed_bytes_max=1 << 30, observer=LoggingObserver()
        )
        assert vault.notes("post.log") == [(b"base", b"b")]
        assert vault.notes("past.usage") == [], "it is about blocks on the lost disk"
        await vault.close()
        with Authority.open(to / "authority", system_world()) as authority:
            assert authority.is_restored
            assert authority.enrolment_address.port == 4997
            assert [m.name for m in authority.members.all()] == ["alice@example.org"]
        for target in ((to / "node", to / "other"), (to / "other", to / "authority")):
            with pytest.raises(ConfigError, match="already"):
                await restore_backup(saved, seed, *target, MOVED)

    asyncio.run(story())


def test_an_authority_alone_is_saved_under_a_passphrase(tmp_path: Path) -> None:
    async def story() -> None:
        await founded(tmp_path)
        file, nowhere = tmp_path / "backup", tmp_path / "none"
        with pytest.raises(ConfigError, match="--passphrase"):
            make_backup(file, nowhere, tmp_path / "authority", None)
        with pytest.raises(ConfigError, match="anything to save"):
            make_backup(file, nowhere, nowhere, "tea")
        made = make_backup(file, nowhere, tmp_path / "authority", "tea")
        assert (made.name, made.authority) == ("", True)
        to = tmp_path / "new"
        done = await restore_backup(read_backup(file), "tea", to / "node", to / "a", Moved())
        assert done == (False, True)
        assert not NodeFolder(to / "node").is_enrolled

    asyncio.run(story())
