"""One node of the ring as the transport sees it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from epost.daemon.tls.outgoing import Outgoing
from epost.daemon.tls.session import Session
from epost.foundation.ids import NodeHandle


@dataclass(slots=True)
class Peer:
    """A node that is linked or being dialled, and what waits for it.

    A retired session is still read for a moment. While a node is reached through another, a dial
    may be under way beside the session.
    """

    node: NodeHandle
    outgoing: Outgoing
    session: Session | None = None
    retired: Session | None = None
    dial: asyncio.Task[None] | None = None
    is_dropping: bool = False
