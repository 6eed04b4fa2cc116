"""The command stops before anything is changed, if it cannot be done whole."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from mnemonic import Mnemonic

from epost.daemon.account.devices import Owner
from epost.daemon.account.rekeying import KeyChange, new_words
from epost.daemon.authority.world import World
from epost.daemon.world import SystemClock
from epost.foundation.errors import RefusedError, UnavailableError
from epost.foundation.ids import BlockKind, Handle
from epost.past.client import Answered, Reading
from epost.post.accounts.device_changes import AccountFound
from tests.unit.post.accounts.test_device_changes import ENTROPY, KEYS, SEALING, SEED, found

WORDS = new_words(ENTROPY)


@dataclass
class Ring:
    """A daemon whose ring takes what it is given on enough machines, or does not."""

    takes: bool
    taken: list[BlockKind] = field(default_factory=list)

    async def lookup_latest(self, handle: Handle) -> Reading:
        return Reading(None, Answered.ALL, confirmed=True)

    async def insert(self, kind: BlockKind, block: bytes, *, mirror: bool) -> bool:
        self.taken.append(kind)
        return self.takes


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


def test_the_authority_is_not_asked_before_enough_machines_have_the_account() -> None:
    bob = Bob(takes=False)
    with pytest.raises(UnavailableError, match="nothing was changed"):
        asyncio.run(change(bob).run())
    assert bob.blocks.taken == [BlockKind.CONTENT]
