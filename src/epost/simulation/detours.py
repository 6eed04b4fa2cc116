"""Which neighbour carries messages between two simulated nodes that cannot reach each other.

The twin of `epost.daemon.tls.detours`: one relay, a node that both have links with, the one next to
the receiver on the ring first; it takes a moment to find it. What passes is authenticated end to
end, so a lying relay can only drop it, which costs the sender a moment more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from epost.foundation.ids import number
from epost.pastry.routing import distance

SEARCH_SECONDS = 1.1
"""Until a node looks for a detour, and for the handshakes through it."""
RELAY_SECONDS = 2.0
"""Lost by a relay that drops everything, before the next is tried."""
TRIES = 3


@dataclass(frozen=True, slots=True)
class Detour:
    """A relay, and when the first message can leave through it."""

    relay: bytes
    usable_at: float


class Detours:
    """The detours in use, by (sender, receiver)."""

    def __init__(self, passes: Callable[[bytes, bytes], bool]) -> None:
        """`passes(one, other)` tells whether two nodes are up and reach each other both ways."""
        self._loop = asyncio.get_running_loop()
        self._passes = passes
        self._known: dict[tuple[bytes, bytes], Detour] = {}
        self._dropping: set[bytes] = set()

    def drop_all(self, relay: bytes) -> None:
        """Make a node a liar: it offers to relay, and drops what it gets."""
        self._dropping.add(relay)

    def find(self, sender: bytes, receiver: bytes, linked: Iterable[bytes]) -> Detour | None:
        """Return how to get around a cut; None if nobody can help. `linked` are the sender's."""
        known = self._known.get((sender, receiver))
        if known is not None and self.holds(sender, known, receiver):
            return known
        self._known.pop((sender, receiver), None)
        target = number(receiver)
        both = [n for n in linked if self._passes(sender, n) and self._passes(n, receiver)]
        wait = SEARCH_SECONDS
        for relay in sorted(both, key=lambda n: (distance(target, number(n)), n))[:TRIES]:
            if relay not in self._dropping:
                detour = Detour(relay, self._loop.time() + wait)
                self._known[sender, receiver] = detour
                return detour
            wait += RELAY_SECONDS
        return None

    def holds(self, sender: bytes, detour: Detour, receiver: bytes) -> bool:
        """Tell whether a relay still reaches both."""
        return self._passes(sender, detour.relay) and self._passes(detour.relay, receiver)
