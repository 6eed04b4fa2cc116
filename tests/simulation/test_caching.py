"""Whole nodes in a ring larger than their leaf sets cache what passes them by.

With digits of two bits a ring of 40 has ways of some hops, as one of thousands has with four.
"""

from __future__ import annotations

from collections import Counter

from epost.foundation.ids import BlockKind
from epost.foundation.ports import Role
from epost.node.settings import NodeConfigs
from epost.past.observed import BlockCached, CacheHit, CacheMissed
from epost.pastry.config import PastryConfig
from epost.simulation.clock import run
from epost.simulation.defects import SOUND
from epost.simulation.office import Office, OfficeConfig
from tests.simulation.test_several_machines import node_of

MACHINES = 40
BLOCK = b"asked for by everybody" * 1000


def test_a_popular_block_is_found_on_the_way_and_its_copies_are_no_replicas() -> None:
    async def story() -> None:
        configs = NodeConfigs(pastry=PastryConfig(leaf_set_size=8, bits_per_digit=2))
        office = Office(5, OfficeConfig(MACHINES, users=0, nodes=configs), SOUND)
        events: Counter[type] = Counter()
        office.world.trace.listen(lambda seen: events.update([type(seen.event)]))
        await office.open()
        await office.world.run_for(20)
        inserted = await node_of(office.machines[0]).blocks.insert(
            BlockKind.CONTENT, BLOCK, mirror=False
        )
        for machine in office.machines:
            blocks = node_of(machine).blocks
            assert await blocks.lookup(inserted.handle, mirror=False) == BLOCK
        await office.world.run_for(5)
        roles = Counter(
            entry.roles
            for machine in office.machines
            if (entry := machine.host.vault.entry(inserted.handle)) is not None
        )
        assert roles[Role.REPLICA] == 3
        assert roles[Role.CACHED] > 0
        assert sum(roles.values()) == roles[Role.REPLICA] + roles[Role.CACHED]
        assert events[CacheHit] > 0
        assert events[BlockCached] == roles[Role.CACHED]
        assert events[CacheMissed] > 0
        assert all(not node_of(machine).blocks.below_k() for machine in office.machines)
        await office.close()

    run(story())
