"""The organisation's secret changes: members follow by themselves, who left does not."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from epost.foundation.errors import EpostError
from epost.foundation.ids import Id, NodeHandle
from epost.node.issuing_daemons import AskingConfig
from epost.node.observed import (
    OrganisationSecretAdopted,
    OrganisationSecretFalse,
    OrganisationSecretMissing,
)
from epost.node.secret_keeping import SecretKeeping, SecretKeepingConfig
from epost.post.storage.message_store import MessageStore, Stored
from epost.post.storage.references import Secrecy
from epost.rings.renewal import issuing_group
from epost.simulation.clock import run
from epost.simulation.defects import SOUND
from epost.simulation.office import Machine, Office, OfficeConfig
from epost.simulation.organisation import SimulatedOrganisation
from tests.simulation.test_several_machines import node_of

CONTRACT = hashlib.shake_256(b"a contract that two members attach").digest(100_000)
QUICK = SecretKeepingConfig(
    look_seconds=5, asking=AskingConfig(retry_seconds_min=10, answer_seconds=5)
)

pytestmark = pytest.mark.timeout(300)


@dataclass
class Desk:
    """The issuing daemon's part."""

    organisation: SimulatedOrganisation
    group: Id
    is_open: bool = True
    spoils: bool = False

    def on_anycast(self, group: Id, origin: NodeHandle, body: bytes, now: float) -> bytes | None:
        if group != self.group or not self.is_open:
            return None
        try:
            if self.spoils:
                return self._with_a_secret_for_her_alone(body)
            return self.organisation.give_secret(body)
        except EpostError:
            return None

    def _with_a_secret_for_her_alone(self, body: bytes) -> bytes:
        held = self.organisation._secret
        self.organisation._secret = msgspec.structs.replace(held, secret=b"for her" + bytes(25))
        try:
            return self.organisation.give_secret(body)
        finally:
            self.organisation._secret = held


class Members:
    """An office whose machines follow the organisation's secret."""

    def __init__(self, office: Office) -> None:
        self.office = office
        self.seen: list[tuple[int | None, object]] = []
        first = node_of(office.machines[0])
        self.desk = Desk(office.organisation, issuing_group(first.issuers.trust.ring))
        first.scribe.register_taker(self.desk)
        first.scribe.join(self.desk.group)
        office.world.trace.listen(
            lambda observed: self.seen.append((observed.node, observed.event))
        )
        for machine in office.users:
            self.follow(machine)

    def follow(self, machine: Machine) -> None:
        keeping = SecretKeeping(
            node_of(machine),
            lambda: machine.membership.node_certificate,
            machine.membership.node_key,
            clock=machine.host.clock,
            observer=machine.host.observer,
            config=QUICK,
        )
        node_of(machine).driver.run_story(keeping.keep_current())

    def rotate(self) -> None:
        self.office.organisation.rotate_secret()
        self.office._has_changed = True  # the authority signs its word anew

    def events(self, kind: type) -> list[object]:
        return [event for _, event in self.seen if isinstance(event, kind)]

    async def pass_seconds(self, seconds: float) -> None:
        await self.office.world.run_for(seconds)


def messages_of(machine: Machine) -> MessageStore:
    post = node_of(machine).post
    assert post is not None
    return post.services.messages


async def store(machine: Machine, plaintext: bytes) -> Stored:
    return await messages_of(machine).store(plaintext)


def with_members(story: Callable[[Members], Coroutine[Any, Any, None]]) -> None:
    async def whole() -> None:
        office = Office(31, OfficeConfig(machines=5, users=3), SOUND)
        await office.open()
        await office.world.run_for(60)
        await story(Members(office))
        await office.close()

    run(whole())


def test_after_a_rotation_members_share_again_under_the_new_secret_only() -> None:
    async def story(members: Members) -> None:
        alice, bob, _ = members.office.users
        before = await store(alice, CONTRACT)
        assert (await store(bob, CONTRACT)).reference == before.reference, "stored once"
        members.rotate()
        await members.pass_seconds(60)
        assert len(members.events(OrganisationSecretAdopted)) == 3
        after = await store(alice, CONTRACT + b"!")
        assert after.reference.mode is Secrecy.ORGANISATION
        assert (await store(bob, CONTRACT + b"!")).reference == after.reference, "once again"
        assert await messages_of(bob).fetch(before.reference) == CONTRACT, "old ones are read"
        for machine in (alice, bob):
            device = node_of(machine).device
            assert device is not None
            assert [s.epoch for s in device.secrets.organisation_secrets] == [2], "destroyed"

    with_members(story)


def test_whoever_has_not_the_new_secret_yet_stores_for_herself_alone() -> None:
    async def story(members: Members) -> None:
        alice, bob, _ = members.office.users
        members.desk.is_open = False
        members.rotate()
        await members.pass_seconds(60)
        assert members.events(OrganisationSecretMissing)
        hers, his = await store(alice, CONTRACT), await store(bob, CONTRACT)
        assert hers.reference.mode is Secrecy.UNIQUE
        assert hers.reference.digest != his.reference.digest
        members.desk.is_open = True
        await members.pass_seconds(QUICK.asking.retry_seconds_min * 20)
        assert (await store(alice, CONTRACT + b"?")).reference.mode is Secrecy.ORGANISATION

    with_members(story)


def test_sec_33_who_left_is_not_given_the_new_secret() -> None:
    async def story(members: Members) -> None:
        gone = members.office.users[-1]
        members.office.organisation.revoke(gone.node_id)
        members.rotate()
        await members.pass_seconds(120)
        device = node_of(gone).device
        assert device is not None
        assert device.organisation_epoch == 1
        assert len(members.events(OrganisationSecretAdopted)) == 2

    with_members(story)


def test_sec_14_a_secret_made_for_one_member_is_refused_with_an_alarm() -> None:
    async def story(members: Members) -> None:
        alice = members.office.users[0]
        members.desk.spoils = True
        members.rotate()
        await members.pass_seconds(60)
        assert members.events(OrganisationSecretFalse)
        assert not members.events(OrganisationSecretAdopted)
        assert (await store(alice, CONTRACT)).reference.mode is Secrecy.UNIQUE

    with_members(story)
