"""Leases of what is mirrored are renewed once in a while, restarts or not."""

from epost.simulation.clock import run
from tests.support.post_world import World, settle


def test_leases_are_renewed_when_their_time_has_come_and_not_at_every_start() -> None:
    async def story() -> None:
        world = World(lease_check_seconds=10.0, lease_renewal_seconds=300.0)
        alice = world.enrol("alice")
        await alice.start()
        await settle(5)
        assert alice.store.renewals == 0
        await settle(100)
        assert alice.store.renewals == 1
        await alice.stop()
        await alice.start()
        await settle(100)
        assert alice.store.renewals == 0, "a new store: the note outlives the process"
        await settle(150)
        assert alice.store.renewals == 1
        await world.stop()

    run(story())


def test_a_clock_that_went_back_does_not_keep_them_from_being_renewed() -> None:
    async def story() -> None:
        world = World(lease_check_seconds=10.0, lease_renewal_seconds=300.0)
        alice = world.enrol("alice")
        await alice.start()
        alice.ports.clock.skew_seconds = 10 * 365 * 86_400.0
        await settle(15)
        alice.ports.clock.skew_seconds = 0.0
        await settle(15)
        assert alice.store.renewals == 2
        await world.stop()

    run(story())
