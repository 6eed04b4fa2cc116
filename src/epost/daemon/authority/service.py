"""The enrolment listener of an authority, for as long as it is open.

It also renews, for machines that were away so long that the ring does not let them in any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from epost.daemon.authority.authority import Authority
from epost.daemon.authority.world import World
from epost.daemon.enrolment import EnrolmentServer, serve_enrolment
from epost.daemon.observability.logs import LoggingObserver
from epost.foundation.ids import Address, NodeHandle
from epost.foundation.ports import Observer
from epost.rings.rekeying import is_rekey_request
from epost.rings.renewal import is_renewal


class EnrolmentService:
    """`async with EnrolmentService(authority, address, world):` serves new members meanwhile."""

    def __init__(
        self,
        authority: Authority,
        address: Address,
        world: World,
        observer: Observer | None = None,
        *,
        contacts: Callable[[], Sequence[NodeHandle]] = lambda: (),
    ) -> None:
        """`contacts` gives nodes through which new ones find the ring."""
        self._authority = authority
        self._address = address
        self._world = world
        self._observer = observer or LoggingObserver()
        self._contacts = contacts
        self._server: EnrolmentServer | None = None
        self._one_at_a_time = asyncio.Lock()

    async def __aenter__(self) -> Self:
        self._server = await serve_enrolment(
            self._address,
            key_seed=self._authority.enrolment_seed,
            greeting=self._authority.greeting,
            handle=self._enrol,
            clock=self._world.clock,
            observer=self._observer,
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._server is not None:
            await self._server.close()

    def greet_anew(self) -> None:
        """Say who the authority is with its newest certificates."""
        if self._server is not None:
            self._server.greet_with(self._authority.greeting)

    async def _enrol(self, request: bytes, host: str) -> bytes:
        async with self._one_at_a_time:
            if is_rekey_request(request):
                return self._authority.keys.answer(request)
            if is_renewal(request):
                return self._authority.renew(request, at_the_port=True)
            return self._authority.enrol(request, self._contacts())
