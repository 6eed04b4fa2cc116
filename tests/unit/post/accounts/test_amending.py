"""Changes of an account at one moment, where a replica holds a version that others refused."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import pytest

from epost.crypto.certificates import recall_device
from epost.crypto.names import ring_of
from epost.crypto.versioned import KeyBlock, key_block_handle, open_key_block
from epost.foundation.errors import NoSuchBlock, RefusedError, UnavailableError
from epost.foundation.ids import Address, BlockKind, Handle, NodeHandle, NodeId
from epost.foundation.ports import Role
from epost.past.blocks import handle_of, proven_key
from epost.past.client import Answered, Conflict, Reading
from epost.past.versions import Verdict, judge_fresh
from epost.post.accounts.amending import CHANGES_TRIED, amend_account
from epost.post.accounts.blocks import Identity, decode_identity
from epost.post.accounts.device_amendments import Admission, Revocation
from epost.post.accounts.device_changes import Change, change_devices
from epost.post.accounts.devices import Signing
from epost.post.accounts.finding import find_account
from epost.post.accounts.keyring import DataKeys
from epost.post.accounts.new_devices import (
    NewAccount,
    create_account,
    draw_seeds,
    first_device_block,
    public_half,
    secrets_of,
)
from epost.post.accounts.rival_copies import HEEDED_MS
from epost.simulation.clock import run
from epost.simulation.sealing import SimulatedSealing
from epost.simulation.world import EPOCH_MS, SimulatedEntropy

RING = ring_of("example.org")
CONTACT = NodeHandle(RING, NodeId(bytes(20)), (Address("127.0.0.1", 99),))
SEALING = SimulatedSealing(SimulatedEntropy(0, "sealing"))
ALL = (0, 1, 2)


class Replicas:
    """Three replicas of an account, each judging for itself; `reachable` is whom puts come to."""

    def __init__(self, seed: bytes = bytes(32)) -> None:
        self.account: NewAccount = create_account(
            seed,
            contact=CONTACT,
            now_ms=EPOCH_MS,
            sealing=SEALING,
            entropy=SimulatedEntropy(0, "device"),
        )
        self.handle = key_block_handle(self.account.keys.account.public)
        self.reachable: Sequence[int] = ALL
        self.identities = [self.account.identity] * 3
        self.others: dict[Handle, bytes] = {}
        for kind, block in (
            (BlockKind.CONTENT, self.account.keyring),
            (BlockKind.KEY, self.account.device_block.data),
        ):
            self.others[handle_of(kind, block)] = block
        self.before_next: Callable[[], Awaitable[object]] | None = None

    async def lookup(self, handle: Handle) -> bytes:
        if handle not in self.others:
            raise NoSuchBlock(str(handle))
        return self.others[handle]

    async def lookup_latest(self, handle: Handle) -> Reading:
        if handle != self.handle:
            return Reading(self.others.get(handle), Answered.ALL, True)
        newest = max(self.identities, key=lambda block: block.order)
        return Reading(newest.data, Answered.ALL, True)

    async def lookup_copies(self, handle: Handle) -> Sequence[bytes]:
        if handle != self.handle:
            return [block for block in (self.others.get(handle),) if block]
        return sorted({block.data for block in self.identities})

    async def insert(self, kind: BlockKind, block: bytes, *, mirror: bool = True) -> object:
        handle = handle_of(kind, block)
        if handle != self.handle:
            self.others[handle] = block
            return None
        if act := self.before_next:
            self.before_next = None
            await act()
        self._put(open_key_block(block))
        return None

    def _put(self, offered: KeyBlock) -> None:
        proven = proven_key(offered)
        refusing: list[KeyBlock] = []
        for replica in self.reachable:
            stored = self.identities[replica]
            match judge_fresh(proven_key(stored).entry(Role.REPLICA, ticket=b""), proven):
                case Verdict.STORE:
                    self.identities[replica] = offered
                case Verdict.CONFLICT | Verdict.STALE:
                    refusing.append(stored)
        if refusing:
            raise Conflict(self.handle, max(refusing, key=lambda block: block.order).data)

    def identity(self) -> Identity:
        newest = max(self.identities, key=lambda block: block.order)
        return decode_identity(newest.body.content)

    def numbers(self) -> list[int]:
        return [recall_device(certificate).number for certificate in self.identity().devices]

    def revoked(self) -> list[int]:
        return [device.number for device in self.identity().revoked]


class Owner:
    """Somebody at one of the account's machines, with the words."""

    def __init__(self, ring: Replicas, name: str) -> None:
        self.ring = ring
        self.entropy = SimulatedEntropy(1, name)
        keys = ring.account.keys
        self.seeds = draw_seeds(self.entropy)
        self.signing = Signing(keys, EPOCH_MS + 1, SEALING, self.entropy)

    def admission(self) -> Admission:
        return Admission(self.signing, public_half(self.seeds, SEALING))

    async def add(self) -> None:
        """Add a machine, which starts and publishes its block."""
        await self.amend(self.admission())
        found = await find_account(self.ring.account.keys, self.ring, SEALING)
        mine = public_half(self.seeds, SEALING).device_key
        (certificate,) = (c for c in found.identity.devices if recall_device(c).device_key == mine)
        await self.publish(certificate, found.data_keys)

    async def publish(self, certificate: bytes, data_keys: DataKeys) -> None:
        """Start the machine."""
        secrets = secrets_of(
            self.seeds,
            certificate,
            recovery_sealing_key=self.ring.account.recovery_sealing_key,
            data_keys=data_keys,
            now_ms=EPOCH_MS,
        )
        block = first_device_block(secrets, CONTACT, EPOCH_MS, SEALING)
        await self.ring.insert(BlockKind.KEY, block.data)

    async def revoke(self, number: int) -> None:
        await self.amend(Revocation(self.signing, number))

    async def amend(self, amendment: Admission | Revocation) -> None:
        await amend_account(self.signing, self.ring, amendment)


async def leave_a_refused_version(
    ring: Replicas, change: Callable[[], Awaitable[None]], *, publishes: bool
) -> None:
    """A change is made at two replicas, and its owner told of it, while the third takes what the
    two refuse: twice, so that the refused version is the newest, and follows no other."""
    found = await find_account(ring.account.keys, ring, SEALING)
    dies = Owner(ring, "dies")
    refused = dies.admission().signed(found)
    if publishes:
        await dies.publish(refused.certificate, refused.data_keys)
    await change()
    before = ring.identities[2]
    ring.identities[2] = found.block
    for made in (refused, await refused_again(ring, dies, refused)):
        await ring.insert(BlockKind.CONTENT, made.keyring)
        with pytest.raises(Conflict) as conflict:
            await ring.insert(BlockKind.KEY, made.identity.data)
        assert conflict.value.block == before.data
        assert ring.identities == [before, before, made.identity]


async def refused_again(ring: Replicas, dies: Owner, refused: Change) -> Change:
    alone = Replicas()
    alone.others, alone.identities = dict(ring.others), [refused.identity] * 3
    await alone.insert(BlockKind.CONTENT, refused.keyring)
    return change_devices(dies.signing, await find_account(ring.account.keys, alone, SEALING))


def test_a_third_writer_keeps_what_was_told_though_the_newest_copy_is_a_refused_one() -> None:
    async def story() -> None:
        ring = Replicas()
        await Owner(ring, "second").add()
        revokes = Owner(ring, "revokes")
        await leave_a_refused_version(ring, lambda: revokes.revoke(2), publishes=True)
        assert ring.revoked() == [], "the newest copy is one that was refused"
        await Owner(ring, "third").add()
        assert ring.revoked() == [2], "what its writer was told of"
        assert ring.numbers() == [1, 3, 4]
        assert {block.data for block in ring.identities} == {ring.identities[0].data}
        found = await find_account(ring.account.keys, ring, SEALING)
        assert found.data_keys[-1].epoch >= 2, "whoever was revoked had the first"

    run(story())


def test_a_machine_that_only_another_copy_lists_stays_one_of_the_account() -> None:
    async def story() -> None:
        ring = Replicas()
        added = Owner(ring, "added")
        await leave_a_refused_version(ring, added.add, publishes=False)
        assert public_half(added.seeds, SEALING).device_key not in listed(ring)
        await Owner(ring, "third").add()
        assert public_half(added.seeds, SEALING).device_key in listed(ring)
        assert ring.numbers() == [1, 2, 3], "2 was given to one that was never seen as well"

    run(story())


def listed(ring: Replicas) -> set[bytes]:
    return {recall_device(certificate).device_key for certificate in ring.identity().devices}


def test_of_two_changes_at_one_moment_both_are_made() -> None:
    async def story() -> None:
        ring = Replicas()
        await Owner(ring, "second").add()
        ring.before_next = lambda: Owner(ring, "laptop").add()
        await Owner(ring, "revokes").revoke(2)
        assert ring.numbers() == [1, 3]
        assert ring.revoked() == [2]
        ring.before_next = lambda: Owner(ring, "revokes too").revoke(3)
        await Owner(ring, "revokes").revoke(3)
        assert ring.revoked() == [2, 3]

    run(story())


def test_a_number_that_was_given_to_another_at_that_moment_is_not_given_twice() -> None:
    async def story() -> None:
        ring = Replicas()
        ring.before_next = lambda: Owner(ring, "other").add()
        slow = Owner(ring, "slow")
        with pytest.raises(RefusedError, match="add this one once more"):
            await slow.add()
        await Owner(ring, "slow again").add()
        assert ring.numbers() == [1, 2, 3]

    run(story())


def test_a_copy_of_long_ago_says_nothing() -> None:
    async def story() -> None:
        ring = Replicas()
        await Owner(ring, "second").add()
        found = await find_account(ring.account.keys, ring, SEALING)
        refused = Revocation(Owner(ring, "dies").signing, 2).signed(found)
        late = Owner(ring, "late")
        late.signing = Signing(ring.account.keys, EPOCH_MS + HEEDED_MS + 2, SEALING, late.entropy)
        ring.reachable = (0, 1)
        await late.add()
        ring.identities[2] = refused.identity
        ring.others[handle_of(BlockKind.CONTENT, refused.keyring)] = refused.keyring
        ring.reachable = ALL
        found = await find_account(ring.account.keys, ring, SEALING)
        assert found.revoked_elsewhere == ()

    run(story())


def test_who_is_always_refused_says_so() -> None:
    async def story() -> None:
        ring = Replicas()
        attempts = 0

        async def insert(kind: BlockKind, block: bytes, *, mirror: bool = True) -> object:
            nonlocal attempts
            if handle_of(kind, block) == ring.handle:
                attempts += 1
                raise Conflict(ring.handle, ring.identities[0].data)
            return None

        ring.insert = insert  # type: ignore[method-assign]  # replicas that take nothing
        with pytest.raises(UnavailableError, match="others keep changing the account"):
            await Owner(ring, "unlucky").add()
        assert attempts == CHANGES_TRIED

    run(story())
