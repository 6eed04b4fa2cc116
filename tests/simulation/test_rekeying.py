"""A user is given other keys while everybody writes to her, and a machine of hers is off."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any

from epost.crypto.certificates import AccountCert, recall_account
from epost.daemon.account.certified_alarm import keys_in_ring
from epost.daemon.account.own_keys import keys_advice
from epost.foundation.ids import BlockKind
from epost.post.accounts.devices import AccountKeys, Signing
from epost.post.accounts.finding import find_account
from epost.post.accounts.rekeying import change_keys
from epost.rings.renewal import Renewed
from epost.simulation.clock import run
from epost.simulation.defects import SOUND
from epost.simulation.network import NetworkConfig
from epost.simulation.office import Machine, Office, OfficeConfig
from epost.simulation.world import SimulatedEntropy
from tests.simulation.test_renaming import Post
from tests.simulation.test_renewal import Standing, Years
from tests.simulation.test_several_machines import node_of, second_machine, shown

ALICE, BOB = "user0@example.org", "user1@example.org"


@dataclass
class Folder(Standing):
    """Certificates that a machine finds again, if it did not die before they were written."""

    dies: bool = False

    def install(self, renewed: Renewed) -> None:
        super().install(renewed)
        if self.machine.account is not None and not self.dies:
            certificate = self.account_certificate
            self.machine.account = replace(self.machine.account, certificate=certificate)


def own(machine: Machine) -> AccountCert:
    device = node_of(machine).device
    assert device is not None
    return recall_account(device.account_certificate)


async def rekey(office: Office, bob: Machine, *revoked: int) -> None:
    """What the owner does at one of her machines, and the daemon with the authority."""
    assert bob.account is not None
    node = node_of(bob)
    former = AccountKeys(bob.account.recovery_seed).of(own(bob))
    following = former.followed_by(b"w" * 32)
    found = await find_account(former, node.blocks, node.sealing)
    by = Signing(former, bob.host.clock.wall_ms(), node.sealing, SimulatedEntropy(1, "rekey"))
    changed = change_keys(by, following, found, revoked=revoked)
    await node.blocks.insert(BlockKind.CONTENT, changed.keyring, mirror=False)
    await node.blocks.insert(BlockKind.KEY, changed.identity.data, mirror=False)
    certificate = office.organisation.rekey(changed.statement)
    await node.blocks.insert(BlockKind.CERTIFICATE, certificate, mirror=False)
    office._has_changed = True


def in_office(story: Callable[[Years, Post, Machine], Coroutine[Any, Any, None]]) -> None:
    async def whole() -> None:
        network = NetworkConfig(loss=0.0)
        office = Office(37, OfficeConfig(machines=6, users=2, network=network), SOUND)
        await office.open()
        await office.world.run_for(60)
        bob = office.users[1]
        other = await second_machine(office, bob, revoke=False)
        accounts = office.organisation._accounts
        accounts[other.node_id] = accounts[bob.node_id]
        await story(Years(office, Folder), Post(office), other)
        await office.close()

    run(whole())


def test_nothing_is_lost_or_doubled_and_each_machine_follows_when_it_runs() -> None:
    async def story(years: Years, post: Post, other: Machine) -> None:
        office = years.office
        alice, bob = office.users[:2]
        await office.world.run_for(20)
        other.crash(with_machine=True)
        standing = years.standings[bob.name]
        assert isinstance(standing, Folder)
        standing.dies = True  # between its two files
        for number in range(10):
            if number == 2:
                await rekey(office, bob)
            await post.send(alice, bob, BOB)
            await post.send(bob, alice, ALICE)
            await office.world.run_for(10)
        assert own(bob).generation == 1
        bob.crash(with_machine=True)
        await post.send(alice, bob, BOB)
        for machine in (bob, other):
            machine.host.start()
            await node_of(machine).ready()
        assert bob.account is not None
        assert recall_account(bob.account.certificate).generation == 0
        assert own(bob).generation == 1, "as its device's certificate, which was written"
        await post.send(bob, alice, ALICE)
        for machine in (bob, other):
            years.renew(machine)
        proven = await keys_in_ring(node_of(other), years.standings[other.name])
        assert [c.generation for c in proven] == [0, 1], "no alarm before it has followed"
        await office.world.run_for(90)
        assert recall_account(bob.account.certificate).generation == 1
        assert own(other).generation == 1
        await post.send(other, alice, ALICE)
        await post.send(alice, bob, BOB)
        await office.world.run_for(60)
        assert await post.require_all_once(bob) == []
        assert await post.require_all_once(alice) == []
        assert await shown(other) == await shown(bob)

    in_office(story)


def test_a_machine_that_ends_with_the_old_keys_does_not_follow() -> None:
    async def story(years: Years, post: Post, other: Machine) -> None:
        office = years.office
        alice, bob = office.users[:2]
        await rekey(office, bob, 2)
        await office.world.run_for(120)
        assert own(bob).generation == 1
        assert own(other).generation == 0
        assert keys_advice(years.renewals[bob.name].validity()) == []
        (advice,) = keys_advice(years.renewals[other.name].validity())
        assert "not one of the account any more" in advice
        await post.send(alice, bob, BOB)
        await office.world.run_for(30)
        assert await post.require_all_once(bob) == []

    in_office(story)
