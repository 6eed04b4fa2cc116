"""Two machines of one user, and a lost one, as whole nodes: what one does the other shows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from epost.apps.mail.mailbox import FlagChange, Folder, Mailbox, NewMail
from epost.node.assembly import Node
from epost.simulation.clock import run
from epost.simulation.defects import SOUND
from epost.simulation.network import NetworkConfig
from epost.simulation.office import Machine, Office, OfficeConfig

SEEN = "\\Seen"
AGREE_SECONDS_MAX = 2.0
"""Of virtual time: hops of milliseconds, and what everybody waits for on purpose."""
Shown = list[tuple[bytes, frozenset[str]]]


def node_of(machine: Machine) -> Node:
    assert machine.node is not None
    return machine.node


def mailbox_of(machine: Machine) -> Mailbox:
    mail = node_of(machine).mail
    assert mail is not None
    return mail.mailbox


def name_of(machine: Machine) -> str:
    assert machine.account is not None
    return machine.account.name


async def shown(machine: Machine, folder: str = "INBOX") -> Shown:
    """What a mail program would show: the octets and the flags, in no order."""
    opened = await mailbox_of(machine).open(folder)
    rows = await opened.rows(opened.uids())
    return sorted([(await opened.octets(row.uid), frozenset(row.flags)) for row in rows])


async def send(sender: Machine, recipient: Machine, text: str) -> bytes:
    octets = f"From: {name_of(sender)}\r\nSubject: {text}\r\n\r\n{text}\r\n".encode()
    mail = node_of(sender).mail
    assert mail is not None
    name = name_of(sender)
    await mail.submission.submit(name, name, (name_of(recipient),), octets)
    return octets


async def flag(machine: Machine, octets: bytes, name: str) -> None:
    opened, uids = await found(machine, octets)
    await opened.change_flags(uids, FlagChange.ADD, frozenset({name}))


async def move(machine: Machine, octets: bytes, target: str) -> None:
    opened, uids = await found(machine, octets)
    await opened.move(uids, target)


async def keep(machine: Machine, folder: str, octets: bytes, name: str) -> None:
    opened = await mailbox_of(machine).open(folder)
    await opened.append([NewMail(octets, frozenset({name}))])


async def found(machine: Machine, octets: bytes) -> tuple[Folder, list[int]]:
    opened = await mailbox_of(machine).open("INBOX")
    return opened, [uid for uid in opened.uids() if await opened.octets(uid) == octets]


async def everything(machine: Machine) -> dict[str, Shown]:
    return {name: await shown(machine, name) for name in ("INBOX", "Archive", "Drafts", "Sent")}


async def second_machine(office: Office, user: Machine, *, revoke: bool) -> Machine:
    """Make a storing machine a further one of a user's, and start it."""
    machine = office.machines[-1]
    assert user.account is not None
    await machine.take_account(user.account, revoke=revoke)
    await machine.host.stop()
    machine.host.start()
    await node_of(machine).ready()
    return machine


def in_office(story: Callable[[Office], Coroutine[Any, Any, None]]) -> None:
    async def whole() -> None:
        # A hint that is lost is made up for in a quarter of a minute, not in two seconds.
        network = NetworkConfig(loss=0.0)
        office = Office(23, OfficeConfig(machines=7, users=2, network=network), SOUND)
        await office.open()
        await office.world.run_for(60)
        await story(office)
        await office.close()

    run(whole())


def test_two_machines_of_one_user_show_the_same() -> None:
    async def story(office: Office) -> None:
        alice, bob = office.users
        letters = [await send(bob, alice, f"letter {number}") for number in range(5)]
        await office.world.run_for(5)
        await flag(alice, letters[0], SEEN)
        other = await second_machine(office, alice, revoke=False)
        await office.world.run_for(40)
        assert await shown(other) == await shown(alice)
        assert len(await shown(other)) == 5
        await flag(other, letters[1], SEEN)
        letters.append(await send(bob, alice, "to both"))
        for machine, number in ((alice, 2), (other, 3)):
            await move(machine, letters[number], "Archive")
            await keep(machine, "Drafts", b"Subject: draft %d\r\n\r\n" % number, "\\Draft")
            await keep(machine, "Sent", b"Subject: sent %d\r\n\r\n" % number, SEEN)
        await office.world.run_for(AGREE_SECONDS_MAX)
        view = await everything(alice)
        assert await everything(other) == view
        assert dict(view["INBOX"])[letters[1]] == {SEEN}
        assert {name: len(mails) for name, mails in view.items()} == {
            "INBOX": 4,
            "Archive": 2,
            "Drafts": 2,
            "Sent": 2,
        }

    in_office(story)


def test_what_was_done_on_both_without_a_network_is_joined_afterwards() -> None:
    async def story(office: Office) -> None:
        alice, bob = office.users
        letters = [await send(bob, alice, f"letter {number}") for number in range(4)]
        other = await second_machine(office, alice, revoke=False)
        await office.world.run_for(60)
        network = office.world.network
        rest = [m.node_id for m in office.machines if m not in (alice, other)]
        network.partition([alice.node_id], [other.node_id], rest)
        await flag(alice, letters[0], SEEN)
        await flag(other, letters[1], SEEN)
        await move(other, letters[2], "Archive")
        await flag(alice, letters[2], "\\Flagged")
        await office.world.run_for(30)
        network.heal()
        await office.world.run_for(240)
        assert await shown(alice) == await shown(other)
        assert await shown(alice, "Archive") == await shown(other, "Archive")
        assert dict(await shown(alice))[letters[0]] == {SEEN}
        assert dict(await shown(alice))[letters[1]] == {SEEN}
        assert dict(await shown(alice, "Archive"))[letters[2]] == {"\\Flagged"}

    in_office(story)


def test_after_the_loss_of_the_machine_the_new_one_has_all_and_the_index_can_be_lost() -> None:
    async def story(office: Office) -> None:
        alice, bob = office.users
        letters = [await send(bob, alice, f"letter {number}") for number in range(30)]
        await office.world.run_for(10)
        await flag(alice, letters[3], SEEN)
        before = await shown(alice)
        alice.lose_disk()
        await office.world.run_for(30)
        letters.append(await send(bob, alice, "while she has none"))
        other = await second_machine(office, alice, revoke=True)
        await office.world.run_for(200)
        after = await shown(other)
        assert set(before) < set(after)
        assert {octets for octets, _ in after} == set(letters)
        other.lose_index()
        await other.host.stop()
        other.host.start()
        await node_of(other).ready()
        await office.world.run_for(60)
        assert await shown(other) == after
        answer = await send(other, bob, "from the new one")
        await office.world.run_for(5)
        assert answer in [octets for octets, _ in await shown(bob)]

    in_office(story)


def test_machines_added_at_the_same_moment_are_all_listed() -> None:
    async def story(office: Office) -> None:
        alice, bob = office.users
        assert alice.account is not None
        further = office.machines[-3:]
        taking = [machine.take_account(alice.account, revoke=False) for machine in further]
        await asyncio.gather(*taking)
        for machine in further:
            await machine.host.stop()
            machine.host.start()
            await node_of(machine).ready()
        await office.world.run_for(120)
        octets = await send(bob, alice, "to all of them")
        await office.world.run_for(60)
        accounts = node_of(bob).post.services.accounts
        accounts.forget(name_of(alice))
        contact = await accounts.resolve(name_of(alice))
        assert sorted(device.certificate.number for device in contact.devices) == [1, 2, 3, 4]
        for machine in (alice, *further):
            assert [found for found, _ in await shown(machine)] == [octets]

    in_office(story)
