"""With `gc = leases`, what somebody refers to outlives its lease, and what nobody does is freed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from epost.foundation.ids import Handle
from epost.foundation.ports import Role
from epost.node.settings import NodeConfigs
from epost.past.config import PastConfig
from epost.past.observed import LeaseEnded
from epost.post.config import PostConfig
from epost.post.storage.references import Secrecy
from epost.simulation.clock import run
from epost.simulation.defects import SOUND
from epost.simulation.office import Machine, Office, OfficeConfig
from epost.simulation.world import Observed
from tests.simulation.test_renewal import Years
from tests.simulation.test_several_machines import node_of

FREEING = NodeConfigs(
    past=replace(
        PastConfig(), frees_expired=True, steady_clock_seconds=20.0, lease_sweep_seconds=5.0
    ),
    post=PostConfig(lease_check_seconds=10.0),
)
REPAIR_SECONDS = 1500.0
ATTACHMENT = bytes(range(256)) * 400


def roles(office: Office, handle: Handle) -> list[Role]:
    """Return as what the running machines keep a block."""
    entries = [machine.host.vault.entry(handle) for machine in office.running]
    return sorted(entry.roles for entry in entries if entry is not None)


async def refer_to(machine: Machine, attachment: bytes) -> Handle:
    """Store an attachment as a member of the organisation does; those of equal bytes are one."""
    post = node_of(machine).post
    assert post is not None
    stored = await post.services.messages.store(attachment, secrecy=Secrecy.ORGANISATION)
    (handle,) = await post.services.messages.handles_of(stored.reference)
    return handle


def watch_leases(office: Office) -> list[Handle]:
    """Return a list that gets every block whose lease ends though somebody there refers to it."""
    missed: list[Handle] = []

    def hear(seen: Observed) -> None:
        if isinstance(seen.event, LeaseEnded):
            entries = [m.host.vault.entry(seen.event.handle) for m in office.running]
            if any(entry is not None and entry.roles & Role.MIRROR for entry in entries):
                missed.append(seen.event.handle)

    office.world.trace.listen(hear)
    return missed


@pytest.mark.long
def test_one_attachment_of_several_stays_until_the_last_of_them_has_gone() -> None:
    async def story() -> None:
        office = Office(29, OfficeConfig(machines=7, users=3, nodes=FREEING), SOUND)
        await office.open()
        await office.world.run_for(60)
        years = Years(office)
        missed = watch_leases(office)
        _, alice, bob = office.users  # the authority is at the first of them
        handle = await refer_to(alice, ATTACHMENT)
        assert await refer_to(bob, ATTACHMENT) == handle
        await years.pass_days(600)
        assert sum(bool(role & Role.REPLICA) for role in roles(office, handle)) == 3
        await alice.host.stop()
        await office.world.run_for(REPAIR_SECONDS)
        await years.pass_days(600)
        assert sum(bool(role & Role.REPLICA) for role in roles(office, handle)) == 3
        await bob.host.stop()
        await office.world.run_for(REPAIR_SECONDS)
        await years.pass_days(390)
        assert sum(bool(role & Role.REPLICA) for role in roles(office, handle)) == 3
        await years.pass_days(60)
        assert roles(office, handle) == [Role.TRASH] * 3
        await years.pass_days(120)
        assert roles(office, handle) == []
        assert missed == []
        await office.close()

    run(story())
