"""Everything of an account is found from its name, logs and mails."""

from __future__ import annotations

from collections import Counter

from epost.foundation.ids import BlockKind
from epost.past.log_format import RECORDS_PER_CLUSTER_MAX
from epost.post.account_reach import AccountReach, Piece
from epost.post.app_ids import AppId
from epost.post.logs.entries import Entry
from epost.simulation.clock import run
from tests.support.post_world import Machine, World, settle
from tests.unit.post.notification.test_notifications import start

LARGE = bytes(range(256)) * 20_000


def reach(machine: Machine) -> AccountReach:
    assert machine.post is not None
    services = machine.post.services
    return AccountReach(
        accounts=services.accounts,
        blocks=machine.store,
        messages=services.messages,
        snapshots=services.snapshots,
    )


async def whole_account(machine: Machine) -> list[Piece]:
    return [piece async for piece in reach(machine).account()]


def test_certificate_identity_keyring_devices_heads_and_all_clusters_are_reached() -> None:
    async def story() -> None:
        world = World(tail_in_head=False)
        alice = world.enrol("alice")
        await start(alice)
        second = await world.recover(alice, revoke=False)
        post = await second.start()
        for number in range(2 * RECORDS_PER_CLUSTER_MAX + 5):
            await post.log.append([Entry(int(AppId.MAIL), b"%d" % number)])
        await settle(20)
        pieces = await whole_account(alice)
        kinds = Counter(piece.handle.kind for piece in pieces)
        assert kinds[BlockKind.CERTIFICATE] == 1
        assert kinds[BlockKind.CONTENT] == 1, "the keyring"
        assert kinds[BlockKind.KEY] >= 4, "identity, two device blocks, at least one head"
        assert kinds[BlockKind.CLUSTER] >= 3
        assert all(piece.handle in world.ring.blocks and not piece.error for piece in pieces)
        await world.stop()

    run(story())


def test_a_cluster_that_is_gone_ends_the_walk_with_its_name_and_reason() -> None:
    async def story() -> None:
        world = World(tail_in_head=False)
        alice = world.enrol("alice")
        post = await alice.start()
        for number in range(2 * RECORDS_PER_CLUSTER_MAX + 5):
            await post.log.append([Entry(int(AppId.MAIL), b"%d" % number)])
        await settle(20)
        clusters = [p for p in await whole_account(alice) if p.handle.kind is BlockKind.CLUSTER]
        middle = clusters[1].handle
        del world.ring.blocks[middle]
        alice.disk.vault.pop(middle, None)
        now = [p for p in await whole_account(alice) if p.handle.kind is BlockKind.CLUSTER]
        assert [p.handle for p in now] == [clusters[0].handle, middle]
        assert "before it" in now[-1].error
        await world.stop()

    run(story())


def test_a_large_message_is_its_manifest_and_all_chunks_or_the_reason_why_not() -> None:
    async def story() -> None:
        world = World()
        alice = world.enrol("alice")
        post = await alice.start()
        stored = await post.services.messages.store(LARGE)
        pieces = [p async for p in reach(alice).message(stored.reference, "a mail")]
        assert len(pieces) == 1 + -(-len(LARGE) // 2**20)
        del world.ring.blocks[stored.reference.handle]
        del alice.disk.vault[stored.reference.handle]
        (piece,) = [p async for p in reach(alice).message(stored.reference, "a mail")]
        assert piece.handle == stored.reference.handle
        assert "not known" in piece.error
        await world.stop()

    run(story())
