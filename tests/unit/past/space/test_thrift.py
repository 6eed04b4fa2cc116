"""A node that may not copy fetches nothing for the ring, serves all, and catches up later."""

from epost.foundation.ids import BlockKind
from epost.past.blocks import content_handle
from tests.support.past_ring import PastRing, in_ring

BLOCK = b"copied when there is power"
HANDLE = content_handle(BLOCK)


def test_copies_wait_while_they_may_not_be_fetched() -> None:
    async def story(ring: PastRing) -> None:
        first, second, _, heir, far = ring.closest(HANDLE)
        await ring.node(far).store.insert(BlockKind.CONTENT, BLOCK, mirror=False)
        ring.may_copy = False
        ring.fail(second)
        await ring.world.run_for(120.0)
        assert heir not in ring.roles(HANDLE)
        assert await ring.node(heir).store.lookup(HANDLE, mirror=False) == BLOCK
        ring.may_copy = True
        await ring.world.run_for(120.0)
        assert heir in ring.roles(HANDLE)
        assert first in ring.roles(HANDLE)

    in_ring(story)
