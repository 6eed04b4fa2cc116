"""`epost trace` on real daemons: where a mail is, who signed for it, and where one came from."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from epost.cli.commands import app
from epost.foundation.errors import ConfigError
from tests.support.daemons import Organisation, organisation
from tests.support.demo import compose

pytestmark = pytest.mark.timeout(180)


async def trace(org: Organisation, name: str, message_id: str) -> dict[str, Any]:
    """What the command prints for scripts; what it prints for people only has to be there."""
    arguments = ["trace", message_id, "--data-dir", str(org.path / name)]
    result = await asyncio.to_thread(CliRunner().invoke, app, [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    printed = await asyncio.to_thread(CliRunner().invoke, app, arguments)
    return {**json.loads(result.stdout), "printed": printed.stdout}


def states(traced: dict[str, Any]) -> list[str]:
    (message,) = traced["sent"]
    (recipient,) = message["recipients"]
    return [state["state"] for state in recipient["states"]]


def signers(traced: dict[str, Any], state: str) -> list[dict[str, Any]]:
    reached = traced["sent"][0]["recipients"][0]["states"]
    return next(one["signed_by"] for one in reached if one["state"] == state)


async def until(org: Organisation, message_id: str, state: str) -> dict[str, Any]:
    while state not in states(traced := await trace(org, "alice", message_id)):
        await asyncio.sleep(0.2)
    return traced


@pytest.mark.no_cover  # tracing takes twice the time, and other tests run the same lines
def test_a_mail_is_traced_from_its_sender_to_its_recipient(tmp_path: Path) -> None:
    async def story(org: Organisation) -> None:
        await org.join("bob", org.invite("bob"))
        for name in ("one", "two"):
            await org.join(name, org.invite(None))
        for name in ("alice", "bob"):
            await org.until(name, lambda s: s["ring"]["members"] == 4)
        first_id, octets = compose("alice@example.org", ["bob@example.org"])
        await asyncio.to_thread(org.submit, "alice", "bob", octets)
        await asyncio.to_thread(org.read, "bob", first_id)
        traced = await until(org, first_id, "delivered")
        assert states(traced)[:2] == ["held", "stored"]
        others = {d.node.me.node_id.hex() for d in org.daemons.values()}
        keepers = {signer["node_id"] for signer in signers(traced, "stored")}
        assert len(keepers) >= 2
        assert keepers <= others
        (signer,) = signers(traced, "delivered")
        assert (signer["account"], signer["device"]) == ("bob@example.org", 1)
        assert "to bob@example.org: delivered" in traced["printed"]
        (came,) = (await trace(org, "bob", first_id.strip("<>")))["received"]
        assert (came["from"], came["from_device"], came["folder"]) == (
            "alice@example.org", 1, "INBOX",
        )  # fmt: skip
        assert came["sent_ms"] <= came["accepted_ms"]

        await org.stop("bob")
        second_id, octets = compose("alice@example.org", ["bob@example.org"])
        await asyncio.to_thread(org.submit, "alice", "bob", octets)
        traced = await until(org, second_id, "delegated")
        nodes = {signer["node_id"] for signer in signers(traced, "delegated")}
        running = {org.daemons[n].node.me.node_id.hex() for n in ("alice", "one", "two")}
        assert nodes == running
        with pytest.raises(ConfigError, match="no mail"):
            await org.ask("alice", "trace", message_id="<unknown@example.org>")

    organisation(tmp_path, story)
