"""A SASL exchange over a protocol of lines, in base64 (RFC 4954, RFC 5034, RFC 9051 6.2.2)."""

import base64
import binascii
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from epost.servers.access.outcome import Challenge, Malformed, SaslExchange, Verdict

STEPS_MAX = 8
"""SCRAM takes three."""


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The client answered a challenge with "*": it gives up."""


async def converse(
    exchange: SaslExchange,
    initial: bytes | None,
    ask: Callable[[bytes], Awaitable[bytes]],
) -> Verdict | Malformed | Cancelled:
    """Return what an exchange ends in; `ask` sends an encoded challenge and returns the answer.

    Neither has a line end. `initial` is decoded already.
    """
    outcome = await exchange.step(initial)
    for _ in range(STEPS_MAX):
        if not isinstance(outcome, Challenge):
            return outcome
        line = await ask(base64.b64encode(outcome.data))
        if line == b"*":
            return Cancelled()
        try:
            outcome = await exchange.step(base64.b64decode(line, validate=True))
        except binascii.Error:
            return Malformed()
    return Malformed()
