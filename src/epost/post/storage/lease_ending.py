"""Ending leases: what nothing refers to any more is not renewed any longer (design 8).

A lease has no owner, so none is ended for others: every device only ceases to mirror, and so to
renew, what no mail in any folder and nothing on its way refers to, by the records of all of the
account's devices. What is needed is never kept as a count. It is looked up anew each time from what
the logs say, and a block must have been found unneeded for `unneeded_kept_seconds` before it goes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any, Protocol

from epost.foundation.errors import (
    AuthenticityError,
    NotFoundError,
    PeerError,
    UnavailableError,
)
from epost.foundation.ids import BlockKind, Handle
from epost.post.config import PostConfig
from epost.post.observed import LeasesLeft, LeasesNotJudged
from epost.post.ports import Leases, NodePorts
from epost.post.storage.frames import Codec
from epost.post.storage.references import Reference
from epost.post.storage.unneeded import UnneededBlocks

LET_GO_AT_ONCE = 200
_TROUBLES = (AuthenticityError, NotFoundError, PeerError, UnavailableError)


class Referrer(Protocol):
    """An application that refers to stored messages."""

    def given_up(self) -> AsyncIterator[Reference]:
        """Yield what it referred to once; may name what it needs as well, or names again."""
        ...

    def needed(self) -> AsyncIterator[Reference]:
        """Yield all that it refers to, by all records that were read.

        Raises UnavailableError if that cannot be told now, also at the end.
        """
        ...


HandlesOf = Callable[[Reference], Coroutine[Any, Any, Sequence[Handle]]]
"""Returns every block of a message; reads its manifest, if it has one."""


class LeaseEnding:
    """Looks for blocks that are not needed, and lets them go when they are not for long."""

    def __init__(
        self,
        *,
        unneeded: UnneededBlocks,
        handles_of: HandlesOf,
        read_siblings: Callable[[], Coroutine[Any, Any, bool]],
        leases: Leases,
        ports: NodePorts,
        config: PostConfig,
    ) -> None:
        """`read_siblings` reads the other devices' logs; false if one cannot be read to its end."""
        self._unneeded = unneeded
        self._handles_of = handles_of
        self._read_siblings = read_siblings
        self._leases = leases
        self._ports = ports
        self._config = config
        self._referrers: list[Referrer] = []

    def register(self, referrer: Referrer) -> None:
        """Ask this application from the next look on. Whoever stores messages must be registered
        before a block of its kind is ever given up by another."""
        self._referrers.append(referrer)

    async def look(self) -> bool:
        """Note what is not needed, let go what was not for long enough; False: try again soon."""
        try:
            given_up = await self._given_up()
            if not given_up and not self._unneeded:
                return True
            if not await self._read_siblings():
                raise UnavailableError("the log of another device cannot be read to its end")
            await self._keep_needed(given_up)
        except _TROUBLES as error:
            self._ports.observer.record(LeasesNotJudged(error))
            return False
        await self._let_go()
        await self._unneeded.note(given_up, self._ports.clock.wall_ms())
        return True

    async def _given_up(self) -> dict[bytes, None]:
        """Return blocks, not noted yet, that may not be needed any more, in the order found."""
        found: dict[bytes, None] = {}
        for referrer in self._referrers:
            async for reference in referrer.given_up():
                if len(found) >= self._unneeded.room:
                    return found
                is_known = reference.digest in self._unneeded or reference.digest in found
                if not is_known and self._leases.is_mirrored(reference.handle):
                    handles = await self._handles_of(reference)
                    found.update((handle.digest, None) for handle in handles)
        return found

    async def _keep_needed(self, given_up: dict[bytes, None]) -> None:
        """Take everything out that is referred to, with every chunk of it."""
        needed: dict[bytes, None] = {}
        for referrer in self._referrers:
            async for reference in referrer.needed():
                handles: Sequence[Handle] = [reference.handle]
                if reference.codec == Codec.MANIFEST:
                    handles = await self._handles_of(reference)
                for digest in (handle.digest for handle in handles):
                    given_up.pop(digest, None)
                    if digest in self._unneeded:
                        needed[digest] = None
        await self._unneeded.strike(needed)

    async def _let_go(self) -> None:
        """Cease to mirror what is due."""
        oldest = self._ports.clock.wall_ms() - round(1000 * self._config.unneeded_kept_seconds)
        count = 0
        while due := self._unneeded.noted_until(oldest, limit=LET_GO_AT_ONCE):
            # Between the choice and the deed nothing happens, so nobody comes to refer to them.
            await self._leases.unmirror([Handle(BlockKind.CONTENT, digest) for digest in due])
            # What could not be let go, since it is not pushed yet, is found and noted again.
            await self._unneeded.strike(due)
            count += len(due)
        if count:
            self._ports.observer.record(LeasesLeft(count))
