"""Who has a name, asked in a part of the ring that is cut off: nobody there may know."""

from __future__ import annotations

import asyncio

import pytest

from epost.apps.mail.delivery.submission import RecipientVerdict
from epost.foundation.errors import UnavailableError
from epost.node.settings import NodeConfigs
from epost.past.config import PastConfig
from epost.post.accounts.contacts import NobodyFound
from epost.simulation.clock import run
from epost.simulation.defects import SOUND
from epost.simulation.office import Machine, Office, OfficeConfig

MACHINES = 7
NOBODY = "nobody@example.org"


async def verdict(machine: Machine) -> object:
    assert machine.node is not None
    assert machine.node.mail is not None
    assert machine.node.post is not None
    me = machine.node.post.services.accounts.me.name
    return await machine.node.mail.submission.check_recipient(me, NOBODY)


async def resolve(machine: Machine) -> None:
    assert machine.node is not None
    assert machine.node.post is not None
    await machine.node.post.services.accounts.resolve(NOBODY, fresh=True)


@pytest.mark.no_cover  # tracing takes twice the time, and other tests run the same lines
def test_a_part_that_is_cut_off_does_not_say_that_nobody_has_a_name() -> None:
    async def story() -> None:
        nodes = NodeConfigs(past=PastConfig(repair_delay_seconds=120.0))
        office = Office(3, OfficeConfig(machines=MACHINES, users=2, nodes=nodes), SOUND)
        await office.open()
        await office.world.run_for(30)
        alice = office.users[0]
        assert await verdict(alice) is RecipientVerdict.UNKNOWN
        with pytest.raises(NobodyFound):
            await resolve(alice)

        others = [machine for machine in office.machines if machine is not alice]
        small_part = [alice.node_id, *(machine.node_id for machine in others[:2])]
        office.world.network.partition(small_part)
        for seconds in (100, 600):  # before the others count as lost, and after
            await office.world.run_for(seconds)
            assert await verdict(alice) is RecipientVerdict.UNRESOLVED
            with pytest.raises(UnavailableError):
                await resolve(alice)

        office.world.network.heal()
        await office.world.run_for(300)
        assert await verdict(alice) is RecipientVerdict.UNKNOWN

        one_gone = next(machine for machine in others if machine is not office.users[1])
        one_gone.crash(with_machine=True)
        await office.world.run_for(100)
        assert await verdict(alice) is RecipientVerdict.UNKNOWN, "two others have what it had"
        await office.close()

    run(asyncio.wait_for(story(), 3600.0))
