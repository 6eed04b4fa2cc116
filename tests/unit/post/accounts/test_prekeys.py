"""Sealing keys: renewed every week, destroyed after a grace and a drain, never too early."""

from __future__ import annotations

import pytest

from epost.crypto.sealing import HpkeSealing, key_id
from epost.crypto.versioned import key_block_handle, open_key_block
from epost.past.pending import ENVELOPE, Envelope
from epost.post.accounts.blocks import DeviceInfo, decode_device_info
from epost.post.accounts.devices import DeviceSecrets
from epost.post.notification.notices import NoKey, open_envelope, seal_notice
from epost.post.observed import PrekeysDestroyed
from epost.simulation.clock import run
from epost.simulation.world import EPOCH_MS, SimulatedEntropy
from tests.support.post_world import RING, Machine, World, settle
from tests.unit.post.notification.test_notifications import send, start

DAY = 24 * 3600.0
WEEK = 7 * DAY
SEALING = HpkeSealing()


def quiet_world() -> World:
    """One where nothing happens that is not looked at here."""
    pauses = {"presence_seconds": 6 * 3600.0, "prekey_check_seconds": 6 * 3600.0}
    return World(sibling_seconds=DAY, sibling_seconds_alone=DAY, log_look_seconds=1e9, **pauses)


def published(machine: Machine) -> DeviceInfo:
    handle = key_block_handle(machine.device.signing.public)
    return decode_device_info(open_key_block(machine.world.ring.blocks[handle].block).body.content)


def recorded(machine: Machine) -> Envelope:
    """What somebody recorded on the wire: sealed to the machine's present key."""
    sealed = seal_notice(
        b"signed",
        to_ring=RING,
        to_account=machine.device.account_id,
        expires_at=EPOCH_MS,
        sealing_keys=[published(machine).newest_prekey.public_key],
        sealing=SEALING,
        entropy=SimulatedEntropy(1, "recorded"),
    )
    return ENVELOPE.decode(sealed.envelope)


def opened_with(disk: DeviceSecrets, envelope: Envelope) -> bytes:
    """What somebody opens who has all that is on the machine's disk."""
    seeds = [p.seed for p in disk.prekeys] + [disk.sealing_seed, disk.signing_seed, disk.log_seed]
    by_id = {key_id(SEALING.public_key(seed)): seed for seed in seeds}
    return open_envelope(envelope, by_id.get, SEALING)


def test_prekeys_are_renewed_every_week_and_kept_before_they_are_published() -> None:
    async def story() -> None:
        alice = World(presence_seconds=1e9, sibling_seconds=1e9, log_look_seconds=1e9).enrol(
            "alice"
        )
        await alice.start()
        first = published(alice).newest_prekey
        await settle(WEEK - 7200)
        assert published(alice).newest_prekey == first
        alice.is_online = False
        await settle(10_000)
        assert len(alice.secrets.prekeys) == 2, "on disk, not yet published"
        alice.is_online = True
        await settle(2 * WEEK)
        info = published(alice)
        assert len(info.prekeys) == 3
        assert all(alice.device.prekey_seed(prekey.key_id) for prekey in info.prekeys)
        assert alice.device.prekey_seed(first.key_id), "old ones still open"
        await alice.stop()

    run(story())


def test_after_grace_and_drain_a_recorded_notice_opens_with_nothing_on_the_disk() -> None:
    async def story() -> None:
        alice = quiet_world().enrol("alice")
        await alice.start()
        envelope = recorded(alice)
        await settle(27 * DAY)  # superseded for twenty
        assert opened_with(alice.secrets, envelope) == b"signed"
        await settle(3 * DAY)
        with pytest.raises(NoKey):
            opened_with(alice.secrets, envelope)
        assert alice.observer.of(PrekeysDestroyed) == [PrekeysDestroyed(1)]
        assert alice.device.prekey_seed(published(alice).newest_prekey.key_id)
        await alice.stop()
        await alice.start()  # and the restart finds a whole state
        await settle(WEEK)
        assert len(alice.secrets.prekeys) == 4
        await alice.stop()

    run(story())


def test_a_key_stays_for_as_long_as_somebody_brings_what_is_sealed_to_it() -> None:
    async def story() -> None:
        alice = quiet_world().enrol("alice")
        post = await alice.start()
        old = published(alice).newest_prekey.key_id
        for _ in range(80):
            await settle(DAY / 2)
            assert post.prekeys.seed_of(old)
        await settle(3 * DAY)
        assert post.prekeys.seed_of(old) is None
        await alice.stop()

    run(story())


def test_the_grace_stands_still_while_the_machine_is_away_or_cut_off() -> None:
    async def story() -> None:
        alice = quiet_world().enrol("alice")
        post = await alice.start()
        old = published(alice).newest_prekey.key_id
        await settle(8 * DAY)
        assert published(alice).newest_prekey.key_id != old
        await alice.stop()
        await settle(60 * DAY)
        post = await alice.start()
        await settle(15 * DAY)
        assert alice.device.prekey_seed(old), "it was superseded for sixteen days of presence"
        alice.is_online = False
        await settle(30 * DAY)
        assert alice.device.prekey_seed(old), "nobody can have brought anything"
        alice.is_online = True
        await settle(3 * DAY)
        assert alice.device.prekey_seed(old), "sixteen and three"
        await settle(4 * DAY)
        assert post.prekeys.seed_of(old) is None
        await alice.stop()

    run(story())


def test_mail_that_waits_for_longer_than_the_grace_is_sealed_anew_and_arrives_once() -> None:
    async def story() -> None:
        world = quiet_world()
        alice, bob, carol = (world.enrol(name) for name in ("alice", "bob", "carol"))
        await start(alice)
        await start(carol)
        world.delegates = [carol] * 3
        await send(alice, b"hello", "bob")  # left with carol, sealed to bob's first key
        assert world.pending
        await alice.stop()
        carol.is_online = False
        inbox = await start(bob)
        await settle(35 * DAY)
        assert inbox.received == []
        assert bob.observer.of(PrekeysDestroyed)
        carol.is_online = True
        await start(alice)
        await settle(DAY)
        assert [n.content for n in inbox.received] == [b"hello"]
        await world.stop()

    run(story())
