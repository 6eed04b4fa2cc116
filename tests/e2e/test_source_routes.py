"""Two machines that nobody can dial, in one ring through a third that both can reach."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from epost.daemon.config import NodeConfig, RingSection
from epost.daemon.joining.membership import join_organisation
from epost.daemon.joining.new_machine import NewMachine
from tests.support.daemons import Organisation, organisation

pytestmark = [pytest.mark.daemons, pytest.mark.timeout(200)]

NOWHERE = "127.0.0.1:9"


async def join_behind_a_firewall(org: Organisation, name: str) -> str:
    """Start a machine that tells an address where it cannot be found; return its node id."""
    machine = NewMachine(
        org.path / name,
        listen=f"127.0.0.1:{next(org.ports)}",
        advertise=[NOWHERE],
        config=NodeConfig(ring=RingSection(site=name)),
    )
    joined = await join_organisation(org.invite(None), machine)
    await org.start(name)
    return joined.node_id


def test_machines_behind_firewalls_keep_copies_for_each_other(tmp_path: Path) -> None:
    async def story(org: Organisation) -> None:
        left = await join_behind_a_firewall(org, "left")
        right = await join_behind_a_firewall(org, "right")
        middle = (await org.ask("alice", "ring"))["node_id"]

        async def seen(name: str) -> dict[str, str]:
            told = await org.ask(name, "ring")
            return {n["node_id"]: n["through"] for n in told["leaf_set"] if n["reachable"]}

        while await seen("left") != {middle: "", right: middle}:
            await asyncio.sleep(0.2)
        while await seen("right") != {middle: "", left: middle}:
            await asyncio.sleep(0.2)
        while (await org.ask("alice", "ring"))["below_k"]:
            await asyncio.sleep(0.2)

    organisation(tmp_path, story)
