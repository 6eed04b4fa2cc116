"""An authority that certifies a second key for a name is found out by whose name it is."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from epost.crypto.certificates import AccountCert, recall_account
from epost.crypto.signing import SigningKey
from epost.crypto.versioned import open_key_block
from epost.daemon.authority.authority import Authority
from epost.daemon.authority.log_publication import LogPublication
from epost.daemon.authority.register import Register
from epost.daemon.authority.world import system_world
from epost.foundation.ids import Address
from epost.past.log_format import NO_CLUSTER, RECORDS_PER_CLUSTER_MAX, head_of
from tests.support.daemons import Organisation, organisation

pytestmark = pytest.mark.timeout(180)


def certify_a_second_key(org: Organisation, name: str) -> None:
    """What a dishonest administrator would do."""
    with Authority.open(org.authority_dir, system_world()) as authority:
        account = authority._register.account(name)
        assert account is not None
        present: AccountCert = recall_account(account.certificate)
        with authority._register.transaction():
            authority._certifier._log_statement(present.name.encode(), b"k" * 32)
            authority._word.publish()


async def published(org: Organisation) -> int:
    """Return how far the log in the ring has come, once it has all."""
    with Authority.open(org.authority_dir, system_world()) as authority:
        while authority.log._published() < authority._certifier.log_head().sequence:
            await asyncio.sleep(0.1)
        return authority.log._published()


def test_a_second_key_for_a_name_raises_an_alarm_once(tmp_path: Path) -> None:
    async def story(org: Organisation) -> None:
        await org.join("bob", org.invite("bob"))
        bob, alice = org.daemons["bob"], org.daemons["alice"]
        assert await published(org) == 4, "a name and a machine each"
        for daemon in (alice, bob):
            await daemon.certificates.watch.look()
            assert daemon.certificates.watch.alarms() == []
        certify_a_second_key(org, "bob@example.org")
        await published(org)
        for _ in range(2):
            await alice.certificates.watch.look()
            await bob.certificates.watch.look()
        assert alice.certificates.watch.alarms() == []
        ((sequence, text),) = [(a.sequence, a.text) for a in bob.certificates.watch.alarms()]
        assert sequence == 5
        assert "not yours" in text
        (advice,) = (a for a in (await org.ask("bob", "status"))["advice"] if "ALARM" in a)
        assert "entry 5" in advice
        assert bob.node.mail is not None
        inbox = await bob.node.mail.mailbox.open("INBOX")
        (uid,) = inbox.uids()
        assert b"not yours" in await inbox.octets(uid)
        await org.stop("bob")
        await org.start("bob")
        assert len(org.daemons["bob"].certificates.watch.alarms()) == 1

    organisation(tmp_path, story)


def test_a_log_that_was_rewritten_raises_an_alarm(tmp_path: Path) -> None:
    async def story(org: Organisation) -> None:
        alice = org.daemons["alice"]
        await published(org)
        watch = alice.certificates.watch
        await watch.look()
        (issuer,) = alice.node.issuers.trust.issuers
        seen = watch.notes.seen(issuer.certified_log_key)
        assert seen.sequence == 2
        forged = type(seen)(1, 2, b"another tip" + bytes(21), ())
        await watch._keep(issuer, forged, watch._mine(issuer), [])
        await watch.look()
        (alarm,) = watch.alarms()
        assert "rewritten" in alarm.text

    organisation(tmp_path, story)


def test_a_log_longer_than_a_cluster_is_published_cluster_by_cluster(tmp_path: Path) -> None:
    with Authority.create(
        tmp_path / "authority", "example.org", Address("127.0.0.1", 4511), system_world()
    ) as authority:
        count = 2 * RECORDS_PER_CLUSTER_MAX + 7
        with authority._register.transaction():
            for number in range(count):
                authority._certifier._log_statement(b"%d" % number, bytes(32))
        log = authority.log
        steps = []
        while (step := log.next_step()) is not None:
            assert log.next_step() == step, "the same until the ring has it"
            log.published(step)
            steps.append(step)
        assert [s.sequence for s in steps] == [50, 100, 107]
        heads = [head_of(open_key_block(s.head)) for s in steps]
        assert [h.version for h in heads] == [1, 2, 3]
        assert heads[0].content.previous_cluster == NO_CLUSTER
        assert heads[2].content.previous_cluster == heads[1].content.cluster
        again = LogPublication(
            Register(tmp_path / "authority" / "register.db"),
            authority._keys.certified_log,
            authority.trust.ring,
            system_world(),
        )
        assert again.next_step() is None
        assert SigningKey(authority._keys.certified_log).public == heads[0].log_key
