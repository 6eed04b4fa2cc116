"""A user is given another name while everybody writes to her, and some are away."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any

from epost.crypto.certificates import ACCOUNT_CERT
from epost.crypto.signed import parse
from epost.crypto.signing import Kind
from epost.foundation.ids import BlockKind
from epost.rings.renewal import Renewed
from epost.simulation.clock import run
from epost.simulation.defects import SOUND
from epost.simulation.network import NetworkConfig
from epost.simulation.office import Machine, Office, OfficeConfig
from tests.simulation.test_renewal import Standing, Years
from tests.simulation.test_several_machines import node_of, shown

BOB, ROBERT = "user1@example.org", "robert@example.org"


@dataclass
class Folder(Standing):
    """Certificates that a machine finds again when it is switched on."""

    def install(self, renewed: Renewed) -> None:
        super().install(renewed)
        account = self.machine.account
        if account is None:
            return
        certificate = self.account_certificate
        opened = ACCOUNT_CERT.decode(parse(certificate, Kind.ACCOUNT).body)
        (kind, _), *others = account.first_blocks
        blocks = ((kind, certificate), *others)
        self.machine.account = replace(
            account, name=opened.name, certificate=certificate, first_blocks=blocks
        )


class Post:
    """Who sent what to whom, and what must be where in the end."""

    def __init__(self, office: Office) -> None:
        self.office = office
        self.sent: dict[str, list[bytes]] = {machine.name: [] for machine in office.users}

    async def send(self, sender: Machine, to: Machine, *names: str, author: str = "") -> None:
        mail = node_of(sender).mail
        assert mail is not None
        assert sender.account is not None
        author = author or sender.account.name
        number = sum(map(len, self.sent.values()))
        octets = f"From: {author}\r\nSubject: {number}\r\n\r\nto {names}\r\n".encode()
        for name in names:
            await mail.submission.check_recipient(sender.account.name, name)
        await mail.submission.submit(sender.account.name, author, names, octets)
        self.sent[to.name].append(octets)

    async def require_all_once(self, machine: Machine) -> list[bytes]:
        """Return what else is in the inbox."""
        mails = [octets for octets, _ in await shown(machine)]
        assert sorted(m for m in mails if m in self.sent[machine.name]) == sorted(
            self.sent[machine.name]
        )
        return [m for m in mails if m not in self.sent[machine.name]]


async def rename(office: Office) -> None:
    """What the administrator does, and the daemon with the authority."""
    for certificate in office.organisation.rename(BOB, ROBERT):
        await node_of(office.machines[0]).blocks.insert(
            BlockKind.CERTIFICATE, certificate, mirror=False
        )
    office._has_changed = True


def in_office(story: Callable[[Years, Post], Coroutine[Any, Any, None]]) -> None:
    async def whole() -> None:
        network = NetworkConfig(loss=0.0)
        office = Office(31, OfficeConfig(machines=6, users=3, network=network), SOUND)
        await office.open()
        await office.world.run_for(60)
        await story(Years(office, Folder), Post(office))
        await office.close()

    run(whole())


def test_nothing_is_lost_or_doubled_while_a_user_is_renamed_and_everybody_learns_it() -> None:
    async def story(years: Years, post: Post) -> None:
        office = years.office
        alice, bob, carol = office.users
        await post.send(carol, bob, BOB)
        carol.crash(with_machine=True)
        for number in range(12):
            if number == 3:
                await rename(office)
            await post.send(alice, bob, BOB)
            await post.send(bob, alice, alice.account.name)  # type: ignore[union-attr]
            await office.world.run_for(10)
        assert bob.account is not None
        assert bob.account.name == ROBERT
        await post.send(alice, bob, ROBERT)
        await post.send(alice, bob, BOB, ROBERT)  # both are hers: one mail
        await post.send(bob, alice, alice.account.name, author=BOB)  # type: ignore[union-attr]
        carol.host.start()
        await node_of(carol).ready()
        years.renew(carol)
        await post.send(carol, bob, BOB)
        await office.world.run_for(40)
        assert await post.require_all_once(bob) == []
        for sender in (alice, carol):
            (told,) = await post.require_all_once(sender)
            assert b"Subject: user1@example.org is robert@example.org now" in told

    in_office(story)


def test_a_user_who_was_away_comes_back_under_her_new_name_with_all_her_mail() -> None:
    async def story(years: Years, post: Post) -> None:
        office = years.office
        alice, bob, _ = office.users
        await post.send(bob, alice, "user0@example.org")
        await office.world.run_for(5)
        bob.crash(with_machine=True)
        await post.send(alice, bob, BOB)
        await rename(office)
        await office.world.run_for(70)
        await post.send(alice, bob, BOB)
        await post.send(alice, bob, ROBERT)
        bob.host.start()
        await node_of(bob).ready()
        years.renew(bob)
        await office.world.run_for(90)
        assert bob.account is not None
        assert bob.account.name == ROBERT
        await post.send(bob, alice, "user0@example.org")
        await office.world.run_for(30)
        assert await post.require_all_once(bob) == []
        assert len(await post.require_all_once(alice)) == 1
        await office.world.run_for(70)
        contact = await node_of(alice).post.services.accounts.resolve(BOB)  # type: ignore[union-attr]
        assert contact.account.present_name == ROBERT

    in_office(story)
