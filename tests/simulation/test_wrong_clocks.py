"""Machines whose clocks are hours off, as whole nodes: they store and send nevertheless."""

from __future__ import annotations

import pytest

from epost.simulation.clock import run
from epost.simulation.defects import SOUND
from epost.simulation.office import Office, OfficeConfig
from tests.simulation.test_several_machines import name_of, node_of, shown

HOUR = 3600.0


@pytest.mark.parametrize("skew_seconds", [2 * HOUR, 48 * HOUR, -2 * HOUR])
def test_what_a_machine_with_a_wrong_clock_stores_is_ring_durable(skew_seconds: float) -> None:
    async def story() -> None:
        office = Office(29, OfficeConfig(machines=7, users=2), SOUND)
        await office.open()
        await office.world.run_for(60)
        alice, bob = office.users
        bob.host.crash(with_machine=True)  # so that it is left with others, who check its date
        alice.host.clock.skew_seconds = skew_seconds
        octets = f"From: {name_of(alice)}\r\nSubject: late\r\n\r\nor early\r\n".encode()
        mail, name = node_of(alice).mail, name_of(alice)
        assert mail is not None
        submitted = await mail.submission.submit(name, name, (name_of(bob),), octets)
        assert submitted.machines >= submitted.machines_wanted
        alice.host.crash(with_machine=True)
        bob.host.start()
        await office.world.run_for(120)
        assert [found for found, _ in await shown(bob)] == [octets]
        await office.close()

    run(story())
