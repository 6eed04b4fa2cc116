"""Attacks on changes of name: forged and replayed certificates, an authority that gives away names.

Whoever is told that alice is somebody else now is told so by certificates of one and the same keys,
or not at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import pytest

from epost.crypto.certificates import AccountCert, AccountFlag, certify
from epost.foundation.errors import (
    AuthenticityError,
    NoSuchUser,
    RevokedCertificate,
    UntrustedCertificate,
)
from epost.foundation.ids import BlockKind
from epost.past.blocks import handle_of
from epost.post.accounts.contacts import Accounts
from epost.simulation.clock import run
from epost.simulation.world import EPOCH_MS
from tests.support.organisation import key_of
from tests.support.post_world import DOMAIN, RING, Machine, StoredBlock, World

BOB, ROBERT, MALLORY = f"bob@{DOMAIN}", f"robert@{DOMAIN}", f"mallory@{DOMAIN}"
FORMER = int(AccountFlag.FORMER_NAME)


class Case:
    """Alice knows the name bob; the ring holds whatever the attacker wants."""

    def __init__(self) -> None:
        self.world = World()
        self.alice, self.bob = self.world.enrol("alice"), self.world.enrol("bob")
        self.mallory = self.world.enrol("mallory")
        self.accounts: Accounts

    async def start(self) -> None:
        post = await self.alice.start()
        await asyncio.sleep(1)
        self.accounts = post.services.accounts

    def certificate(self, of: Machine, name: str, **changes: object) -> bytes:
        trust = self.world.organisation.trust
        present = trust.verify_account(of.certificate, EPOCH_MS)
        changed = msgspec.structs.replace(present, name=name, **changes)
        return certify(self.world.organisation.issuer, changed)

    def hold(self, *certificates: bytes) -> None:
        for certificate in certificates:
            handle = handle_of(BlockKind.CERTIFICATE, certificate)
            self.world.ring.blocks[handle] = StoredBlock(certificate, None)

    async def present_of_bob(self) -> AccountCert:
        contact = await self.accounts.resolve(BOB, fresh=True)
        return (await self.accounts.present(contact)).account


def attacked(story: Callable[[Case], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    def test() -> None:
        async def whole() -> None:
            case = Case()
            await case.start()
            await story(case)
            await case.world.stop()

        run(whole())

    test.__name__ = story.__name__
    return test


@attacked
async def test_sec_45_a_change_that_the_authority_certified_is_followed(case: Case) -> None:
    case.hold(
        case.certificate(case.bob, ROBERT, aliases=(BOB,), version=2),
        case.certificate(case.bob, BOB, aliases=(ROBERT,), flags=FORMER, version=2),
    )
    assert (await case.present_of_bob()).name == ROBERT
    contact = await case.accounts.resolve(BOB)
    assert contact.addresses == (case.bob.node,), "and mail to the former name is hers"


@attacked
async def test_sec_45_nobody_is_sent_to_another_s_keys_by_a_change_of_name(case: Case) -> None:
    """The authority says that bob is mallory now: without the comparison of keys, alice would
    write to mallory."""
    former = case.certificate(case.bob, BOB, aliases=(MALLORY,), flags=FORMER, version=2)
    case.hold(former, case.certificate(case.mallory, MALLORY, aliases=(BOB,), version=2))
    contact = await case.accounts.resolve(BOB, fresh=True)
    naive = await case.accounts.resolve(contact.account.present_name)
    assert naive.addresses == (case.mallory.node,), "the attack"
    with pytest.raises(UntrustedCertificate):
        await case.accounts.present(contact)
    assert contact.addresses == (case.bob.node,)


@attacked
async def test_sec_45_a_new_name_must_own_the_former_one(case: Case) -> None:
    case.hold(
        case.certificate(case.bob, ROBERT, version=2),
        case.certificate(case.bob, BOB, aliases=(ROBERT,), flags=FORMER, version=2),
    )
    with pytest.raises(UntrustedCertificate):
        await case.present_of_bob()


@attacked
async def test_sec_45_a_successor_forged_by_whoever_stores_it_is_refused(case: Case) -> None:
    trust = case.world.organisation.trust
    present = trust.verify_account(case.bob.certificate, EPOCH_MS)
    forged = msgspec.structs.replace(present, aliases=(MALLORY,), flags=FORMER, version=2)
    case.hold(certify(key_of("mallory"), forged))
    with pytest.raises(AuthenticityError):
        await case.accounts.resolve(BOB, fresh=True)


@attacked
async def test_sec_45_an_old_certificate_replayed_by_all_replicas_leads_to_the_same_keys(
    case: Case,
) -> None:
    old = case.bob.certificate
    case.hold(
        case.certificate(case.bob, ROBERT, aliases=(BOB,), version=2),
        case.certificate(case.bob, BOB, aliases=(ROBERT,), flags=FORMER, version=2),
    )
    await case.accounts.resolve(BOB, fresh=True)
    case.hold(old)
    replayed = await case.accounts.resolve(BOB, fresh=True)
    assert replayed.addresses == (case.bob.node,)


class Ended:
    """The organisation's word once the authority has revoked what it certified for former names."""

    domain, ring = DOMAIN, RING

    def __init__(self, case: Case) -> None:
        self._trust = case.world.organisation.trust

    def verify_account(self, data: bytes, now_ms: int) -> AccountCert:
        account = self._trust.verify_account(data, now_ms)
        if account.flags & FORMER:
            raise RevokedCertificate("ended")
        return account

    def is_key_succeeded(self, account: AccountCert) -> bool:
        return False


@attacked
async def test_sec_45_whoever_writes_to_a_name_that_ended_is_told_the_new_one(case: Case) -> None:
    case.hold(case.certificate(case.bob, BOB, aliases=(ROBERT,), flags=FORMER, version=2))
    case.accounts._directory = Ended(case)
    with pytest.raises(NoSuchUser, match=f"write to {ROBERT}"):
        await case.accounts.resolve(BOB, fresh=True)
