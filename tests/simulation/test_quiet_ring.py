"""A ring in which nothing changes is nearly silent about its blocks."""

from dataclasses import replace

from epost.foundation.ids import BlockKind
from epost.simulation.clock import run
from epost.simulation.defects import SOUND
from epost.simulation.office import Office, OfficeConfig
from epost.simulation.storage.metering import Meter

MACHINES, MINUTES = 20, 5


def test_a_node_sends_less_than_four_maintenance_messages_a_minute() -> None:
    meter = Meter()

    async def story() -> float:
        office = Office(1, OfficeConfig(MACHINES, users=0), replace(SOUND, node=meter.node_type()))
        await office.open()
        node = office.machines[3].node
        assert node is not None
        blocks = [(BlockKind.CONTENT, b"%d" % n) for n in range(200)]
        await node.blocks.insert_many(blocks, mirror=False)
        await office.world.run_for(300.0)
        before = meter.messages
        await office.world.run_for(60.0 * MINUTES)
        await office.close()
        return (meter.messages - before) / (MACHINES * MINUTES)

    assert 0 < run(story()) <= 4
