"""Two real daemons that were enrolled forty days ago renew over the ring, without a restart."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from epost.crypto.certificates import ACCOUNT_CERT, NODE_CERT, NodeCert
from epost.crypto.signed import parse
from epost.crypto.signing import Kind, SigningKey
from epost.daemon.authority.authority import Authority
from epost.daemon.authority.world import system_world
from epost.daemon.folder import NodeFolder
from epost.daemon.renewal import asking_at_the_port, membership_advice
from epost.daemon.world import SystemClock
from epost.foundation.durations import DAY_MS
from epost.node.renewal import Validity
from epost.rings.renewal import RENEWAL_ANSWER, Granted, sign_renewal
from tests.support.daemons import Organisation, organisation
from tests.support.demo import compose

pytestmark = pytest.mark.timeout(180)


class FortyDaysAgo(SystemClock):
    """The clock of the day on which the organisation was founded."""

    def wall_ms(self) -> int:
        return super().wall_ms() - 40 * DAY_MS


def node_certificate(org: Organisation, name: str) -> NodeCert:
    membership = NodeFolder(org.path / name).read_membership()
    return NODE_CERT.decode(parse(membership.node, Kind.NODE).body)


async def renewed(org: Organisation, name: str) -> NodeCert:
    today = time.time() * 1000 - DAY_MS
    while (certificate := node_certificate(org, name)).not_before < today:
        await asyncio.sleep(0.1)
    return certificate


def test_daemons_renew_over_the_ring_and_new_links_show_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(org: Organisation) -> None:
        await org.join("bob", org.invite("bob"))
        old = node_certificate(org, "bob")
        monkeypatch.undo()
        for name in ("bob", "alice"):
            await org.stop(name)
        for name in ("alice", "bob"):
            await org.start(name)
        for name in ("alice", "bob"):
            new = await renewed(org, name)
            assert new.not_after > time.time() * 1000 + 399 * DAY_MS
        new = node_certificate(org, "bob")
        assert (new.serial, new.node_id) == (old.serial, old.node_id)
        bob, alice = org.daemons["bob"].node, org.daemons["alice"].node
        await org.stop("bob")
        await org.start("bob")
        await org.until("alice", lambda s: s["ring"]["members"] == 2)
        shown = alice._ports.transport.certificate(bob.me.id)
        assert shown == NodeFolder(org.path / "bob").read_membership().node
        message_id, octets = compose("alice@example.org", ["bob@example.org"])
        await asyncio.to_thread(org.submit, "alice", "bob", octets)
        assert await asyncio.to_thread(org.read, "bob", message_id) == octets
        assert not (await org.ask("bob", "status"))["advice"]

    for module in ("authority.world", "process"):
        monkeypatch.setattr(f"epost.daemon.{module}.SystemClock", FortyDaysAgo)
    organisation(tmp_path, story)


def test_the_enrolment_port_renews_for_whom_the_ring_does_not_let_in_any_more(
    tmp_path: Path,
) -> None:
    async def story(org: Organisation) -> None:
        folder = NodeFolder(org.path / "alice")
        trust = org.daemons["alice"].node.issuers.trust
        with Authority.open(org.authority_dir, system_world()) as authority:
            at = authority.enrolment_address
        ask = asking_at_the_port((f"{at.host}:{at.port}",), lambda: trust)
        assert ask is not None
        seed = folder.read_node_seed()
        present = folder.read_membership().node
        now = int(time.time() * 1000)
        answer = await ask(sign_renewal(present, trust.ring, SigningKey(seed), now))
        granted = RENEWAL_ANSWER.decode(answer)
        assert isinstance(granted, Granted)
        assert granted.node == present
        account = ACCOUNT_CERT.decode(parse(granted.account, Kind.ACCOUNT).body)
        assert account.name == "alice@example.org"

    assert asking_at_the_port((), lambda: pytest.fail("not asked")) is None
    organisation(tmp_path, story)


@pytest.mark.parametrize(
    ("days", "is_warned", "is_denied", "said"),
    [
        (300, False, False, ""),
        (50, True, False, "in 50 days"),
        (300, False, True, "taken out"),
        (-3, True, False, "ended on"),
    ],
)
def test_status_says_in_plain_words_when_the_membership_ends(
    days: int, is_warned: bool, is_denied: bool, said: str
) -> None:
    clock = SystemClock()
    until = clock.wall_ms() + days * DAY_MS + 1000
    validity = Validity(until, until + 1, True, is_warned, "it was taken out", is_denied)
    (advice, *_) = membership_advice(validity, clock) or [""]
    assert said in advice
    assert bool(advice) == bool(said)
