"""Attacks on changes of keys: thieves of the old phrase, and authorities that name keys of theirs.

A sender believes the keys in a certificate if they descend from the account's first one; what was
signed under former ones counts as far as the present one lists its devices.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

import msgspec
import pytest

from epost.crypto.certificates import DEVICE_CERT, AccountCert, certify, open_device_certificate
from epost.crypto.rekeying import Rekeying, proof_of, sign_rekeying
from epost.crypto.sealing import HpkeSealing
from epost.crypto.signed import parse
from epost.crypto.signing import Kind
from epost.crypto.versioned import key_block_handle, make_key_block, open_key_block
from epost.foundation.codec import encode
from epost.foundation.errors import BadSeal, UnavailableError, UntrustedCertificate
from epost.foundation.ids import BlockKind, Handle
from epost.past.blocks import handle_of
from epost.post.accounts.blocks import decode_identity
from epost.post.accounts.contacts import Accounts
from epost.post.accounts.devices import AccountKeys
from epost.post.accounts.finding import find_account
from epost.post.accounts.keyring import open_keyring
from epost.rings.enrolment import sealing_key_hash
from epost.simulation.clock import run
from epost.simulation.world import EPOCH_MS
from tests.support.organisation import key_of
from tests.support.post_world import DOMAIN, RING, NodeStore, StoredBlock, World

BOB = f"bob@{DOMAIN}"
THIEF = key_of("thief")


class Case:
    """Alice writes to bob; the ring holds whatever the attacker wants."""

    def __init__(self) -> None:
        self.world = World()
        self.alice, self.bob = self.world.enrol("alice"), self.world.enrol("bob")
        self.old_seed = self.bob.recovery_seed
        self.old = self.bob.certificate
        self.accounts: Accounts

    async def start(self) -> None:
        post = await self.alice.start()
        await asyncio.sleep(1)
        self.accounts = post.services.accounts

    @property
    def present(self) -> AccountCert:
        return self.opened(self.bob.certificate)

    def opened(self, certificate: bytes) -> AccountCert:
        return self.world.organisation.trust.verify_account(certificate, EPOCH_MS)

    def hold(self, kind: BlockKind, block: bytes) -> None:
        """Have all replicas hold this."""
        self.world.ring.blocks[handle_of(kind, block)] = StoredBlock(block, None)

    def certify(self, account: AccountCert) -> None:
        self.hold(BlockKind.CERTIFICATE, certify(self.world.organisation.issuer, account))

    def thiefs_block(self, account: AccountCert, *references: bytes) -> None:
        """Publish an identity of the thief's key, with bob's devices certified by it."""
        known = decode_identity(self.bob.new.identity.body.content)
        devices = [DEVICE_CERT.decode(parse(d, Kind.DEVICE).body) for d in known.devices]
        identity = msgspec.structs.replace(
            known,
            generation=account.generation,
            devices=tuple(
                certify(THIEF, msgspec.structs.replace(d, generation=account.generation))
                for d in devices
            ),
            public_references=references,
        )
        block = make_key_block(
            THIEF, Kind.IDENTITY, ring=RING, previous=None, issued_at=EPOCH_MS,
            content=encode(identity),
        )  # fmt: skip
        self.hold(BlockKind.KEY, block.data)

    def thiefs(self, **changes: object) -> AccountCert:
        said = {"generation": 1, "account_key": THIEF.public, "version": 9, **changes}
        return msgspec.structs.replace(self.opened(self.old), **said)


def attacked(story: Callable[[Case], Coroutine[None, None, None]]) -> Callable[[], None]:
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
async def test_sec_25_the_owner_s_change_of_keys_is_followed_again_and_again(case: Case) -> None:
    before = await case.accounts.resolve(BOB)
    for words in ("second", "third"):
        await case.world.change_keys(case.bob, words)
    contact = await case.accounts.resolve(BOB, fresh=True)
    assert contact.account.generation == 2
    assert len(contact.keys) == 3
    assert contact.addresses == before.addresses, "her machines stay hers"
    assert contact.has_had_keys_of(before.account)
    assert not before.has_had_keys_of(contact.account), "never backwards"
    assert before.sealing_keys[0] == contact.sealing_keys[0], "what is under way still opens"
    assert before.sealing_keys[1] != contact.sealing_keys[1], "the old words open nothing new"


@attacked
async def test_sec_25_an_authority_names_no_keys_of_its_own_for_an_account(case: Case) -> None:
    """The certificate and the identity under it are whole: only the descent is missing."""
    stolen = case.thiefs()
    case.thiefs_block(stolen)
    case.certify(stolen)
    naive = case.opened(case.world.ring.blocks[_name(case)].block)
    assert naive.account_key == THIEF.public, "the attack"
    with pytest.raises(UntrustedCertificate, match="do not follow"):
        await case.accounts.resolve(BOB, fresh=True)


@attacked
async def test_sec_25_forged_and_replayed_proofs_are_refused(case: Case) -> None:
    first = case.opened(case.old)
    await case.world.change_keys(case.bob, "second")
    identity = open_key_block(
        case.world.ring.blocks[key_block_handle(case.present.account_key)].block
    )
    (genuine,) = decode_identity(identity.body.content).public_references
    forged = sign_rekeying(
        THIEF,
        Rekeying(
            1, RING, first.account_id, 1, first.account_key, THIEF.public, first.recovery_key,
            first.recovery_sealing_hash,
        ),
    )  # fmt: skip
    for statement in (forged, genuine):
        stolen = case.thiefs(rekey_proof=proof_of(statement))
        case.thiefs_block(stolen, statement)
        case.certify(stolen)
        with pytest.raises(Exception, match=r"do not follow|bad signature"):
            await case.accounts.resolve(BOB, fresh=True)


@attacked
async def test_sec_25_former_keys_are_not_written_to_again_though_all_replicas_go_back(
    case: Case,
) -> None:
    await case.world.change_keys(case.bob, "second")
    case.hold(BlockKind.CERTIFICATE, case.old)
    with pytest.raises(UnavailableError, match="former keys"):
        await case.accounts.resolve(BOB, fresh=True)
    case.world.directory.succeeded.clear()
    naive = await case.accounts.resolve(BOB, fresh=True)
    assert naive.account.generation == 0, "without the authority's list it would be"


@attacked
async def test_sec_25_what_the_old_phrase_signs_afterwards_counts_for_nothing(case: Case) -> None:
    """The thief certifies a machine of his with the former key, under which bob's mail is still on
    its way."""
    await case.world.change_keys(case.bob, "second")
    old, thief = case.opened(case.old), AccountKeys(case.old_seed)
    bobs = open_device_certificate(case.bob.new.device_certificate, old)
    contact = await case.accounts.signer(old, bobs)
    assert contact.device(bobs.device_key) is not None, "her own machine is listed as before"
    forged = msgspec.structs.replace(bobs, number=2, device_key=THIEF.public)
    his = open_device_certificate(certify(thief.account, forged), old)
    contact = await case.accounts.signer(old, his)
    assert contact.device(his.device_key) is None
    assert contact.revocation(his.device_key) is None, "so reception refuses it"
    never = msgspec.structs.replace(old, account_key=THIEF.public)
    with pytest.raises(UntrustedCertificate, match="never had"):
        await case.accounts.signer(never, bobs)


@attacked
async def test_sec_25_the_old_phrase_reads_nothing_new_and_the_new_one_everything(
    case: Case,
) -> None:
    await case.world.change_keys(case.bob, "second")
    old, store = AccountKeys(case.old_seed), NodeStore(case.alice)
    keys = AccountKeys(case.bob.recovery_seed).of(case.present)
    found = await find_account(keys, store, HpkeSealing())
    before = await find_account(old, store, HpkeSealing())
    assert [d.epoch for d in found.data_keys] == [1, 2]
    assert before.data_keys == found.data_keys[:1], "what was there while it was good"
    sealing = HpkeSealing()
    with pytest.raises(BadSeal):
        open_keyring(
            found.keyring,
            keys.account_id,
            public_key=sealing.public_key(old.recovery_sealing_seed),
            seed=old.recovery_sealing_seed,
            sealing=sealing,
        )
    assert found.identity.recovery_sealing_key == sealing.public_key(keys.recovery_sealing_seed)
    assert sealing_key_hash(found.identity.recovery_sealing_key) == (
        case.present.recovery_sealing_hash
    )


@attacked
async def test_sec_25_who_is_asked_by_later_keys_than_the_ring_shows_waits(case: Case) -> None:
    later = await case.world.change_keys(case.bob, "second")
    case.hold(BlockKind.CERTIFICATE, case.old)
    case.world.directory.succeeded.clear()
    account = case.opened(later)
    device = msgspec.structs.replace(
        open_device_certificate(case.bob.new.device_certificate, case.opened(case.old)),
        generation=1,
    )
    with pytest.raises(UnavailableError, match="present keys"):
        await case.accounts.signer(account, device)


def _name(case: Case) -> Handle:
    return handle_of(BlockKind.CERTIFICATE, case.old)
