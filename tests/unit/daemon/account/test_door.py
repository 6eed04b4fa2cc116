"""What the account key signs reaches the ring by way of the daemon, unless somebody was quicker."""

from __future__ import annotations

import asyncio
import base64

import pytest

from epost.daemon.account.door import AccountDoor
from epost.foundation.errors import RefusedError
from epost.foundation.ids import BlockKind
from epost.node.assembly import Node
from epost.post.accounts.device_changes import Change, change_devices
from epost.post.accounts.devices import AccountKeys
from epost.post.accounts.new_devices import draw_seeds, public_half
from epost.post.accounts.recovery import find_account
from epost.simulation.clock import run
from epost.simulation.defects import SOUND
from epost.simulation.office import Machine, Office, OfficeConfig
from epost.simulation.world import SimulatedClock, SimulatedEntropy


def node_of(machine: Machine) -> Node:
    assert machine.node is not None
    return machine.node


async def one_more(machine: Machine, which: str) -> Change:
    """Sign the change by which the account of a machine gets one more device."""
    assert machine.account is not None
    node = node_of(machine)
    keys = AccountKeys(machine.account.recovery_seed)
    found = await find_account(keys, node.blocks, node.sealing)
    entropy = SimulatedEntropy(1, "one more", which)
    return change_devices(
        keys,
        found,
        admitted=public_half(draw_seeds(entropy), node.sealing),
        ring=node.me.ring,
        now_ms=SimulatedClock().wall_ms(),
        sealing=node.sealing,
        entropy=entropy,
    )


async def insert(machine: Machine, change: Change) -> None:
    door = AccountDoor(node_of(machine)).commands()["insert"]
    for kind, block in (
        (BlockKind.CONTENT, change.keyring),
        (BlockKind.KEY, change.identity.data),
    ):
        await door({"kind": int(kind), "block": base64.b64encode(block).decode()})


async def listed(machine: Machine) -> list[int]:
    door = AccountDoor(node_of(machine)).commands()["devices"]
    said = await door({})
    return [device["number"] for device in said["devices"]]


def test_of_two_changes_at_one_moment_the_second_is_refused_and_can_be_said_again() -> None:
    async def story() -> None:
        office = Office(5, OfficeConfig(machines=6, users=1), SOUND)
        await office.open()
        await office.world.run_for(60)
        (alice,) = office.users
        first, second = await asyncio.gather(one_more(alice, "laptop"), one_more(alice, "desktop"))
        await insert(alice, first)
        with pytest.raises(RefusedError, match="say it again in a minute"):
            await insert(alice, second)
        assert len(await listed(alice)) == 2, "the first"
        await insert(alice, await one_more(alice, "desktop"))
        assert len(await listed(alice)) == 3
        await office.close()

    run(story())
