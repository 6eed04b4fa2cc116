"""Keeps a copy of everything this account refers to in the own vault (design 4).

Reading and searching then work without the network. What is wanted is written down, so that it is
fetched after a crash as well; the fetch itself makes the copy.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from epost.foundation.codec import Format, encode
from epost.foundation.errors import AuthenticityError, NotFoundError, PeerError, UnavailableError
from epost.post.accounts.devices import Device
from epost.post.parallel import in_parallel
from epost.post.ports import BlockStore, NodePorts
from epost.post.sealed_notes import SealedNotes
from epost.post.storage.message_store import MessageStore
from epost.post.storage.references import Reference

TABLE = "post.mirror"
FETCHES_AT_ONCE = 4
RETRY_SECONDS_MIN = 5.0
RETRY_SECONDS_MAX = 600.0
_REFERENCE: Format[Reference] = Format(Reference, size_max=1024)


class Mirror:
    """Fetches what the account refers to and does not have here yet."""

    def __init__(
        self, *, device: Device, messages: MessageStore, blocks: BlockStore, ports: NodePorts
    ) -> None:
        self._notes = SealedNotes(TABLE, secret=device.notes_secret, ports=ports)
        self._messages = messages
        self._blocks = blocks
        self._disk = ports.disk
        self._is_wanted = asyncio.Event()

    async def want(self, references: Sequence[Reference]) -> None:
        """Have these copied; returns when that is written down."""
        if references:
            await self._disk.durable(
                [self._notes.put(self._notes.name(r.digest), encode(r)) for r in references]
            )
            self._is_wanted.set()

    async def keep_fetching(self) -> None:
        """Fetch what is wanted, for ever; what cannot be had now is tried again later."""
        pause = RETRY_SECONDS_MIN
        while True:
            self._is_wanted.clear()
            missing = await self._fetch_all()
            pause = min(pause * 2, RETRY_SECONDS_MAX) if missing else RETRY_SECONDS_MIN
            try:
                async with asyncio.timeout(pause if missing else None):
                    await self._is_wanted.wait()
            except TimeoutError:
                pass

    async def _fetch_all(self) -> int:
        """Return how many could not be fetched."""
        wanted = [(name, _REFERENCE.decode(value)) for name, value in self._notes.all()]
        fetched = await in_parallel(
            [self._fetch(reference) for _, reference in wanted], at_once=FETCHES_AT_ONCE
        )
        done = [name for (name, _), is_here in zip(wanted, fetched, strict=True) if is_here]
        if done:
            await self._disk.durable([self._notes.delete(name) for name in done])
        return len(wanted) - len(done)

    async def _fetch(self, reference: Reference) -> bool:
        try:
            for handle in await self._messages.handles_of(reference):
                await self._blocks.lookup(handle)
        except (UnavailableError, NotFoundError):
            return False
        except (AuthenticityError, PeerError):
            return True  # whoever made the reference made it wrongly: it will never be right
        return True
