"""What the account key signs reaches the ring by way of the daemon, unless somebody was quicker."""

from __future__ import annotations

import asyncio
import json

from epost.daemon.account.door import AccountDoor, BlocksOfDaemon
from epost.node.assembly import Node
from epost.post.accounts.amending import amend_account
from epost.post.accounts.device_amendments import Admission, Revocation
from epost.post.accounts.devices import AccountKeys, Signing
from epost.post.accounts.new_devices import draw_seeds, public_half
from epost.simulation.clock import run
from epost.simulation.defects import SOUND
from epost.simulation.office import Machine, Office, OfficeConfig
from epost.simulation.world import SimulatedClock, SimulatedEntropy


def node_of(machine: Machine) -> Node:
    assert machine.node is not None
    return machine.node


class ByTheDoor(BlocksOfDaemon):
    """The command line's way to the ring, without the socket."""

    def __init__(self, machine: Machine) -> None:
        self.commands = AccountDoor(node_of(machine)).commands()

    async def _ask(self, command: str, **arguments: object) -> dict[str, object]:
        said = await self.commands[command](json.loads(json.dumps(arguments)))
        return json.loads(json.dumps(said))


def signing(machine: Machine, which: str) -> Signing:
    assert machine.account is not None
    node = node_of(machine)
    keys = AccountKeys(machine.account.recovery_seed)
    entropy = SimulatedEntropy(1, "one more", which)
    return Signing(keys, SimulatedClock().wall_ms(), node.sealing, entropy)


async def amend(machine: Machine, by: Signing, amendment: Admission | Revocation) -> None:
    await amend_account(by, ByTheDoor(machine), amendment)


async def add(machine: Machine, which: str) -> None:
    by = signing(machine, which)
    admission = Admission(by, public_half(draw_seeds(by.entropy), by.sealing))
    await amend(machine, by, admission)


async def revoke(machine: Machine, number: int) -> None:
    by = signing(machine, f"revokes {number}")
    await amend(machine, by, Revocation(by, number))


async def listed(machine: Machine) -> list[int]:
    door = AccountDoor(node_of(machine)).commands()["devices"]
    said = await door({})
    return [device["number"] for device in said["devices"]]


def test_of_two_changes_at_one_moment_by_way_of_two_machines_both_are_made() -> None:
    async def story() -> None:
        office = Office(5, OfficeConfig(machines=6, users=1), SOUND)
        await office.open()
        await office.world.run_for(60)
        (alice,) = office.users
        other = office.machines[-1]
        assert alice.account is not None
        await other.take_account(alice.account, revoke=False)
        await other.host.stop()
        other.host.start()
        await node_of(other).ready()
        await office.world.run_for(60)
        await asyncio.gather(add(alice, "laptop"), revoke(other, 2))
        assert await listed(alice) == [1, 3]
        await office.world.run_for(300)
        assert await listed(alice) == [1, 3], "whatever replicas give each other"
        await office.close()

    run(story())
