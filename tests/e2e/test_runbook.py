"""docs/runbook.md, gone through with real daemons: all machines burned but one."""

from __future__ import annotations

import asyncio
import imaplib
import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from epost.cli.commands import app
from epost.daemon.authority.authority import Authority
from epost.daemon.authority.world import system_world
from epost.daemon.folder import NodeFolder
from epost.foundation.errors import UnavailableError
from tests.support.daemons import Organisation, organisation
from tests.support.demo import compose

pytestmark = [pytest.mark.daemons, pytest.mark.long, pytest.mark.timeout(300)]


async def epost(*arguments: str) -> str:
    """What the command line prints."""
    result = await asyncio.to_thread(CliRunner().invoke, app, list(arguments))
    assert result.exit_code == 0, result.output
    return result.stdout


async def burn(org: Organisation, *names: str) -> None:
    for name in names:
        await org.stop(name)
        shutil.rmtree(org.path / name)


async def restore(org: Organisation, file: Path, name: str) -> None:
    paper = org.path / "paper"
    paper.write_text(org.words[name])
    where = ("--data-dir", str(org.path / name), "--authority-dir", str(org.authority_dir))
    said = await epost("restore", str(file), *where, "--secret-file", str(paper))
    assert "is a machine again" in " ".join(said.split())
    await org.start(name)


def test_all_machines_burned_but_one(tmp_path: Path) -> None:
    async def story(org: Organisation) -> None:
        # Three machines: alice with the authority, bob, and one that only stores.
        await org.join("bob", org.invite("bob"))
        await org.join("store", org.invite(None))
        await org.until("alice", lambda s: s["ring"]["members"] == 3)
        mails = [compose("bob@example.org", ["alice@example.org"], size=s) for s in (900, 90_000)]
        for message_id, octets in mails:
            await asyncio.to_thread(org.submit, "bob", "alice", octets)
            assert await asyncio.to_thread(org.read, "alice", message_id) == octets

        # The backup, while the daemon runs.
        file = org.path / "backup"
        where = ("--data-dir", str(org.path / "alice"), "--authority-dir", str(org.authority_dir))
        made = json.loads(await epost("backup", str(file), *where, "--json"))
        assert made["name"] == "alice@example.org"
        assert made["authority"]
        saved = file.read_bytes()
        for secret in (org.authority_dir / "issuer.key", org.path / "alice" / "node.key"):
            assert secret.read_bytes()[-32:] not in saved

        # After it: somebody leaves, a mail comes. The backup knows of neither.
        await org.join("carol", org.invite("carol"))
        with Authority.open(org.authority_dir, system_world()) as authority:
            authority.members.remove("carol@example.org")
            block = authority._word.newest().body.version
            while authority.log._published() < authority.log.reached:
                await asyncio.sleep(0.1)
        serials = len(org.daemons["alice"].node.issuers.trust.issuers)
        late_id, late = compose("bob@example.org", ["alice@example.org"])
        await asyncio.to_thread(org.submit, "bob", "alice", late)
        assert await asyncio.to_thread(org.read, "alice", late_id) == late
        bob = org.daemons["bob"].node
        while (await org.ask("bob", "status"))["ring"]["enrolled"] != 3:
            await asyncio.sleep(0.1)
        await org.stop("carol")
        await asyncio.sleep(3)

        # Fire: bob's machine is left.
        await burn(org, "alice", "store")
        shutil.rmtree(org.authority_dir)

        # From the backup, with the 24 words, on a new machine.
        await restore(org, file, "alice")
        # The authority has caught up: numbers go on, who had left stays out.
        with Authority.open(org.authority_dir, system_world()) as authority:
            while authority.is_restored:
                await asyncio.sleep(0.2)
            assert authority._word.newest().body.version > block
            revoked = bob.issuers._revoked
            assert len(revoked) >= 2, "carol's machine and her account"
            assert authority.log.reached == 7, "carol's name and machine, which the backup lacks"
            lost = authority.members.find_node(_store_of(authority))
        await epost(
            "org", "revoke-node", lost.hex(), "--authority-dir", str(org.authority_dir), "--yes"
        )

        # Whoever is left agrees again, and everything is there, what came after the backup too.
        await org.until("alice", lambda s: s["log"] == "ring-durable")
        for message_id, octets in [*mails, (late_id, late)]:
            assert await read_when_there(org, "alice", message_id) == octets
        message_id, octets = compose("alice@example.org", ["bob@example.org"])
        await asyncio.to_thread(org.submit, "alice", "bob", octets)
        assert await asyncio.to_thread(org.read, "bob", message_id) == octets

        # New machines in place of the burned ones.
        while True:
            try:
                await org.join("store-2", org.invite(None))
            except UnavailableError:  # it enrols again once it has caught up
                await asyncio.sleep(0.5)
            else:
                break
        await org.join("dora", org.invite("dora"))
        for name in ("alice", "bob"):
            await org.until(
                name, lambda s: s["storage"]["below_k"] == 0 and s["ring"]["members"] == 4
            )
        await bob_sees_no_alarm(org)
        assert serials == 1

    organisation(tmp_path, story)


async def read_when_there(org: Organisation, name: str, message_id: str) -> bytes:
    """Read a mail; the INBOX cannot be selected while the ring does not give all of it yet."""
    while True:
        try:
            return await asyncio.to_thread(org.read, name, message_id)
        except imaplib.IMAP4.error:
            await asyncio.sleep(0.5)


def _store_of(authority: Authority) -> str:
    (store,) = (
        node for node, name in authority.members.nodes() if not name and not node.revoked_at
    )
    return store.node_id.hex()


async def bob_sees_no_alarm(org: Organisation) -> None:
    watch = org.daemons["bob"].watch
    await watch.look()
    assert list(watch.alarms()) == []


def test_a_machine_that_only_stores_is_restored_under_a_passphrase(tmp_path: Path) -> None:
    async def story(org: Organisation) -> None:
        await org.join("store", org.invite(None))
        await org.until("alice", lambda s: s["ring"]["members"] == 2)
        phrase, file = org.path / "phrase", org.path / "backup"
        phrase.write_text("a passphrase\n")
        nowhere = ("--authority-dir", str(org.path / "none"))
        where = ("--data-dir", str(org.path / "store"), *nowhere)
        await epost("backup", str(file), *where, "--passphrase-file", str(phrase))
        node_id = org.daemons["store"].node.me.node_id
        await burn(org, "store")
        await epost("restore", str(file), *where, "--secret-file", str(phrase))
        await org.start("store")
        assert org.daemons["store"].node.me.node_id == node_id
        await org.until("alice", lambda s: s["ring"]["members"] == 2)
        result = await asyncio.to_thread(
            CliRunner().invoke, app, ["restore", str(file), *where, "--secret-file", str(phrase)]
        )
        assert "already" in str(result.exception)
        assert NodeFolder(org.path / "store").is_enrolled

    organisation(tmp_path, story)
