"""A member leaves and another gets her name, with real daemons and the real command line."""

from __future__ import annotations

import asyncio
import json
import smtplib
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from epost.cli.commands import app
from epost.daemon.folder import NodeFolder
from tests.support.daemons import Organisation, organisation
from tests.support.demo import compose

pytestmark = pytest.mark.timeout(180)


async def epost(org: Organisation, *arguments: str, answer: str = "") -> str:
    """What the command line prints."""
    where = ("--authority-dir", str(org.authority_dir))
    result = await asyncio.to_thread(
        CliRunner().invoke, app, ["org", *arguments, *where], input=answer
    )
    assert result.exit_code == 0, result.output
    return result.stdout


async def as_json(org: Organisation, *arguments: str) -> dict[str, Any]:
    return dict(json.loads(await epost(org, *arguments, "--json")))


def rejected(org: Organisation, sender: str, recipient: str) -> bool:
    mail = NodeFolder(org.path / sender).read_config().mail
    host, _, port = mail.smtp.partition(":")
    with smtplib.SMTP(host, int(port), timeout=30) as client:
        client.login(f"{sender}@example.org", org.passwords[sender])
        client.mail(f"{sender}@example.org")
        code, _ = client.rcpt(recipient)
        return code == 550


async def until_rejected(org: Organisation, sender: str, recipient: str) -> None:
    post = org.daemons[sender].node.post
    assert post is not None
    accounts = post.services.accounts
    while not await asyncio.to_thread(rejected, org, sender, recipient):
        accounts.forget(recipient)  # what is at most a minute old is believed
        accounts._directory._verified.clear()
        await asyncio.sleep(0.2)


def test_a_member_is_removed_and_her_name_goes_to_another(tmp_path: Path) -> None:
    async def story(org: Organisation) -> None:
        for name in ("bob", "carol"):
            await org.join(name, org.invite(name))
        await org.until("alice", lambda s: s["ring"]["members"] == 3)
        members = (await as_json(org, "members"))["members"]
        assert [m["name"].partition("@")[0] for m in members] == ["alice", "bob", "carol"]
        assert {m["state"] for m in members} == {"member"}
        assert "carol@example.org" in await epost(org, "members")
        assert "kept" in await epost(org, "hold", "bob@example.org")
        assert "held" in await epost(org, "members")
        await epost(org, "hold", "--release", "bob@example.org")
        said = await epost(org, "remove", "bob@example.org", answer="y\n")
        assert "1 machine(s)" in said
        await until_rejected(org, "alice", "bob@example.org")
        await epost(org, "transfer", "bob@example.org", "carol@example.org", answer="y\n")
        message_id, octets = compose("alice@example.org", ["bob@example.org"])
        while await asyncio.to_thread(rejected, org, "alice", "bob@example.org"):
            await asyncio.sleep(0.2)
        await asyncio.to_thread(org.submit, "alice", "bob", octets)
        assert await asyncio.to_thread(org.read, "carol", message_id) == octets
        (bob,) = (
            m for m in (await as_json(org, "members"))["members"] if m["name"] == "bob@example.org"
        )
        assert (bob["state"], bob["successor"]) == ("transferred", "carol@example.org")

    organisation(tmp_path, story)


def test_the_policy_is_shown_and_set(tmp_path: Path) -> None:
    async def story(org: Organisation) -> None:
        shown = await as_json(org, "policy")
        assert (shown["node_days"], shown["must_run_node"]) == (400, False)
        changed = await epost(org, "policy", "--node-days", "200", "--must-run-node")
        assert "200 days" in changed
        assert "must run a machine" in changed
        assert (await as_json(org, "policy"))["node_days"] == 200
        lifetimes = org.daemons["alice"].node.issuers
        while lifetimes.policy.lifetimes.node_days != 200:
            await asyncio.sleep(0.1)

    organisation(tmp_path, story)
