"""What lies on a stand-in though nobody is away comes soon to where it belongs."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from epost.foundation.ids import BlockKind
from epost.foundation.ports import Role
from epost.past.blocks import content_handle
from epost.past.displaced import DISPLACED_MAX
from epost.past.pending import pending_handle
from tests.support.notices import envelope_for, receipt_by
from tests.support.past_ring import FAST, PastRing, in_ring

NAMES = ["ann", "ben", "cat", "dan", "eve", "fay", "gus", "hal"]
SELDOM = replace(FAST, maintenance_interval_seconds=6000.0)
"""No round happens while the test lasts, once the ring is at rest."""
REST_SECONDS = 30.0
SOON_SECONDS = 2 * FAST.recheck_seconds + 2.0
BLOCK = b"a block"
HANDLE = content_handle(BLOCK)


@contextmanager
def silent(ring: PastRing, name: str) -> Iterator[None]:
    """For a while one of them hears nobody; nobody notices."""
    ring.world.network.partition([ring.members[name].handle.id])
    yield
    ring.world.network.heal()


def below_k(ring: PastRing, names: Sequence[str]) -> int:
    return sum(ring.node(name).store.below_k() for name in names)


def test_a_replica_that_was_slow_is_offered_what_a_stand_in_has() -> None:
    async def story(ring: PastRing) -> None:
        await ring.world.run_for(REST_SECONDS)
        first, _, _, fourth, *_, writer = ring.closest(HANDLE)
        with silent(ring, first):
            await ring.node(writer).store.insert(BlockKind.CONTENT, BLOCK)
        roles = ring.roles(HANDLE)
        assert first not in roles
        assert roles[fourth] == Role.STAND_IN
        await ring.world.run_for(SOON_SECONDS)
        assert ring.roles(HANDLE)[first] == Role.REPLICA
        assert below_k(ring, NAMES) == 0

    in_ring(story, NAMES, config=SELDOM)


def test_a_settled_notice_on_a_stand_in_is_never_said_to_be_missing() -> None:
    async def story(ring: PastRing) -> None:
        bob = ring.organisation.user("bob")
        envelope = envelope_for(bob)
        handle = pending_handle(envelope)
        first, _, _, stand_in, *_, writer = ring.closest(handle)
        await ring.world.run_for(REST_SECONDS)
        with silent(ring, first):
            await ring.node(writer).store.deposit(envelope)
        await ring.world.run_for(3.0)
        receipt = receipt_by(bob, envelope)
        await ring.node(writer).store.insert(BlockKind.RECEIPT, receipt, mirror=False)
        assert ring.roles(handle) == {stand_in: Role.STAND_IN}
        for _ in range(150):
            await ring.world.run_for(1.0)
            assert below_k(ring, NAMES) <= 1, "only while the body is asked for"
            assert ring.node(stand_in).replica.below_k() == 0
        assert ring.roles(handle) == {}, "a round came by"

    in_ring(story, NAMES, config=replace(SELDOM, maintenance_interval_seconds=800.0))


def test_what_is_remembered_is_bounded() -> None:
    async def story(ring: PastRing) -> None:
        blocks = [b"%d" % n for n in range(DISPLACED_MAX + 50)]
        displaced = ring.node("ann").replica.displaced
        for block in blocks:
            displaced.note(content_handle(block))
        assert len(displaced) == DISPLACED_MAX

    in_ring(story, NAMES)
