"""The command stops before anything is changed, if it cannot be done whole."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Any, cast

import pytest
from mnemonic import Mnemonic

from epost.crypto.certificates import AccountCert
from epost.crypto.versioned import KeyBlock, key_block_handle, open_key_block
from epost.daemon.account.devices import Owner, is_this_machine
from epost.daemon.account.rekeying import KeyChange, new_words
from epost.daemon.authority.service import EnrolmentService
from epost.daemon.authority.world import World
from epost.daemon.joining.recovery_words import seed_of_words
from epost.daemon.world import SystemClock
from epost.foundation.errors import CallTimedOut, RefusedError, UnavailableError
from epost.foundation.ids import Address, BlockKind, Handle
from epost.past.client import Answered, Reading
from epost.past.durability import Durability
from epost.post.accounts.device_changes import AccountFound
from epost.post.accounts.finding import find_account
from tests.support.organisation import seed_of
from tests.support.tls import free_port
from tests.unit.daemon.authority.test_members import CAROL
from tests.unit.daemon.authority.test_renaming import certified
from tests.unit.daemon.authority.test_renewing import Office
from tests.unit.post.accounts.test_amending import Replicas
from tests.unit.post.accounts.test_device_changes import ENTROPY, KEYS, SEALING, SEED, found

WORDS = new_words(ENTROPY)


@dataclass
class Ring:
    """A daemon whose ring takes what it is given on enough machines, or does not."""

    takes: bool
    taken: list[BlockKind] = field(default_factory=list)

    async def lookup_latest(self, handle: Handle) -> Reading:
        return Reading(None, Answered.ALL, confirmed=True)

    async def lookup_copies(self, handle: Handle) -> Sequence[bytes]:
        return ()

    async def insert(self, kind: BlockKind, block: bytes, *, mirror: bool) -> Durability:
        self.taken.append(kind)
        return Durability(3 if self.takes else 1, 3, self.takes)


class Bob:
    """An owner at machine 1."""

    keys = KEYS
    world = World(SystemClock(), ENTROPY, SEALING)

    def __init__(self, *, takes: bool) -> None:
        self.blocks = Ring(takes)

    async def devices(self) -> dict[str, Any]:
        listed = [{"number": 1, "this": True, "node_id": "aa"}]
        return {"name": "bob@example.org", "devices": listed}

    async def find(self) -> AccountFound:
        return found()


def change(bob: Bob, words: str = WORDS) -> KeyChange:
    return KeyChange(cast(Owner, bob), words)


def test_new_words_are_24_and_never_the_same() -> None:
    assert len(WORDS.split()) == 24
    assert new_words(ENTROPY) != WORDS


def test_the_present_words_are_no_new_ones() -> None:
    with pytest.raises(RefusedError, match="in force already"):
        change(Bob(takes=True), Mnemonic("english").to_mnemonic(SEED))


def test_the_machine_that_one_is_at_stays() -> None:
    with pytest.raises(RefusedError, match="one that stays"):
        asyncio.run(change(Bob(takes=True)).run(revoked=["1"]))


class Stolen(Bob):
    """She is at a machine that was revoked: the account has another."""

    async def devices(self) -> dict[str, Any]:
        said = await super().devices()
        return {**said, "devices": [{**said["devices"][0], "this": False}]}


def test_a_machine_that_was_revoked_changes_nothing() -> None:
    with pytest.raises(RefusedError, match="this machine was revoked"):
        asyncio.run(change(Stolen(takes=True)).run())
    said = asyncio.run(Bob(takes=True).devices())
    assert is_this_machine("1", said)
    assert not is_this_machine("1", asyncio.run(Stolen(takes=True).devices()))


def test_the_authority_is_not_asked_before_enough_machines_have_the_account() -> None:
    bob = Bob(takes=False)
    with pytest.raises(UnavailableError, match="nothing was changed"):
        asyncio.run(change(bob).run())
    assert bob.blocks.taken == [BlockKind.CONTENT]


# With an authority that listens at its port.


class Lost(Enum):
    """What of a request over the ring is lost."""

    NOTHING = "nothing"
    REQUEST = "the request"
    ANSWER = "the answer"


class Blocks(Replicas):
    """The ring as a daemon gives it to the command line; the authority is one of its nodes."""

    def __init__(self, office: Office) -> None:
        super().__init__(seed_of("seedcarol"))
        self._office = office
        self.lost = Lost.NOTHING
        self.acked = 3

    async def insert(self, kind: BlockKind, block: bytes, *, mirror: bool = True) -> Durability:
        await super().insert(kind, block, mirror=mirror)
        return Durability(self.acked, 3, self.acked == 3)

    async def ask_issuers(self, request: bytes) -> bytes:
        if self.lost is Lost.REQUEST:
            raise CallTimedOut("nobody")
        answer = self._office.authority.keys.answer(request)
        if self.lost is Lost.ANSWER:
            raise CallTimedOut("the answer is lost")
        return answer


class Carol:
    """An owner at her one machine, which follows as soon as the authority says so."""

    def __init__(self, office: Office, *enrolment: str) -> None:
        self._office = office
        self.blocks = Blocks(office)
        self.world = World(SystemClock(), office.world.entropy, office.world.sealing)
        self.world = replace(self.world, clock=office.calendar)
        self.trust = office.authority.trust
        self.enrolment = enrolment
        self.node_certificate = office.node
        self.keys = self.blocks.account.keys.of(self.read_account())
        self.said: list[str] = []

    @property
    def folder(self) -> Carol:
        return self

    def read_node_seed(self) -> bytes:
        return seed_of("carol")

    def read_account(self) -> AccountCert:
        return certified(self._office, CAROL)

    async def devices(self) -> dict[str, Any]:
        return {"name": CAROL, "devices": [{"number": 1, "this": True, "node_id": "aa"}]}

    async def find(self) -> AccountFound:
        return await find_account(self.keys, self.blocks, self.world.sealing)

    async def change(self) -> bool:
        return await KeyChange(cast(Owner, self), WORDS, say=self.said.append).run()

    def identity_of_new_keys(self) -> KeyBlock:
        following = self.keys.followed_by(seed_of_words(WORDS))
        return open_key_block(self.blocks.others[key_block_handle(following.account.public)])


@pytest.mark.parametrize("lost", [Lost.REQUEST, Lost.ANSWER])
def test_what_is_lost_in_the_ring_is_asked_for_at_the_authoritys_port(
    tmp_path: Path, lost: Lost
) -> None:
    async def story() -> None:
        office = Office(tmp_path)
        where = Address("127.0.0.1", free_port())
        carol = Carol(office, f"{where.host}:{where.port}")
        carol.blocks.lost = lost
        async with EnrolmentService(office.authority, where, office.world):
            assert await carol.change()
        after = carol.read_account()
        assert (after.generation, after.version) == (1, 2), "certified once"

    asyncio.run(story())


def test_after_a_lost_answer_the_same_words_change_nothing_that_machines_may_use(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        office = Office(tmp_path)
        carol = Carol(office)
        carol.blocks.lost = Lost.ANSWER
        with pytest.raises(UnavailableError, match="the authority does not answer"):
            await carol.change()
        first = carol.identity_of_new_keys()
        assert carol.read_account().generation == 1, "which nobody here knows"
        carol.blocks.lost = Lost.NOTHING
        assert await carol.change()
        assert carol.identity_of_new_keys() == first, "the data key in it may be in use"
        assert carol.read_account().generation == 1

    asyncio.run(story())


def test_with_one_of_three_machines_away_for_the_whole_time_the_keys_are_changed(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        carol = Carol(Office(tmp_path))
        carol.blocks.acked = 2
        assert await carol.change()
        assert "It is on 2 of 3 machines, and comes to the others later." in carol.said

    asyncio.run(story())
