"""What deputies did while nobody of the authority looked, as far as the ring shows it."""

from __future__ import annotations

import contextlib
from collections.abc import Coroutine
from typing import Any

from epost.crypto.certificates import IssuerCert
from epost.daemon.authority.authority import Authority
from epost.foundation.errors import (
    AuthenticityError,
    NotFoundError,
    PeerError,
    UnavailableError,
)
from epost.node.assembly import Node
from epost.node.certified_logs import newest_head
from epost.past.blocks import certificate_handle
from epost.past.log_format import open_head


class DeputyWatch:
    """Learns how far the deputies' logs are, and what they gave to who is out now."""

    def __init__(self, authority: Authority, node: Node) -> None:
        self._authority = authority
        self._node = node
        self._looked_at: set[str] = set()

    def look_anew(self) -> None:
        """Look at everything again from the next look on."""
        self._looked_at.clear()

    async def look(self) -> None:
        """Look at what was not looked at yet; what cannot be read now is left for the next time."""
        deputies = self._authority.trust.issuers[1:]
        for deputy in deputies:
            await self._look_once(f"log {deputy.serial}", self._note_reach(deputy))
        for name in self._authority.members.gone() if deputies else ():
            await self._look_once(name, self._end_in_ring(name))

    async def _look_once(self, what: str, look: Coroutine[Any, Any, None]) -> None:
        if what in self._looked_at:
            look.close()
            return
        with contextlib.suppress(AuthenticityError, NotFoundError, PeerError, UnavailableError):
            await look
            self._looked_at.add(what)

    async def _note_reach(self, issuer: IssuerCert) -> None:
        head = await newest_head(self._node.blocks, issuer.certified_log_key)
        if head is not None:
            reached = open_head(head).content.sequence
            self._authority.deputies.note_reached(issuer.serial, reached)

    async def _end_in_ring(self, name: str) -> None:
        reading = await self._node.blocks.lookup_latest(certificate_handle(name))
        if reading.block is not None:
            self._authority.members.end_in_ring(reading.block)
