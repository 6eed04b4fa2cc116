"""A ring in which nothing changes is nearly silent about its blocks."""

import pytest

from epost.simulation.clock import run
from epost.simulation.storage.upkeep import MESSAGES_MAX, at_rest, fill, metered_office

MACHINES = 20


@pytest.mark.no_cover
def test_a_node_sends_less_than_four_maintenance_messages_a_minute() -> None:
    rest = at_rest(MACHINES, blocks=200, minutes=5, settling=300.0)
    assert 0 < rest.messages <= MESSAGES_MAX


@pytest.mark.no_cover  # tracing takes twice the time, and other tests run the same lines
def test_a_large_store_costs_no_more_messages_and_misses_nothing() -> None:
    async def story() -> None:
        async with metered_office(MACHINES, blocks=0) as (office, meter):
            await office.world.run_for(360.0)  # until it compares seldom
            fill(office, 5_000)
            before = meter.messages
            await office.world.run_for(180.0)
            assert 0 < meter.messages - before <= MESSAGES_MAX * MACHINES * 3
            held = [machine.host.vault.counts().replicas for machine in office.machines]
            assert sum(held) == 3 * 5_000
            assert all(m.node is not None and not m.node.blocks.below_k() for m in office.machines)

    run(story())
