"""Frames: how messages and signals share a link. Version 2 of the protocol.

Layout: u8 kind, u24be payload length, payload. A message of up to CHUNK_BYTES is one WHOLE frame.
A larger one is a FIRST frame (u32be stream, u32be total length, bytes) and MORE frames (u32be
stream, bytes); between them frames of other messages pass. The total of all unfinished large
messages of a link stays within WINDOW_BYTES: FIRST uses credit, CREDIT (u32be) gives it back when
the message has been delivered. RELAY and RELAYED (since version 2) carry tunnels (relay_frames).
HELLO is the first frame each way and the only one whose format no later version may change.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Final

from epost.foundation.errors import LimitExceeded, MalformedPacket

FRAME_BYTES_MAX: Final = 256 * 1024
"""Accepted payload; we send at most CHUNK_BYTES and a few."""
CHUNK_BYTES: Final = 64 * 1024
SMALL_BYTES: Final = 16 * 1024
"""Messages up to this size overtake larger ones."""
WINDOW_BYTES: Final = 8 * 1024 * 1024
HELLO_BYTES_MAX: Final = 16 * 1024
CLOSE_TEXT_BYTES_MAX: Final = 300
RELAY_BYTES_MAX: Final = 16 * 1024 + 32

HEADER: Final = struct.Struct(">I")
U32: Final = struct.Struct(">I")
FIRST: Final = struct.Struct(">II")


class Frame(IntEnum):
    """What a frame is."""

    HELLO = 1
    WHOLE = 2
    FIRST = 3
    MORE = 4
    CREDIT = 5
    PING = 6
    PONG = 7
    CLOSE = 8
    RELAY = 9
    RELAYED = 10


class CloseReason(IntEnum):
    """Why a side ends a link; the text beside it is for people."""

    SHUTDOWN = 1
    IDLE = 2
    DUPLICATE = 3
    NO_COMMON_VERSION = 4
    NOT_AUTHENTIC = 5
    BROKE_PROTOCOL = 6
    REFUSED = 7
    STALLED = 8
    UNKNOWN = 255


HARMLESS: Final = frozenset({CloseReason.IDLE, CloseReason.DUPLICATE})
"""The peer is well: what waits for it may take another link."""

_PAYLOAD_BYTES_MAX: Final = {
    Frame.HELLO: HELLO_BYTES_MAX,
    Frame.WHOLE: FRAME_BYTES_MAX,
    Frame.FIRST: FRAME_BYTES_MAX,
    Frame.MORE: FRAME_BYTES_MAX,
    Frame.CREDIT: U32.size,
    Frame.PING: 0,
    Frame.PONG: 0,
    Frame.CLOSE: 1 + CLOSE_TEXT_BYTES_MAX,
    Frame.RELAY: RELAY_BYTES_MAX,
    Frame.RELAYED: RELAY_BYTES_MAX,
}
_KINDS: Final = {int(kind): kind for kind in Frame}


def header(kind: Frame, size: int) -> bytes:
    """Return the 4 bytes in front of a payload."""
    return HEADER.pack(kind << 24 | size)


def frame(kind: Frame, payload: bytes = b"") -> bytes:
    """Return a whole frame."""
    return header(kind, len(payload)) + payload


def parse_header(view: memoryview, at: int) -> tuple[Frame, int]:
    """Return kind and payload length of the frame at an offset.

    Raises MalformedPacket for unknown kinds, LimitExceeded for one longer than its kind may be,
    before anything of it is kept.
    """
    (word,) = HEADER.unpack_from(view, at)
    kind = _KINDS.get(word >> 24)
    if kind is None:
        raise MalformedPacket("unknown kind of frame")
    size = word & 0xFFFFFF
    if size > _PAYLOAD_BYTES_MAX[kind]:
        raise LimitExceeded(f"a {kind.name} frame of {size} bytes")
    return kind, size


def close_frame(reason: CloseReason, text: str) -> bytes:
    """Return the frame that ends a link."""
    encoded = text.encode()[:CLOSE_TEXT_BYTES_MAX]
    return frame(Frame.CLOSE, bytes((reason,)) + encoded)


def parse_close(payload: memoryview) -> tuple[CloseReason, str]:
    """Return reason and text of a CLOSE; raises MalformedPacket if it is empty."""
    if not payload:
        raise MalformedPacket("a CLOSE without reason")
    try:
        reason = CloseReason(payload[0])
    except ValueError:
        reason = CloseReason.UNKNOWN
    text = bytes(payload[1:]).decode(errors="replace")
    return reason, "".join(c if c.isprintable() else "?" for c in text)


def parse_u32(payload: memoryview) -> int:
    """Return the number of a CREDIT; raises MalformedPacket."""
    if len(payload) != U32.size:
        raise MalformedPacket("a CREDIT of another length")
    (value,) = U32.unpack(payload)
    return int(value)
