"""Groups on whole nodes: an anycast is a call that some member answers, through real drivers."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from epost.crypto.signing import SigningKey
from epost.foundation.errors import PeerRefused
from epost.foundation.ids import Id, NodeHandle
from epost.node.assembly import Node
from epost.scribe.charter import (
    Charter,
    chartered_group,
    sign_charter,
    sign_permit,
    sign_publication,
)
from epost.simulation.clock import run
from epost.simulation.defects import SOUND
from epost.simulation.office import Machine, Office, OfficeConfig

GROUP = Id(b"g" * 20)


class Member:
    """Hears news, and answers questions with its name if it is asked to."""

    def __init__(self, answer: bytes | None) -> None:
        self.answer = answer
        self.news: list[bytes] = []

    def on_multicast(self, group: Id, body: bytes, now: float) -> None:
        self.news.append(body)

    def on_anycast(self, group: Id, origin: NodeHandle, body: bytes, now: float) -> bytes | None:
        return self.answer


def in_ring(story: Callable[[Office], Coroutine[Any, Any, None]]) -> None:
    async def whole() -> None:
        office = Office(7, OfficeConfig(machines=8, users=0), SOUND)
        await office.open()
        await office.world.run_for(30)
        await story(office)
        await office.close()

    run(whole())


def node_of(machine: Machine) -> Node:
    assert machine.node is not None
    return machine.node


def enter(machine: Machine, member: Member, group: Id, permit: bytes = b"") -> None:
    node = node_of(machine)
    node.scribe.register(member)
    node.scribe.register_taker(member)
    node.scribe.join(group, permit=permit)
    node.driver.wake()


async def ask(machine: Machine, body: bytes) -> bytes:
    node = node_of(machine)
    answer = await node.driver.calls.expect(
        lambda call: node.scribe.anycast(GROUP, body, call), timeout_seconds=2.0, tries=3
    )
    return answer.body


def test_an_anycast_is_answered_by_one_member_or_refused() -> None:
    async def story(office: Office) -> None:
        with pytest.raises(PeerRefused):
            await ask(office.machines[0], b"anybody?")
        for machine, answer in zip(office.machines[2:6], (None, None, b"me", None), strict=True):
            enter(machine, Member(answer), GROUP)
        await office.world.run_for(10)
        for machine in office.machines:
            assert await ask(machine, b"who takes it?") == b"me"

    in_ring(story)


def test_a_chartered_group_lives_on_after_its_root() -> None:
    founder = SigningKey(b"f" * 32)
    group = chartered_group(founder.public, b"board")

    async def story(office: Office) -> None:
        charter = Charter(1, founder.public, b"board", 1, 0, (founder.public,), (founder.public,))
        first = node_of(office.machines[0])
        first.scribe.create(group, sign_charter(founder, charter))
        first.driver.wake()
        await office.world.run_for(5)
        members = {}
        for machine in office.machines[1:5]:
            members[machine.name] = Member(None)
            permit = sign_permit(founder, group, machine.node_id, 0)
            enter(machine, members[machine.name], group, permit)
        await office.world.run_for(10)
        root_id = first.overlay.replica_set(group, 1)[0].id
        root = next(machine for machine in office.machines if machine.node_id == root_id)
        root.crash(with_machine=True)
        await office.world.run_for(60)
        publisher = next(m for m in office.machines if m is not root)
        for body in (b"spam", sign_publication(founder, group, 1, b"news")):
            node_of(publisher).scribe.multicast(group, body)
            node_of(publisher).driver.wake()
        await office.world.run_for(20)
        heard = {name: member.news for name, member in members.items() if name != root.name}
        assert all(news == [b"news"] for news in heard.values())

    in_ring(story)
