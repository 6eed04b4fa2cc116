"""Several devices of one account: each reads what the others logged, once and in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from epost.crypto.sealing import HpkeSealing
from epost.foundation.codec import encode
from epost.foundation.errors import NoSuchUser, RefusedError
from epost.foundation.ids import BlockKind
from epost.post.accounts.devices import AccountKeys
from epost.post.accounts.finding import find_account
from epost.post.app_ids import AppId
from epost.post.logs.entries import Entry, Origin
from epost.post.messages import Grew
from epost.post.notification.records import DeliveryState
from epost.post.observed import (
    DataKeysChanged,
    DeviceRevoked,
    KeyringUnreadable,
    OutboxInherited,
    SiblingUnreadable,
)
from epost.simulation.clock import run
from tests.support.post_world import DOMAIN, Crash, Machine, World, settle
from tests.unit.post.notification.test_notifications import Inbox, folder, send, unreachable


@dataclass
class Notebook:
    """An application that keeps what the other devices logged."""

    pages: dict[int, list[tuple[int, bytes]]] = field(default_factory=dict)
    tellings: int = 0

    def read_to(self, device: int) -> int:
        return max((number for number, _ in self.pages.get(device, ())), default=0)

    async def take(self, origin: Origin, after: int, entries: Sequence[tuple[int, Entry]]) -> None:
        assert after == self.read_to(origin.device)
        self.tellings += 1
        page = self.pages.setdefault(origin.device, [])
        page += [(number, bytes(entry.payload)) for number, entry in entries]

    def texts(self, device: int = 1) -> list[bytes]:
        return [text for _, text in self.pages.get(device, ())]


async def start(machine: Machine) -> Notebook:
    inbox, notebook = Inbox(), Notebook()
    post = await machine.start(lambda p: p.services.notifications.register(AppId.MAIL, inbox))
    post.siblings.register(AppId.MAIL, notebook)
    if machine not in machine.world.delegates:
        machine.world.delegates.append(machine)
    return notebook


async def write(machine: Machine, *texts: bytes) -> None:
    assert machine.post is not None
    for text in texts:
        await machine.post.log.append([Entry(AppId.MAIL, text)])


def numbered(count: int, prefix: str = "page") -> list[bytes]:
    return [f"{prefix} {number}".encode() for number in range(count)]


def test_after_the_loss_of_a_machine_the_phrase_brings_everything_back() -> None:
    async def story() -> None:
        world = World()
        alice, bob = world.enrol("alice"), world.enrol("bob")
        await start(alice)
        await start(bob)
        written = numbered(173)
        await write(alice, *written)
        await alice.stop()
        again = await world.recover(alice, revoke=True)
        notebook = await start(again)
        await settle(30)
        assert notebook.texts() == written
        sent = await send(bob, b"hello again", "alice")
        assert sent.durability.ring_durable
        assert b"hello again" in await folder(again)
        await world.stop()

    run(story())


def test_a_machine_that_dies_between_a_cluster_and_its_head_leaves_a_log_that_reads() -> None:
    async def story() -> None:
        world = World()
        alice, bob = world.enrol("alice"), world.enrol("bob")
        await start(alice)
        await start(bob)
        inserted, texts = world.ring.inserted, [b"x" * 10_000 + b"%d" % n for n in range(8)]

        def die_after_the_second_extension(_where: str) -> None:
            clusters = [handle for handle in inserted if handle.kind is BlockKind.CLUSTER]
            if len(clusters) == 2 and inserted[-1] == clusters[-1]:
                raise Crash

        alice.crash_point = die_after_the_second_extension
        await write(alice, *texts[:7])
        await write(alice, texts[7])  # held locally
        await alice.stop()
        alice.crash_point = lambda _where: None
        again = await world.recover(alice, revoke=False)
        notebook = await start(again)
        await settle(30)
        assert notebook.texts() == texts, "those in the tail of the head, and the extension's"
        await world.stop()

    run(story())


def test_what_a_lost_machine_had_sent_and_not_delivered_arrives_once() -> None:
    async def story() -> None:
        world = World()
        alice, bob = world.enrol("alice"), world.enrol("bob")
        await start(alice)
        await start(bob)
        await send(alice, b"arrived before", "bob")
        await settle(30)
        await bob.stop()
        world.delegates.clear()
        sent = await send(alice, b"on its way", "bob", "alice")
        assert DeliveryState.DELEGATED in [s.state for s in sent.states]
        await settle(30)
        world.pending.clear()
        await alice.stop()
        await start(bob)
        again = await world.recover(alice, revoke=True)
        await start(again)
        await settle(120)
        assert await folder(bob) == [b"arrived before", b"on its way"]
        assert again.observer.of(OutboxInherited) == [OutboxInherited(1)]
        await again.stop()
        await start(again)
        await settle(120)
        assert not again.observer.of(OutboxInherited), "once is enough"
        await world.stop()

    run(story())


@pytest.mark.parametrize("is_sender_lost", [False, True], ids=["hers", "both"])
def test_a_mail_that_only_a_lost_disk_had_comes_again(*, is_sender_lost: bool) -> None:
    async def story() -> None:
        world = World()
        alice, bob = world.enrol("alice"), world.enrol("bob")
        await start(world.enrol("carol"))
        await start(alice)
        await start(bob)
        await settle()
        assert bob.post is not None
        await bob.post.services.accounts.resolve(f"alice@{DOMAIN}")
        bob.store._reach = unreachable  # type: ignore[method-assign]
        sent = await send(alice, b"hello", "bob")
        assert sent.durability.ring_durable
        assert await folder(bob) == [b"hello"]
        assert not world.pending, "delegates have not got it yet"
        await bob.stop()
        if is_sender_lost:
            await alice.stop()
            await start(await world.recover(alice, revoke=True))
        again = await world.recover(bob, revoke=True)
        await start(again)
        await settle(3600)
        assert await folder(again) == [b"hello"]
        await world.stop()

    run(story())


def test_what_a_revoked_device_writes_afterwards_counts_for_nothing() -> None:
    async def story() -> None:
        world = World()
        alice, bob = world.enrol("alice"), world.enrol("bob")
        await start(alice)
        await start(bob)
        await write(alice, *numbered(3))
        again = await world.recover(alice, revoke=True)
        await write(alice, b"by the thief")
        notebook = await start(again)
        await settle(700)
        assert notebook.texts() == numbered(3)
        assert alice.observer.of(KeyringUnreadable), "the new keyring is closed to it"
        assert alice.post is not None
        assert alice.post.siblings.is_revoked
        assert alice.observer.of(DeviceRevoked) == [DeviceRevoked(1)]
        with pytest.raises(RefusedError, match="revoked"):
            await write(alice, b"too late")
        assert again.secrets.data_keys[-1] not in alice.secrets.data_keys
        await world.stop()

    run(story())


def test_two_devices_read_each_other_whatever_was_written_first() -> None:
    async def story() -> None:
        world = World()
        alice, bob = world.enrol("alice"), world.enrol("bob")
        first_notes = await start(alice)
        await start(bob)
        await write(alice, *numbered(60, "first"))
        second = await world.recover(alice, revoke=False)
        second_notes = await start(second)
        await settle(700)
        await write(second, *numbered(70, "second"))
        await write(alice, b"and more")
        await settle(80)
        assert second_notes.texts(1) == [*numbered(60, "first"), b"and more"]
        assert first_notes.texts(2) == numbered(70, "second")
        told = second_notes.tellings
        await settle(300)
        assert second_notes.tellings == told, "nothing is told twice"
        await world.stop()

    run(story())


def test_devices_that_are_on_know_of_each_other_s_records_within_two_seconds() -> None:
    async def story() -> None:
        world = World()
        alice, bob = world.enrol("alice"), world.enrol("bob")
        first_notes = await start(alice)
        await start(bob)
        await settle(100)
        second = await world.recover(alice, revoke=False)
        second_notes = await start(second)
        await settle(2)
        await write(second, b"from the second")
        await settle(2)
        assert first_notes.texts(2) == [b"from the second"], "a device that it had not heard of"
        await write(alice, b"from the first")
        await settle(2)
        assert second_notes.texts(1) == [b"from the first"]
        await world.stop()

    run(story())


def test_strangers_who_say_that_a_log_has_grown_make_nobody_busy() -> None:
    async def story() -> None:
        world = World()
        alice, bob = world.enrol("alice"), world.enrol("bob")
        await start(alice)
        await start(bob)
        await settle(100)
        before = alice.lookups
        assert alice.post is not None
        for _ in range(1000):
            await alice.post.endpoint.on_request(bob.node, encode(Grew(1)))
            await settle(0.01)
        assert alice.lookups - before <= 3
        await world.stop()

    run(story())


def test_the_devices_that_stay_learn_the_new_data_key() -> None:
    async def story() -> None:
        world = World()
        alice, bob = world.enrol("alice"), world.enrol("bob")
        await start(bob)
        await start(alice)
        second = await world.recover(alice, revoke=False)
        await start(second)
        third = await world.recover(alice, revoke=True)
        await start(third)
        await settle(700)
        assert [key.epoch for key in third.secrets.data_keys] == [1, 2]
        assert alice.observer.of(KeyringUnreadable), "all before it were revoked"
        assert not third.observer.of(DataKeysChanged), "it drew the key itself"
        await world.stop()

    run(story())


def test_a_log_that_cannot_be_read_now_is_read_later() -> None:
    async def story() -> None:
        world = World()
        alice, bob = world.enrol("alice"), world.enrol("bob")
        await start(alice)
        await start(bob)
        await write(alice, *numbered(120))
        await alice.stop()
        second = await world.recover(alice, revoke=False)
        hidden = {h: b for h, b in world.ring.blocks.items() if h.kind is BlockKind.CLUSTER}
        for handle in hidden:
            del world.ring.blocks[handle]
        notebook = await start(second)
        await settle(60)
        assert notebook.texts() == []
        assert second.observer.of(SiblingUnreadable)
        world.ring.blocks.update(hidden)
        await settle(60)
        assert notebook.texts() == numbered(120)
        await world.stop()

    run(story())


def test_a_wrong_phrase_finds_nobody() -> None:
    async def story() -> None:
        world = World()
        alice = world.enrol("alice")
        await start(alice)
        with pytest.raises(NoSuchUser):
            await find_account(AccountKeys(b"?" * 32), alice.store, HpkeSealing())
        await world.stop()

    run(story())
