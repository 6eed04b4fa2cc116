"""A lost laptop: the 24 words bring the account back on a new machine, with all of its mail."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from epost.cli.commands import app
from epost.daemon.authority.authority import Authority
from epost.daemon.authority.world import system_world
from epost.daemon.folder import NodeFolder
from epost.daemon.joining.new_machine import NewMachine
from epost.daemon.joining.recovery import recover_account
from epost.foundation.errors import ConfigError, RefusedError
from tests.support.daemons import Organisation, organisation
from tests.support.demo import compose

pytestmark = pytest.mark.timeout(180)

WORDS = " ".join(["abandon"] * 23 + ["art"])


def invite_device(org: Organisation, name: str) -> str:
    with Authority.open(org.authority_dir, system_world()) as authority:
        return authority.invite_device(f"{name}@example.org")


async def epost(*arguments: str) -> dict[str, str]:
    """What the command line prints as JSON."""
    result = await asyncio.to_thread(CliRunner().invoke, app, [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    return dict(json.loads(result.stdout))


async def recover(org: Organisation, name: str, folder: str) -> None:
    address, paper = f"{name}@example.org", org.path / "paper"
    paper.write_text(WORDS)
    where = ("--authority-dir", str(org.authority_dir))
    invitation = (await epost("invite", address, "--another-machine", *where))["invite"]
    here = ("--data-dir", str(org.path / folder), "--listen", f"127.0.0.1:{next(org.ports)}")
    command = ("recover", invitation, *here, "--words-file", str(paper))
    refused = await asyncio.to_thread(CliRunner().invoke, app, command)
    assert isinstance(refused.exception, RefusedError), "words of another account"
    paper.write_text(org.words[name])
    joined = await epost(*command)
    assert joined["name"] == address
    org.passwords[name] = joined["password"]
    org.set_mail_ports(folder)
    await org.start(folder)


async def whole(org: Organisation, names: list[str], members: int) -> None:
    for name in names:
        await org.until(
            name, lambda s: s["ring"]["members"] == members and s["log"] in ("ring-durable", None)
        )


@pytest.mark.no_cover  # tracing takes twice the time, and other tests run the same lines
def test_after_a_lost_laptop_the_words_bring_all_mail_back(tmp_path: Path) -> None:
    async def story(org: Organisation) -> None:
        await org.join("bob", org.invite("bob"))
        await org.join("store", org.invite(None))
        await whole(org, ["alice", "bob"], 3)
        before = [compose("alice@example.org", ["bob@example.org"], size=s) for s in (900, 90_000)]
        for message_id, octets in before:
            await asyncio.to_thread(org.submit, "alice", "bob", octets)
            await asyncio.to_thread(org.read, "bob", message_id)
        node_id = org.daemons["bob"].node.me.node_id
        await org.stop("bob")
        shutil.rmtree(org.path / "bob")
        with Authority.open(org.authority_dir, system_world()) as authority:
            authority.revoke_node(node_id)
        message_id, octets = compose("alice@example.org", ["bob@example.org"], size=2000)
        await asyncio.to_thread(org.submit, "alice", "bob", octets)
        await recover(org, "bob", "bob")
        for known_id, known in [*before, (message_id, octets)]:
            assert await asyncio.to_thread(org.read, "bob", known_id) == known
        message_id, octets = compose("bob@example.org", ["alice@example.org"])
        await asyncio.to_thread(org.submit, "bob", "alice", octets)
        assert await asyncio.to_thread(org.read, "alice", message_id) == octets

    organisation(tmp_path, story)


def test_an_invitation_serves_what_it_was_made_for_and_only_with_the_right_words(
    tmp_path: Path,
) -> None:
    async def story(org: Organisation) -> None:
        await org.join("bob", org.invite("bob"))
        here = f"127.0.0.1:{next(org.ports)}"
        one, two, bob = (NewMachine(org.path / name, here) for name in ("one", "two", "bob"))
        for_bob = invite_device(org, "bob")
        with pytest.raises(RefusedError, match="not the 24 words"):
            await recover_account(for_bob, WORDS, one)
        with pytest.raises(RefusedError, match="epost join"):
            await recover_account(org.invite("carol"), org.words["bob"], two)
        with pytest.raises(RefusedError, match="epost recover"):
            await org.join("other", for_bob)
        with pytest.raises(ConfigError, match="already"):
            await recover_account(for_bob, org.words["bob"], bob)
        with pytest.raises(RefusedError, match="no account"):
            invite_device(org, "carol")
        assert not NodeFolder(org.path / "one").is_enrolled

    organisation(tmp_path, story)
