"""The administrator rotates the organisation's secret; daemons follow, and go on sharing."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from epost.cli.commands import app
from epost.daemon.folder import NodeFolder
from tests.support.daemons import Organisation, organisation
from tests.support.demo import compose

pytestmark = [pytest.mark.daemons, pytest.mark.long, pytest.mark.timeout(180)]


async def epost(*arguments: str) -> str:
    """What the command line prints."""
    result = await asyncio.to_thread(CliRunner().invoke, app, list(arguments))
    assert result.exit_code == 0, result.output
    return result.stdout


def epochs(org: Organisation, name: str) -> list[int]:
    """Of which epochs a machine has the secret on its disk."""
    secrets = NodeFolder(org.path / name).read_device_secrets(None)
    return [known.epoch for known in secrets.organisation_secrets]


def test_members_follow_a_rotation_and_who_was_removed_does_not(tmp_path: Path) -> None:
    async def story(org: Organisation) -> None:
        await org.join("bob", org.invite("bob"))
        await org.join("carol", org.invite("carol"))
        authority = ("--authority-dir", str(org.authority_dir))
        before_id, before = compose("bob@example.org", ["alice@example.org"], size=90_000)
        await asyncio.to_thread(org.submit, "bob", "alice", before)
        await epost("org", "remove", "carol@example.org", "--yes", *authority)
        assert json.loads(await epost("org", "rotate-secret", *authority, "--json")) == {"epoch": 2}
        while (epochs(org, "alice"), epochs(org, "bob")) != ([2], [2]):
            await asyncio.sleep(0.2)
        assert epochs(org, "carol") == [1]
        after_id, after = compose("bob@example.org", ["alice@example.org"], size=90_000)
        await asyncio.to_thread(org.submit, "bob", "alice", after)
        for message_id, octets in ((before_id, before), (after_id, after)):
            assert await asyncio.to_thread(org.read, "alice", message_id) == octets
        await org.stop("bob")
        await org.start("bob")
        assert org.daemons["bob"].node.device is not None
        assert org.daemons["bob"].node.device.organisation_secret is not None
        assert "epoch 3" in await epost("org", "rotate-secret", *authority)

    organisation(tmp_path, story)
