"""The device block: addresses, prekeys and logs are published, and never two bodies per version."""

from __future__ import annotations

import msgspec
import pytest

from epost.crypto.signing import Kind
from epost.crypto.versioned import key_block_handle, make_key_block, open_key_block
from epost.foundation.codec import encode
from epost.foundation.errors import ConfigError, RefusedError, UnavailableError
from epost.foundation.ids import Address, BlockKind
from epost.past.client import Conflict
from epost.post.accounts.blocks import LOGS_MAX, DeviceInfo, LogName, decode_device_info
from epost.post.config import PostConfig
from epost.simulation.clock import run
from tests.support.post_world import RING, Machine, World, settle


def published(machine: Machine) -> DeviceInfo:
    handle = key_block_handle(machine.device.signing.public)
    return decode_device_info(open_key_block(machine.world.ring.blocks[handle].block).body.content)


def version(machine: Machine) -> int:
    handle = key_block_handle(machine.device.signing.public)
    return open_key_block(machine.world.ring.blocks[handle].block).body.version


def test_a_new_address_is_published_once() -> None:
    async def story() -> None:
        alice = World().enrol("alice")
        post = await alice.start()
        await settle()
        assert version(alice) == 1, "nothing changed"
        moved = msgspec.structs.replace(alice.node, addresses=(Address("10.0.0.1", 4000),))
        post.device_block.contact = moved
        await post.device_block.publish()
        await post.device_block.publish()
        assert published(alice).contact == moved
        assert version(alice) == 2
        await alice.stop()

    run(story())


def test_a_log_that_a_smaller_ring_lists_is_listed_again_when_the_ring_has_grown() -> None:
    async def story() -> None:
        world = World()
        world.replicas = 1
        alice = world.enrol("alice")
        post = await alice.start()
        (log,) = await post.device_block.logs()
        assert (await post.device_block.publish(log)).acked == 1
        world.replicas = 3
        assert (await post.device_block.publish(log)).acked == 3
        assert version(alice) == 1, "the same block, on more machines"
        await alice.stop()

    run(story())


def test_what_a_clone_added_is_merged() -> None:
    async def story() -> None:
        alice = World().enrol("alice")
        post = await alice.start()
        await settle()
        known = open_key_block(
            alice.world.ring.blocks[key_block_handle(alice.device.signing.public)].block
        )
        other = LogName(b"o" * 16, alice.device.log_key(b"o" * 16).public)
        info = decode_device_info(known.body.content)
        theirs = msgspec.structs.replace(info, logs=(*info.logs, other))
        block = make_key_block(
            alice.device.signing, Kind.DEVBLOCK, ring=RING, previous=known,
            issued_at=alice.ports.clock.wall_ms(), content=encode(theirs),
        )  # fmt: skip
        alice.world.publish(BlockKind.KEY, block.data)
        mine = LogName(b"m" * 16, alice.device.log_key(b"m" * 16).public)
        assert (await post.device_block.publish(mine)).ring_durable
        assert published(alice).logs == (*info.logs, other, mine)
        before = alice.lookups
        await post.device_block.publish(mine)
        assert alice.lookups == before, "known to be listed"
        await alice.stop()

    run(story())


def test_it_gives_up_where_it_cannot_be_right() -> None:
    async def story() -> None:
        alice = World().enrol("alice")
        post = await alice.start()
        await settle()
        for number in range(LOGS_MAX - 1):
            incarnation = bytes((number,)) * 16
            name = LogName(incarnation, alice.device.log_key(incarnation).public)
            await post.device_block.publish(name)
        last = LogName(b"z" * 16, alice.device.log_key(b"z" * 16).public)
        with pytest.raises(RefusedError, match="restored"):
            await post.device_block.publish(last)
        alice.is_online = False
        with pytest.raises(UnavailableError):
            await post.device_block.publish()
        alice.is_online = True

        async def conflict(_kind: BlockKind, block: bytes, *, mirror: bool = True) -> None:
            raise Conflict(key_block_handle(alice.device.signing.public), block)

        alice.store.insert = conflict  # type: ignore[method-assign, assignment]
        with pytest.raises(UnavailableError, match="another machine"):
            await post.device_block.publish()
        del alice.store.insert
        handle = key_block_handle(alice.device.signing.public)
        del alice.world.ring.blocks[handle]
        alice.disk.vault.pop(handle)
        alice.disk.tables.pop("post.device")
        with pytest.raises(UnavailableError, match="not in the ring"):
            await post.device_block.publish()
        await alice.stop()

    run(story())


def test_settings_must_be_positive() -> None:
    with pytest.raises(ConfigError):
        PostConfig(presence_seconds=0)
