"""Other keys for one's own account: `epost account rekey` (docs/decisions/0060).

Run by the command line at one of the owner's machines, with the words in force and the new ones.
Everything that the machines need is in the ring before the authority is asked, so that whatever
dies then, the account is whole; saying the same again with the same words goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from epost.crypto.signing import SigningKey
from epost.daemon.account.devices import Owner, number_of
from epost.daemon.joining.recovery_words import seed_of_words, words_of_seed
from epost.daemon.renewal import asking_at_the_port
from epost.foundation.errors import (
    ConfigError,
    EpostError,
    NoSuchUser,
    RefusedError,
    UnavailableError,
)
from epost.foundation.ids import BlockKind
from epost.foundation.ports import Entropy
from epost.past.client import Conflict
from epost.post.accounts.device_changes import AccountFound
from epost.post.accounts.devices import SEED_BYTES, AccountKeys
from epost.post.accounts.finding import find_account
from epost.post.accounts.rekeying import NewKeys, change_keys
from epost.rings.rekeying import check_rekeyed, sign_rekey_request

FOLLOWED_SECONDS_MAX = 120.0
"""How long the command waits to see its own machine go on; it does so by itself anyway."""
_LOOK_SECONDS = 0.5

Say = Callable[[str], object]


def new_words(entropy: Entropy) -> str:
    """Return 24 words that nobody has had."""
    return words_of_seed(entropy.token(SEED_BYTES))


class KeyChange:
    """The owner of an account, about to give it the keys of other words."""

    def __init__(self, owner: Owner, words: str, *, say: Say = lambda _: None) -> None:
        """`words` are the new ones; raises RefusedError if they are none, or the present ones."""
        self._owner = owner
        self._say = say
        self._following: AccountKeys = owner.keys.followed_by(seed_of_words(words))
        if self._following.account.public == owner.keys.account.public:
            raise RefusedError("these are the words that are in force already")

    async def run(self, *, revoked: Sequence[str] = ()) -> bool:
        """Change the keys, and end the machines of these numbers (or node ids) with it.

        Return whether this machine was seen to go on under them. Raises RefusedError, ConfigError;
        UnavailableError if it is not known what became of it: to be said again with the same words.
        """
        changed = await self._signed(await self._numbers(revoked))
        self._say("Bringing the new keys into the ring ...")
        await self._bring(BlockKind.CONTENT, changed.keyring)
        await self._bring(BlockKind.KEY, changed.identity.data)
        self._say("Asking the authority to certify them ...")
        certificate = await self._certified(changed.statement)
        with suppress(RefusedError, ConfigError):  # the authority's daemon brings it as well
            await self._owner.blocks.insert(BlockKind.CERTIFICATE, certificate)
        self._say("Certified. Your machines go on under the new keys ...")
        return await self._is_followed()

    async def _numbers(self, names: Sequence[str]) -> list[int]:
        said = await self._owner.devices()
        numbers = [number_of(name, said) for name in names]
        if not any(device["this"] for device in said["devices"]):
            raise RefusedError("this machine was revoked: say it on one that is not")
        if any(device["this"] and device["number"] in numbers for device in said["devices"]):
            raise RefusedError("this is the machine that you are at: say it on one that stays")
        return numbers

    async def _signed(self, revoked: Sequence[int]) -> NewKeys:
        found, previous = await self._owner.find(), await self._begun_before()
        by = self._owner.world.signing(self._owner.keys)
        return change_keys(by, self._following, found, revoked=revoked, previous=previous)

    async def _begun_before(self) -> AccountFound | None:
        owner = self._owner
        try:
            return await find_account(self._following, owner.blocks, owner.world.sealing)
        except NoSuchUser:
            return None

    async def _bring(self, kind: BlockKind, block: bytes) -> None:
        try:
            durability = await self._owner.blocks.insert(
                kind, block, mirror=kind is BlockKind.CONTENT
            )
        except Conflict as error:
            raise RefusedError(
                "the account is given other keys from another machine at this moment, and nothing "
                "was changed here: say it again in a minute"
            ) from error
        acked, wanted = durability.acked, durability.wanted
        if 2 * acked <= wanted:
            raise UnavailableError(
                "too few machines take it now, and nothing was changed: start more of them, then "
                "say it again"
            )
        if acked < wanted:  # this machine keeps it as well, and brings it to those that return
            self._say(f"It is on {acked} of {wanted} machines, and comes to the others later.")

    async def _certified(self, statement: bytes) -> bytes:
        owner = self._owner
        request = sign_rekey_request(
            statement,
            ring=owner.trust.ring,
            account=self._following.account,
            recovery=self._following.recovery,
            node_certificate=owner.node_certificate,
            node=SigningKey(owner.folder.read_node_seed()),
            now_ms=owner.world.clock.wall_ms(),
        )
        answer = await self._answer(request)
        return check_rekeyed(answer, statement, owner.trust, owner.world.clock.wall_ms())[1]

    async def _answer(self, request: bytes) -> bytes:
        """Ask the authority over the ring, then at its enrolment port."""
        try:
            return await self._owner.blocks.ask_issuers(request)
        except EpostError as error:
            asked = asking_at_the_port(self._owner.enrolment, lambda: self._owner.trust)
            if asked is None:
                raise UnavailableError(f"the authority does not answer: {error}") from error
            return await asked(request)

    async def _is_followed(self) -> bool:
        wanted = self._following.account.public
        clock = self._owner.world.clock
        until = clock.now() + FOLLOWED_SECONDS_MAX
        while clock.now() < until:
            if self._owner.read_account().account_key == wanted:
                return True
            await asyncio.sleep(_LOOK_SECONDS)
        return False
