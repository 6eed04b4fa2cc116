"""POST on whole nodes: restored backups, absent recipients, lost senders, over the real layers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest

from epost.foundation.ids import BlockKind, Handle, NodeHandle
from epost.foundation.ports import Role
from epost.foundation.wire import Application, Form
from epost.node.settings import NodeConfigs
from epost.post.app_ids import AppId
from epost.post.assembly import Post
from epost.post.config import PostConfig
from epost.post.logs.entries import Entry
from epost.post.notification.handlers import Accepted, Notification
from epost.post.notification.records import DeliveryState
from epost.post.observed import DeviceExistsTwice
from epost.simulation.clock import run
from epost.simulation.defects import SOUND
from epost.simulation.network import NetworkConfig
from epost.simulation.office import Machine, Office, OfficeConfig
from epost.simulation.world import Observed

BOTH = pytest.mark.parametrize("tail_in_head", [True, False], ids=["tail", "cluster"])
CHAT = AppId.CHAT


class ChatLog:
    """A chat application: keeps what it is told."""

    def __init__(self) -> None:
        self.texts: list[bytes] = []

    async def accept(self, notification: Notification) -> Accepted:
        return Accepted([Entry(CHAT, notification.content)])

    async def delivered(self, *_: object) -> list[Entry]:
        return []

    async def undeliverable(self, *_: object) -> list[Entry]:
        return []

    async def delayed(self, *_: object) -> list[Entry]:
        return []

    def on_entry(self, _sequence: int, entry: Entry, _origin: object) -> None:
        self.texts.append(entry.payload)


def in_office(
    story: Callable[[Office], Coroutine[Any, Any, None]],
    *,
    tail_in_head: bool,
    machines: int = 5,
    network: NetworkConfig | None = None,
) -> None:
    """Run a story in an organisation of five machines, three with users, in virtual time."""

    async def whole() -> None:
        configs = NodeConfigs(post=PostConfig(tail_in_head=tail_in_head))
        config = OfficeConfig(machines=machines, users=3, nodes=configs)
        office = Office(7, replace(config, network=network or config.network), SOUND)
        await office.open()
        await office.world.run_for(30)
        await story(office)
        await office.close()

    run(whole())


def services(machine: Machine) -> Post:
    assert machine.node is not None
    assert machine.node.post is not None
    return machine.node.post


def chat_on(machine: Machine) -> ChatLog:
    chat = ChatLog()
    post = services(machine)
    post.log.register(CHAT, chat.on_entry)
    post.services.notifications.register(CHAT, chat)
    return chat


async def append(machine: Machine, *texts: str) -> bool:
    appended = await services(machine).log.append([Entry(CHAT, text.encode()) for text in texts])
    return appended.durability.ring_durable


async def logged(machine: Machine) -> set[str]:
    return {payload.decode() async for _, payload in services(machine).log.replay(CHAT, 0)}


async def restart(office: Office, machine: Machine) -> None:
    machine.host.start()
    await office.world.run_for(60)


@pytest.mark.no_cover  # tracing takes twice the time, and other tests run the same lines
@BOTH
def test_a_restored_backup_finds_everything_and_goes_on(tail_in_head: bool) -> None:
    async def story(office: Office) -> None:
        alice = office.users[0]
        seen: list[Observed] = []
        office.world.trace.listen(seen.append)
        texts = [f"common {n}" for n in range(70)]
        assert await append(alice, *texts)
        for life in range(2):
            await alice.host.stop()
            backup = alice.host.disk.durable.copy()
            await restart(office, alice)
            for n in range(60):
                texts.append(f"life {life}, {n}")
                assert await append(alice, texts[-1])
            alice.crash(with_machine=True)
            alice.host.disk.durable = backup
            await restart(office, alice)
            assert services(alice).log.is_confirmed
            texts.append(f"after life {life}")
            assert await append(alice, texts[-1])
            assert await logged(alice) == set(texts)
        assert sum(isinstance(o.event, DeviceExistsTwice) for o in seen) == 2

    in_office(story, tail_in_head=tail_in_head)


@BOTH
def test_a_device_without_its_vault_reads_its_log_back_from_the_ring(tail_in_head: bool) -> None:
    async def story(office: Office) -> None:
        alice = office.users[0]
        texts = [f"entry {n}" for n in range(130)]
        assert await append(alice, *texts)
        await office.world.run_for(60)
        alice.crash(with_machine=True)
        alice.host.disk.durable = type(alice.host.disk.durable)()
        alice.host.start()
        chat = chat_on(alice)
        await office.world.run_for(120)
        assert {text.decode() for text in chat.texts} >= set(texts)
        assert await logged(alice) == set(texts)
        assert await append(alice, "goes on")

    in_office(story, tail_in_head=tail_in_head)


@BOTH
def test_a_notice_outlives_its_sender(tail_in_head: bool) -> None:
    async def story(office: Office) -> None:
        alice, bob, _ = office.users
        chat_on(alice)
        chat_on(bob)
        assert bob.account is not None
        name = bob.account.name
        sent = await services(alice).services.notifications.send(CHAT, b"at once", [name])
        assert [s.state for s in sent.states] == [DeliveryState.STORED]
        assert sent.durability.ring_durable
        await bob.host.stop()
        await office.world.run_for(60)
        sent = await services(alice).services.notifications.send(CHAT, b"for later", [name])
        assert [s.state for s in sent.states] == [DeliveryState.DELEGATED]
        assert sent.durability.ring_durable
        alice.lose_disk()
        await office.world.run_for(60)
        bob.host.start()
        chat = chat_on(bob)
        await office.world.run_for(150)
        assert chat.texts == [b"for later"]
        assert await logged(bob) == {"at once", "for later"}

    # A lost packet more, and delegates have the first one before his device has answered.
    in_office(story, tail_in_head=tail_in_head, network=NetworkConfig(loss=0.0))


def test_copies_from_many_senders_arrive_once_each_under_load() -> None:
    async def story(office: Office) -> None:
        alice, bob, carol = office.users
        for machine in office.users:
            chat_on(machine)
        names = [machine.account.name for machine in office.users if machine.account]

        async def send(machine: Machine, text: bytes) -> bool:
            sent = await services(machine).services.notifications.send(CHAT, text, names)
            return sent.durability.ring_durable

        texts = [f"{n} of {m}" for n in range(20) for m in range(3)]
        results = await asyncio.gather(
            *(send((alice, bob, carol)[int(text[-1])], text.encode()) for text in texts)
        )
        assert all(results)
        await office.world.run_for(30)
        for machine in office.users:
            received = [p async for _, p in services(machine).log.replay(CHAT, 0)]
            assert sorted(received) == sorted(text.encode() for text in texts)
            assert len(services(machine).ledger.outbox) == 0

    in_office(story, tail_in_head=True)


def test_a_stand_in_that_missed_the_receipt_offers_its_notice_once_more_at_most() -> None:
    async def story(office: Office) -> None:
        alice, bob, _ = office.users
        chat_on(alice)
        assert bob.account is not None
        await bob.host.stop()
        absent = office.machines[-1]
        await absent.host.stop()
        await office.world.run_for(60)
        notifications = services(alice).services.notifications
        for n in range(8):
            await notifications.send(CHAT, b"%d" % n, [bob.account.name])
        stand_in = next(m for m in office.machines[3:-1] if stood_in_for(m))
        kept = stood_in_for(stand_in)
        await stand_in.host.stop()
        absent.host.start()
        bob.host.start()
        chat = chat_on(bob)
        await office.world.run_for(120)
        assert sorted(chat.texts) == [b"%d" % n for n in range(8)]
        stand_in.host.start()
        offers = count_offers(stand_in, bob)
        await office.world.run_for(PRESENCES * PostConfig().presence_seconds)
        assert stood_in_for(stand_in) == []
        assert len(offers) <= len(kept)

    in_office(story, tail_in_head=True, machines=9, network=NetworkConfig(loss=0.0))


PRESENCES = 3
_DELIVER = bytes((Application.POST, Form.REQUEST))


def stood_in_for(machine: Machine) -> list[Handle]:
    """Return the notices that a machine keeps as a stand-in."""
    entries = machine.host.vault.entries_with(Role.STAND_IN)
    return [entry.handle for entry in entries if entry.handle.kind is BlockKind.PENDING]


def count_offers(machine: Machine, to: Machine) -> list[bytes]:
    """Return a list that gets every request of POST that one machine sends the other."""
    transport, offers = machine.host.transport, list[bytes]()
    send = transport.send

    def counted(node: NodeHandle, message: bytes) -> None:
        if node.id == to.node_id and message[:2] == _DELIVER:
            offers.append(message)
        send(node, message)

    transport.send = counted  # type: ignore[method-assign]
    return offers
