"""What travels in RELAY and RELAYED frames: a step of a tunnel between nodes that cannot link.

Layout: u8 step, 20 bytes of the far node, u64be tunnel, bytes. A RELAY frame asks its receiver to
pass the step on to the far node; in the RELAYED frame that it sends there, the far node is the one
that asked. So a step takes one relay, never two.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from epost.daemon.tls.frames import RELAY_BYTES_MAX, U32
from epost.foundation.errors import LimitExceeded, MalformedPacket
from epost.foundation.ids import Id, NodeId

RELAYED_DATA_BYTES: Final = 16 * 1024
"""Of one step: what is relayed goes in small pieces, so that nothing waits long behind it."""
TUNNEL_WINDOW_BYTES: Final = 256 * 1024
"""What one side of a tunnel sends before the other gives credit: so a relay keeps no more of it."""
RELAY_VERSION: Final = 2
"""Nodes that speak an older version of the protocol do not know these frames."""

_HEAD: Final = struct.Struct(">B20sQ")
assert _HEAD.size + RELAYED_DATA_BYTES <= RELAY_BYTES_MAX


class Step(IntEnum):
    """What a step does."""

    OPEN = 1
    """Begin a tunnel; its TLS follows as DATA."""
    DATA = 2
    """Octets of the TLS connection inside."""
    CREDIT = 3
    """u32: octets taken, so many more may follow."""
    END = 4
    """The tunnel is over; the text is for people."""


@dataclass(frozen=True, slots=True)
class TunnelStep:
    """One step; the tunnel's number was drawn by the node that opened it."""

    step: Step
    far: NodeId
    tunnel: int
    data: bytes = b""

    def __bytes__(self) -> bytes:
        """Return the payload of its frame."""
        return _HEAD.pack(self.step, self.far, self.tunnel) + self.data

    @property
    def credit(self) -> int:
        """The octets of a CREDIT."""
        (value,) = U32.unpack(self.data)
        return int(value)


@dataclass(frozen=True, slots=True)
class Way:
    """A tunnel: through whom, to whom, and its number."""

    relay: NodeId
    far: NodeId
    tunnel: int


def parse_step(payload: memoryview) -> TunnelStep:
    """Read the payload of a RELAY or RELAYED frame; raises MalformedPacket, LimitExceeded."""
    if len(payload) < _HEAD.size:
        raise MalformedPacket("a relayed step that is too short")
    kind, far, tunnel = _HEAD.unpack_from(payload)
    data = bytes(payload[_HEAD.size :])
    try:
        step = Step(kind)
    except ValueError as error:
        raise MalformedPacket("an unknown step of a tunnel") from error
    if len(data) > RELAYED_DATA_BYTES:
        raise LimitExceeded(f"{len(data)} relayed bytes in one step")
    if step is Step.CREDIT and len(data) != U32.size:
        raise MalformedPacket("a CREDIT of another length")
    return TunnelStep(step, NodeId(Id(far)), tunnel, data)
