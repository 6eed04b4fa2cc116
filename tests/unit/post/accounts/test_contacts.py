"""Names become accounts: every link of the chain is verified, and no answer is made up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import pytest

from epost.crypto.hashing import derive
from epost.crypto.names import certificate_digest
from epost.crypto.sealing import HpkeSealing, key_id
from epost.crypto.signing import Kind, SigningKey
from epost.crypto.versioned import KeyBlock, key_block_handle, make_key_block
from epost.foundation.codec import encode
from epost.foundation.errors import (
    AuthenticityError,
    BadSeal,
    MalformedPacket,
    NoSuchUser,
    PeerError,
    RefusedError,
    UnavailableError,
    UntrustedCertificate,
)
from epost.foundation.ids import BlockKind, Handle
from epost.past.client import Answered, Reading
from epost.post.accounts import contacts as accounts_module
from epost.post.accounts.blocks import (
    DeviceInfo,
    Identity,
    IdentityFlag,
    LogName,
    Prekey,
    decode_device_info,
    decode_identity,
)
from epost.post.accounts.contacts import Accounts
from epost.post.accounts.devices import AccountKeys, with_new_prekey
from epost.post.accounts.keyring import EpochSecret, make_keyring, open_keyring
from epost.simulation.clock import run
from epost.simulation.world import EPOCH_MS
from tests.support.post_world import DOMAIN, RING, Machine, Organisation, StoredBlock, World

BOB = f"bob@{DOMAIN}"


class Pair:
    """Alice looks Bob up."""

    def __init__(self) -> None:
        self.world = World()
        self.alice, self.bob = self.world.enrol("alice"), self.world.enrol("bob")

    async def start(self) -> None:
        post = await self.alice.start()
        await asyncio.sleep(1)  # the log has been compared with the ring
        self.accounts: Accounts = post.services.accounts

    def replace(self, handle: Handle, block: bytes) -> None:
        """Have the ring hold another block, as if all replicas lied."""
        self.world.ring.blocks[handle] = StoredBlock(block, None)

    def publish_identity(self, identity: Identity, **options: Any) -> None:
        keys = {"key": self.bob.new.keys.account, "purpose": Kind.IDENTITY, "ring": RING}
        block = sign_next(self.bob.new.identity, encode(identity), **{**keys, **options})
        self.replace(key_block_handle(self.bob.new.keys.account.public), block.data)

    def publish_info(self, info: DeviceInfo, **options: Any) -> None:
        device_key = SigningKey(self.bob.secrets.signing_seed)
        keys = {"key": device_key, "purpose": Kind.DEVBLOCK, "ring": RING}
        block = sign_next(self.bob.new.device_block, encode(info), **{**keys, **options})
        self.replace(key_block_handle(device_key.public), block.data)

    @property
    def identity(self) -> Identity:
        return decode_identity(self.bob.new.identity.body.content)

    @property
    def info(self) -> DeviceInfo:
        return decode_device_info(self.bob.new.device_block.body.content)


def sign_next(known: KeyBlock, content: bytes, **options: Any) -> KeyBlock:
    return make_key_block(**options, previous=known, issued_at=EPOCH_MS, content=content)


def looked_up(story: Callable[[Pair], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """Run a story in virtual time with a fresh pair."""

    def test() -> None:
        async def whole() -> None:
            pair = Pair()
            await pair.start()
            await story(pair)
            await pair.world.stop()

        run(whole())

    test.__name__ = story.__name__
    return test


@looked_up
async def test_a_name_resolves_to_account_identity_and_devices(pair: Pair) -> None:
    contact = await pair.accounts.resolve(" Bob@EXAMPLE.org")
    assert contact.name == BOB
    assert contact.account.account_id == pair.bob.new.keys.account_id
    assert contact.addresses == (pair.bob.node,)
    prekey = pair.info.newest_prekey.public_key
    assert contact.sealing_keys == (prekey, pair.bob.new.recovery_sealing_key)
    assert pair.accounts.me.name == f"alice@{DOMAIN}"


@looked_up
async def test_lookups_at_the_same_time_and_within_a_minute_are_one(pair: Pair) -> None:
    before = pair.alice.lookups
    await asyncio.gather(*(pair.accounts.resolve(BOB) for _ in range(10)))
    await asyncio.sleep(59)
    await pair.accounts.resolve(BOB)
    assert pair.alice.lookups - before == 3
    await asyncio.sleep(2)
    await pair.accounts.resolve(BOB)
    assert pair.alice.lookups - before == 6
    await pair.accounts.resolve(BOB, fresh=True)
    pair.accounts.forget(BOB)
    await pair.accounts.resolve(BOB)
    assert pair.alice.lookups - before == 12


@looked_up
async def test_what_was_forgotten_is_not_learnt_from_a_lookup_that_began_before(pair: Pair) -> None:
    early = asyncio.create_task(pair.accounts.resolve(BOB))
    await asyncio.sleep(0)
    pair.accounts.forget(BOB)
    before = pair.alice.lookups
    await pair.accounts.resolve(BOB)
    await early
    assert pair.alice.lookups - before >= 3
    pair.publish_identity(msgspec.structs.replace(pair.identity, public_references=(b"new",)))
    pair.accounts.forget(BOB)
    assert (await pair.accounts.resolve(BOB)).identity.public_references == (b"new",)


@looked_up
async def test_nobody_has_a_name_only_if_the_ring_says_so(pair: Pair) -> None:
    with pytest.raises(NoSuchUser):
        await pair.accounts.resolve(f"nobody@{DOMAIN}")
    with pytest.raises(NoSuchUser):
        await pair.accounts.resolve("bob@elsewhere.org")
    with pytest.raises(RefusedError):
        await pair.accounts.resolve("not a name")
    pair.alice.is_online = False
    with pytest.raises(UnavailableError):
        await pair.accounts.resolve(f"nobody@{DOMAIN}")
    with pytest.raises(UnavailableError):
        await pair.accounts.resolve(BOB)


@looked_up
async def test_an_answer_of_some_replicas_is_no_denial(pair: Pair) -> None:
    async def some(_handle: Handle) -> Reading:
        return Reading(None, Answered.SOME, confirmed=False)

    pair.alice.store.lookup_latest = some  # type: ignore[method-assign]
    with pytest.raises(UnavailableError):
        await pair.accounts.resolve(f"nobody@{DOMAIN}")


@looked_up
async def test_a_certificate_of_another_name_or_authority_is_not_taken(pair: Pair) -> None:
    place = Handle(BlockKind.CERTIFICATE, certificate_digest(BOB))
    pair.replace(place, pair.alice.certificate)
    with pytest.raises(UntrustedCertificate):
        await pair.accounts.resolve(BOB)
    other = Organisation()
    other.issuer = SigningKey(b"x" * 32)
    pair.replace(place, other.certify(BOB, pair.bob.new))
    with pytest.raises(UntrustedCertificate):
        await pair.accounts.resolve(BOB)


@looked_up
async def test_who_has_no_identity_yet_is_asked_for_again_later(pair: Pair) -> None:
    del pair.world.ring.blocks[pair.bob.new.identity.handle]
    with pytest.raises(UnavailableError):
        await pair.accounts.resolve(BOB)


@looked_up
async def test_an_identity_that_does_not_fit_its_certificate_is_not_taken(pair: Pair) -> None:
    changed = msgspec.structs.replace
    alices = decode_identity(pair.alice.new.identity.body.content)
    for identity, options in (
        (changed(pair.identity, account_id=bytes(32)), {}),
        (changed(pair.identity, generation=1), {}),
        (changed(pair.identity, recovery_sealing_key=alices.recovery_sealing_key), {}),
        (changed(pair.identity, devices=alices.devices), {}),
        (pair.identity, {"ring": bytes(20)}),
        (pair.identity, {"purpose": Kind.DEVBLOCK}),
        (pair.identity, {"key": pair.alice.new.keys.account}),
    ):
        pair.publish_identity(identity, **options)
        with pytest.raises((AuthenticityError, PeerError)):
            await pair.accounts.resolve(BOB)


@looked_up
async def test_a_device_without_a_good_block_is_listed_but_not_reached(pair: Pair) -> None:
    changed = msgspec.structs.replace
    prekey = pair.info.newest_prekey
    for info, options in (
        (changed(pair.info, number=2), {}),
        (changed(pair.info, account_id=bytes(32)), {}),
        (changed(pair.info, prekeys=(changed(prekey, key_id=bytes(8)),)), {}),
        (changed(pair.info, logs=(LogName(bytes(16), bytes(32)),)), {}),
        (pair.info, {"purpose": Kind.HEAD}),
    ):
        pair.publish_info(info, **options)
        contact = await pair.accounts.resolve(BOB, fresh=True)
        assert contact.addresses == ()
        assert contact.sealing_keys == (pair.bob.new.recovery_sealing_key,)
    del pair.world.ring.blocks[key_block_handle(contact.devices[0].certificate.device_key)]
    contact = await pair.accounts.resolve(BOB, fresh=True)
    assert contact.devices[0].info is None


@looked_up
async def test_the_newest_prekey_counts_and_strict_accounts_have_no_recovery(pair: Pair) -> None:
    sealing = HpkeSealing()
    public_key = sealing.public_key(b"n" * 32)
    newer = Prekey(key_id(public_key), public_key, EPOCH_MS + 1)
    pair.publish_info(msgspec.structs.replace(pair.info, prekeys=(newer, *pair.info.prekeys)))
    flags = int(IdentityFlag.STRICT_FORWARD_SECRECY)
    pair.publish_identity(msgspec.structs.replace(pair.identity, flags=flags))
    contact = await pair.accounts.resolve(BOB)
    assert contact.sealing_keys == (public_key,)


@looked_up
async def test_a_signer_must_be_whom_the_name_stands_for_now(pair: Pair) -> None:
    contact = await pair.accounts.resolve(BOB)
    device = contact.devices[0].certificate
    assert await pair.accounts.signer(contact.account, device) is contact
    for changes in ({"account_id": bytes(32)}, {"account_key": SigningKey(b"x" * 32).public}):
        stranger = msgspec.structs.replace(contact.account, **changes)
        with pytest.raises(UntrustedCertificate):
            await pair.accounts.signer(stranger, device)


@looked_up
async def test_the_cache_is_bounded(pair: Pair) -> None:
    limit, accounts_module.CONTACTS_CACHED_MAX = accounts_module.CONTACTS_CACHED_MAX, 1
    try:
        contact = await pair.accounts.resolve(BOB)
        await pair.accounts.resolve(f"alice@{DOMAIN}")
        before = pair.alice.lookups
        await pair.accounts.resolve(BOB)
        assert pair.alice.lookups > before
        assert not pair.accounts.is_known_revoked(contact.devices[0].certificate)
    finally:
        accounts_module.CONTACTS_CACHED_MAX = limit


# Keys


def test_everything_of_an_account_follows_from_its_phrase() -> None:
    first, again = AccountKeys(b"s" * 32), AccountKeys(b"s" * 32)
    following = first.followed_by(b"t" * 32)
    assert first.account.public == again.account.public
    assert first.account.public != following.account.public
    assert first.recovery.public != following.recovery.public
    assert first.account_id == following.account_id, "stable for ever"
    assert (first.generation, following.generation) == (0, 1)


def test_the_recovery_key_opens_the_keyring_of_a_new_account() -> None:
    machine: Machine = World().enrol("alice")
    sealing, new = HpkeSealing(), machine.new
    keys = open_keyring(
        new.keyring,
        new.keys.account_id,
        public_key=new.recovery_sealing_key,
        seed=new.keys.recovery_sealing_seed,
        sealing=sealing,
    )
    assert keys == new.secrets.data_keys
    stranger = sealing.public_key(b"x" * 32)
    with pytest.raises(BadSeal):
        open_keyring(
            new.keyring, new.keys.account_id, public_key=stranger, seed=b"x" * 32, sealing=sealing
        )
    odd = make_keyring(new.keys.account_id, [EpochSecret(1, b"short")], [stranger], sealing)
    with pytest.raises(BadSeal):
        open_keyring(odd, new.keys.account_id, public_key=stranger, seed=b"x" * 32, sealing=sealing)


def test_secrets_do_not_print_themselves() -> None:
    secrets = World().enrol("alice").secrets
    assert secrets.signing_seed.hex() not in repr(secrets)
    assert repr(secrets) == "DeviceSecrets(number=1)"


def test_old_data_keys_and_prekeys_still_open() -> None:
    async def story() -> None:
        alice = World().enrol("alice")
        await alice.start()
        device, old = alice.device, alice.device.secrets
        assert device.log_data_key(b"l" * 32, 7) is None
        known = device.published_prekeys(3)[0].key_id
        device.use(with_new_prekey(old, b"p" * 32, EPOCH_MS + 1))
        assert device.prekey_seed(known) == old.prekeys[0].seed
        newest = device.published_prekeys(1)[0]
        assert device.prekey_seed(newest.key_id) == b"p" * 32
        assert derive(b"k" * 32, "x").key != device.notes_secret
        await alice.stop()

    run(story())


def test_a_foreign_content_is_no_identity() -> None:
    with pytest.raises(MalformedPacket):
        decode_identity(b"\x90")
