"""Changing an account although others do so at the same moment (docs/decisions/0040, 0067).

The identity block has as many writers as there are machines at which its owner says her words.
Whoever is refused begins again with what is in the way, and nobody is told of success before the
ring has been read again.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from epost.crypto.versioned import key_block_handle, open_key_block
from epost.foundation.errors import UnavailableError
from epost.foundation.ids import BlockKind
from epost.past.client import Conflict
from epost.post.accounts.device_changes import AccountFound, Change
from epost.post.accounts.devices import AccountKeys, Signing
from epost.post.accounts.finding import Clash, MutableBlocks, find_account

CHANGES_TRIED = 12
CHANGE_PAUSE_SECONDS = 2.0
"""Between a change and the look at what became of it; longer by chance after a conflict, for the
two not to meet again and again."""


class AccountBlocks(MutableBlocks, Protocol):
    """What of the ring is needed to change an account."""

    async def insert(self, kind: BlockKind, block: bytes, *, mirror: bool = True) -> object:
        """Store a block on k nodes, or hold it locally; raises RefusedError, Conflict."""
        ...


class Amendment(Protocol):
    """What the owner wants of her account, whatever else is changed at that moment."""

    def is_in(self, found: AccountFound) -> bool:
        """Does the account say so by now?"""
        ...

    def signed(self, found: AccountFound) -> Change:
        """Return what makes it so; raises RefusedError, LimitExceeded."""
        ...


async def amend_account(
    by: Signing,
    blocks: AccountBlocks,
    amendment: Amendment,
    *,
    begun: Change | None = None,
) -> None:
    """Change the account, and return when the ring is seen to say so, or cannot be read again now.

    `begun` is what `amendment` has signed already. What is not ring-durable by then is held by this
    machine, and may still lose to another change. Raises as `find_account` and `amendment.signed`;
    UnavailableError if others keep changing the account: then it is not known whether it was.
    """
    change, clash = begun, None
    for _ in range(CHANGES_TRIED):
        if change is None:
            change = amendment.signed(await find_account(by.keys, blocks, by.sealing, clash))
        clash = await _refused(by.keys, blocks, change)
        change, pause = None, CHANGE_PAUSE_SECONDS
        if clash is not None:
            pause *= 1 + by.entropy.token(1)[0] / 256
        await asyncio.sleep(pause)
        if clash is None and await _is_seen(by, blocks, amendment):
            return
    raise UnavailableError("others keep changing the account: try again in a minute")


async def _refused(keys: AccountKeys, blocks: AccountBlocks, change: Change) -> Clash | None:
    """Bring a change into the ring; return what is in its way, if anything is."""
    # Nothing is mirrored: after a conflict the next reading must find the ring's version.
    await blocks.insert(BlockKind.CONTENT, change.keyring, mirror=False)
    try:
        await blocks.insert(BlockKind.KEY, change.identity.data, mirror=False)
    except Conflict as conflict:
        rival = open_key_block(conflict.block, expected=key_block_handle(keys.account.public))
        return Clash(change.identity, rival)
    return None


async def _is_seen(by: Signing, blocks: AccountBlocks, amendment: Amendment) -> bool:
    try:
        return amendment.is_in(await find_account(by.keys, blocks, by.sealing))
    except UnavailableError:
        return True  # a machine that is being added counts already, and does not answer yet
