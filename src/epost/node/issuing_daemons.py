"""Asks the daemons that issue for the organisation, one of which an anycast finds (crypto 3.10)."""

from __future__ import annotations

from dataclasses import dataclass

from epost.node.assembly import Node
from epost.rings.renewal import issuing_group

_DOUBLINGS_MAX = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class AskingConfig:
    """Times in seconds."""

    answer_seconds: float = 20.0
    tries: int = 2
    retry_seconds_min: float = 60.0
    retry_seconds_max: float = 6 * 3600.0

    def pause_after(self, failures: int) -> float:
        """Return for how long to wait after failures in a row, of which there is one at least."""
        doubled: float = self.retry_seconds_min * 2.0 ** min(failures - 1, _DOUBLINGS_MAX)
        return min(self.retry_seconds_max, doubled)


async def ask_issuing_daemons(node: Node, request: bytes, config: AskingConfig) -> bytes:
    """Return what one of them answers, which is still to be checked.

    Raises UnavailableError, RefusedError, PeerError.
    """
    group = issuing_group(node.issuers.trust.ring)
    answer = await node.driver.calls.expect(
        lambda call: node.scribe.anycast(group, request, call),
        timeout_seconds=config.answer_seconds,
        tries=config.tries,
    )
    return answer.body
