"""Four hundred days pass: certificates are renewed over the ring, and nobody falls out."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from epost.crypto.certificates import NODE_CERT
from epost.crypto.signed import parse
from epost.crypto.signing import Kind
from epost.foundation.durations import DAY_MS
from epost.foundation.errors import EpostError, QuotaExceeded
from epost.foundation.ids import BlockKind, Id, NodeHandle
from epost.node.issuing_daemons import AskingConfig
from epost.node.renewal import Renewal, RenewalConfig
from epost.rings.policy import QUOTA_CLASSES_MAX
from epost.rings.renewal import Renewed, issuing_group
from epost.simulation.clock import run
from epost.simulation.defects import SOUND
from epost.simulation.office import Machine, Office, OfficeConfig
from epost.simulation.organisation import SimulatedOrganisation
from tests.simulation.test_several_machines import name_of, node_of, send, shown

STEP_DAYS = 30
QUICK = RenewalConfig(
    first_look_seconds=1, look_seconds=60, asking=AskingConfig(retry_seconds_min=10)
)


@dataclass
class Standing:
    """The certificates of a machine, where its daemon has a folder."""

    machine: Machine
    node_certificate: bytes
    account_certificate: bytes
    renewals: int = 0
    x509_authorities: tuple[bytes, ...] = (b"authority",)
    x509_leaf: bytes = b"leaf"

    def install(self, renewed: Renewed) -> None:
        self.node_certificate = renewed.granted.node
        self.account_certificate = renewed.granted.account
        self.machine.host.transport.my_certificate = renewed.granted.node
        self.renewals += 1


@dataclass
class Desk:
    """The issuing daemon's part."""

    organisation: SimulatedOrganisation
    group: Id
    is_open: bool = True

    def on_anycast(self, group: Id, origin: NodeHandle, body: bytes, now: float) -> bytes | None:
        if group != self.group or not self.is_open:
            return None
        try:
            return self.organisation.renew(body)
        except EpostError:
            return None


class Years:
    """An office whose machines renew, and a calendar."""

    def __init__(self, office: Office, standing_type: type[Standing] = Standing) -> None:
        self.office = office
        self.standing_type = standing_type
        self.standings: dict[str, Standing] = {}
        self.renewals: dict[str, Renewal] = {}
        first = node_of(office.machines[0])
        self.desk = Desk(office.organisation, issuing_group(first.issuers.trust.ring))
        first.scribe.register_taker(self.desk)
        first.scribe.join(self.desk.group)
        for machine in office.machines:
            self.renew(machine)

    def renew(self, machine: Machine) -> None:
        account = machine.account.certificate if machine.account else b""
        standing = self.standing_type(machine, machine.membership.node_certificate, account)
        self.standings[machine.name] = standing
        renewal = Renewal(
            node_of(machine),
            standing,
            machine.membership.node_key,
            clock=machine.host.clock,
            observer=machine.host.observer,
            config=QUICK,
        )
        self.renewals[machine.name] = renewal
        node_of(machine).driver.run_story(renewal.keep_renewing())

    async def pass_days(self, days: int) -> None:
        for _ in range(0, days, STEP_DAYS):
            for machine in self.office.machines:
                machine.host.clock.skew_seconds += STEP_DAYS * 86_400
            self.office.organisation._clock.skew_seconds += STEP_DAYS * 86_400  # type: ignore[attr-defined]
            self._tell_the_time()
            self.office._has_changed = True  # the authority signs its word anew
            await self.office.world.run_for(75)

    def _tell_the_time(self) -> None:
        """What peers said before is of other days, when links last came up."""
        for machine in self.office.running:
            for peer in self.office.running:
                if peer is not machine:
                    now_ms = peer.host.clock.wall_ms()
                    node_of(machine).clock_check.on_peer_clock(peer.node_id, now_ms)

    def now_ms(self) -> int:
        return self.office.machines[0].host.clock.wall_ms()


def over_years(story: Callable[[Years], Coroutine[Any, Any, None]]) -> None:
    async def whole() -> None:
        office = Office(29, OfficeConfig(machines=5, users=2), SOUND)
        await office.open()
        await office.world.run_for(60)
        await story(Years(office))
        await office.close()

    run(whole())


def test_after_four_hundred_days_and_more_nobody_has_fallen_out() -> None:
    async def story(years: Years) -> None:
        await years.pass_days(450)
        for standing in years.standings.values():
            assert standing.renewals >= 10
            node = NODE_CERT.decode(parse(standing.node_certificate, Kind.NODE).body)
            assert node.soft_expiry > years.now_ms()
            assert not years.renewals[standing.machine.name].validity().is_warned
        alice, bob = years.office.users
        octets = await send(alice, bob, "after a year")
        await years.office.world.run_for(30)
        assert [mail for mail, _ in await shown(bob)] == [octets]
        accounts = node_of(bob).post.services.accounts  # type: ignore[union-attr]
        contact = await accounts.resolve(name_of(alice), fresh=True)
        assert contact.account.version >= 2
        assert contact.account.not_after > years.now_ms() + 100 * DAY_MS

    over_years(story)


async def store_all(machine: Machine, blocks: Sequence[bytes]) -> None:
    for block in blocks:
        await node_of(machine).blocks.insert(BlockKind.CONTENT, block, mirror=False)


def test_another_quota_reaches_the_machines_and_those_who_store_within_a_minute() -> None:
    async def story(years: Years) -> None:
        organisation, alice = years.office.organisation, years.office.machines[0]
        limits = (0, 1, *(0,) * (QUOTA_CLASSES_MAX - 3))
        organisation.quotas, organisation.quota_classes[alice.node_id] = (*limits, 1), 1
        years.office._has_changed = True
        await years.office.world.run_for(120)
        assert [s.renewals for s in years.standings.values()] == [1] * len(years.standings)
        assert [r.quota_class for r in years.renewals.values()] == [1, 0, 0, 0, 0]
        blocks = [bytes([n]) * 400_000 for n in range(8)]
        with pytest.raises(QuotaExceeded):
            await store_all(alice, blocks)
        await store_all(years.office.machines[1], blocks)

    over_years(story)


@pytest.mark.long
def test_an_authority_that_is_away_does_no_harm_until_it_is_back() -> None:
    async def story(years: Years) -> None:
        years.desk.is_open = False
        await years.pass_days(330)
        validity = years.renewals["user0"].validity()
        assert validity.is_due
        assert not validity.is_warned
        assert "could be reached" in validity.failure
        await years.pass_days(30)
        assert years.renewals["user0"].validity().is_warned
        alice, bob = years.office.users
        octets = await send(alice, bob, "nobody renews")
        await years.office.world.run_for(30)
        assert [mail for mail, _ in await shown(bob)] == [octets]
        years.desk.is_open = True
        await years.office.world.run_for(QUICK.asking.retry_seconds_max)
        assert not years.renewals["user0"].validity().is_due

    over_years(story)


def test_a_revoked_members_request_is_refused() -> None:
    async def story(years: Years) -> None:
        gone = years.office.machines[-1]
        years.office.organisation.revoke(gone.node_id)
        await years.pass_days(60)
        assert years.standings[gone.name].renewals == 0
        assert years.standings["user1"].renewals == 2

    over_years(story)


def test_what_a_liar_answers_renews_nothing() -> None:
    async def story(years: Years) -> None:
        standing = years.standings["user1"]
        years.desk.organisation = Liar(standing.node_certificate)  # type: ignore[assignment]
        await years.pass_days(60)
        assert standing.renewals == 0
        assert "did not hold" in years.renewals["user1"].validity().failure

    over_years(story)


@dataclass
class Liar:
    answer: bytes

    def renew(self, request: bytes) -> bytes:
        return self.answer


pytestmark = pytest.mark.timeout(300)
