"""Daemons in this process: founding, inviting, joining, a mail across, and what they tell."""

import asyncio
import json
import urllib.request
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from epost.cli.commands import app
from epost.daemon.authority.authority import Authority
from epost.daemon.authority.world import system_world
from epost.daemon.demo.state import free_ports
from epost.daemon.folder import NodeFolder
from epost.daemon.joining.membership import join_organisation
from epost.daemon.joining.new_machine import NewMachine
from epost.foundation.errors import ConfigError, RefusedError, UnavailableError
from tests.support.daemons import Organisation, organisation
from tests.support.demo import compose

pytestmark = pytest.mark.timeout(120)

NOWHERE = "127.0.0.1:1"


def test_a_member_joins_with_one_line_and_a_mail_goes_across(tmp_path: Path) -> None:
    async def story(org: Organisation) -> None:
        result = await asyncio.to_thread(
            CliRunner().invoke,
            app,
            ["invite", "bob@example.org", "--authority-dir", str(org.authority_dir), "--json"],
        )
        await org.join("bob", json.loads(result.output)["invite"])
        for name in ("alice", "bob"):
            await org.until(
                name,
                lambda s: (
                    s["ring"]["members"] == s["ring"]["enrolled"] == 2
                    and s["log"] == "ring-durable"
                ),
            )
        message_id, octets = compose("alice@example.org", ["bob@example.org"], size=40_000)
        answer = await asyncio.to_thread(org.submit, "alice", "bob", octets)
        assert "ring-durable: on 2 of 2" in answer
        assert await asyncio.to_thread(org.read, "bob", message_id) == octets
        parts = (await org.ask("bob", "parts", message_id=message_id))["parts"]
        assert all(len(part["holders"]) == 2 for part in parts)
        while (await org.ask("alice", "queue"))["waiting"]:
            await asyncio.sleep(0.05)  # receipts are logged together, once a second

    organisation(tmp_path, story)


def test_mail_waits_visibly_while_the_recipient_is_away(tmp_path: Path) -> None:
    async def story(org: Organisation) -> None:
        with Authority.open(org.authority_dir, system_world()) as authority:
            invitation = authority.invite("bob@example.org")
        await org.join("bob", invitation)
        await org.until("alice", lambda s: s["ring"]["members"] == 2)
        await org.daemons["bob"].node.stop()
        message_id, octets = compose("alice@example.org", ["bob@example.org"])
        answer = await asyncio.to_thread(org.submit, "alice", "bob", octets)
        assert "held locally" in answer
        (row,) = (await org.ask("alice", "queue"))["waiting"]
        assert row["recipient"] == "bob@example.org"
        for arguments in (["queue"], ["queue", "--json"], ["status"], ["status", "--json"]):
            result = await asyncio.to_thread(
                CliRunner().invoke, app, [*arguments, "--data-dir", str(org.path / "alice")]
            )
            assert result.exit_code == 0, result.output
        assert message_id

    organisation(tmp_path, story)


def test_a_held_mail_is_shown_outlives_a_restart_and_can_be_taken_back(tmp_path: Path) -> None:
    async def cli(*arguments: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, app, arguments)

    async def story(org: Organisation) -> None:
        data = ("--data-dir", str(org.path / "alice"))
        _, octets = compose("alice@example.org", ["alice@example.org"])
        options = ("HOLDFOR=3600",)
        answer = await asyncio.to_thread(org.submit, "alice", "alice", octets, options)
        assert "held until" in answer
        await org.stop("alice")
        await org.start("alice")
        (row,) = json.loads((await cli("queue", "--json", *data)).output)["waiting"]
        assert row["held_until"] > "2026"
        shown = (await cli("queue", *data)).output
        assert "to leave" in shown
        assert "epost queue --cancel ID" in shown
        for wrong in ("", "0123", "0" * 32):
            assert (await cli("queue", "--cancel", wrong, *data)).exit_code != 0
        taken_back = await cli("queue", "--cancel", row["id"][:8], *data)
        assert f"Taken back: {row['id']}" in taken_back.output
        assert "Nothing waits" in (await cli("queue", *data)).output

    organisation(tmp_path, story)


def test_metrics_count_and_names_do_not_appear(tmp_path: Path) -> None:
    async def story(org: Organisation) -> None:
        port = org.daemons["alice"].metrics_port
        url = f"http://127.0.0.1:{port}/metrics"
        text = await asyncio.to_thread(lambda: urllib.request.urlopen(url).read().decode())
        assert "epost_blocks " in text
        assert "epost_ring_ready 1.0" in text
        assert 'epost_events_total{event="BecameReady",part="pastry"} 1.0' in text
        assert "epost_join_seconds_count 1.0" in text
        assert "alice" not in text
        assert "127.0.0.1" not in text

    organisation(tmp_path, story)


def test_the_command_line_shows_the_ring_and_revokes_machines(tmp_path: Path) -> None:
    async def cli(*arguments: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, app, arguments)

    async def story(org: Organisation) -> None:
        authority = ("--authority-dir", str(org.authority_dir))
        data = ("--data-dir", str(org.path / "alice"))
        with Authority.open(org.authority_dir, system_world()) as open_authority:
            invitations = [open_authority.invite(name) for name in ("bob@example.org", None)]
        await org.join("bob", invitations[0])
        await org.join("storage", invitations[1])
        await org.until("alice", lambda s: s["ring"]["members"] == s["ring"]["enrolled"] == 3)
        shown = await cli("ring", *data)
        assert "clockwise" in shown.output
        assert "It rests on" in shown.output
        told = json.loads((await cli("ring", "--json", *data)).output)
        assert len(told["leaf_set"]) == 2
        storage = (await org.ask("storage", "status"))["node_id"]
        nodes = json.loads((await cli("org", "nodes", "--json", *authority)).output)["nodes"]
        users = ["alice@example.org", "bob@example.org", ""]
        assert [node["user"] for node in nodes] == users
        assert isinstance(
            (await cli("org", "revoke-node", "nobody", *authority)).exception, RefusedError
        )
        revoked = await cli("org", "revoke-node", storage[:8], "--yes", "--json", *authority)
        assert json.loads(revoked.output) == {"revoked": storage}
        asked = await asyncio.to_thread(
            CliRunner().invoke, app, ["org", "revoke-node", "bob@example.org", *authority], "y\n"
        )
        assert "is revoked" in asked.output
        await org.until("alice", lambda s: s["ring"]["enrolled"] == 1)
        assert "revoked" in (await cli("org", "nodes", *authority)).output

    organisation(tmp_path, story)


def test_invitations_are_for_free_names_of_the_domain_and_for_once(tmp_path: Path) -> None:
    async def story(org: Organisation) -> None:
        with Authority.open(org.authority_dir, system_world()) as authority:
            for name in ("alice@example.org", "bob@elsewhere.org", "not a name"):
                with pytest.raises(RefusedError):
                    authority.invite(name)
            invitation = authority.invite(None)
            await org.join("storage", invitation)
            with pytest.raises(RefusedError, match="used already"):
                await join_organisation(invitation, NewMachine(org.path / "other", NOWHERE))
            storage = (await org.ask("storage", "status"))["node_id"]
            authority.revoke_node(bytes.fromhex(storage))
            with pytest.raises(RefusedError):
                authority.revoke_node(bytes.fromhex(storage))
        await org.until("alice", lambda s: s["ring"]["enrolled"] == 1)
        with pytest.raises(ConfigError, match="already"):
            await join_organisation(invitation, NewMachine(org.path / "storage", NOWHERE))

    organisation(tmp_path, story)


def test_a_folder_of_nobody_and_a_missing_authority_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="epost join"):
        NodeFolder(tmp_path).read_membership()
    with pytest.raises(ConfigError, match="24 words"):
        NodeFolder(tmp_path).read_node_seed()
    with pytest.raises(ConfigError, match="epost org init"):
        Authority.open(tmp_path, system_world())

    async def nobody_listens() -> None:
        world = system_world()
        from epost.foundation.ids import Address

        (port,) = free_ports(1)
        with Authority.create(
            tmp_path / "a", "example.org", Address("127.0.0.1", port), world
        ) as authority:
            invitation = authority.invite("bob@example.org")
        with pytest.raises(UnavailableError, match=str(port)):
            await join_organisation(invitation, NewMachine(tmp_path / "bob", NOWHERE))
        assert not NodeFolder(tmp_path / "bob").is_enrolled

    asyncio.run(nobody_listens())
