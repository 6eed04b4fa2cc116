"""Large messages on their way in, put together from frames within the credit given."""

from __future__ import annotations

from dataclasses import dataclass, field

from epost.daemon.tls.frames import CHUNK_BYTES, FIRST, U32, WINDOW_BYTES
from epost.foundation.errors import LimitExceeded, MalformedPacket
from epost.foundation.wire import MESSAGE_SIZE_MAX

RATE_BYTES_MIN = 16 * 1024
"""Bytes per second that a link must carry of what it has begun."""


@dataclass(slots=True)
class _Unfinished:
    total: int
    began_at: float
    received: bytearray = field(default_factory=bytearray)


class Incoming:
    """The unfinished messages of one link; memory grows only with bytes that have arrived."""

    def __init__(self) -> None:
        self._unfinished: dict[int, _Unfinished] = {}
        self._credit_spent = 0
        self._moved_at = 0.0

    def begin(self, payload: memoryview, now: float) -> bytes | None:
        """Take a FIRST frame; as `go_on`, and raises LimitExceeded for more than credit allows."""
        if len(payload) <= FIRST.size:
            raise MalformedPacket("a message begun without bytes")
        stream, total = FIRST.unpack_from(payload)
        if stream in self._unfinished:
            raise MalformedPacket("a message begun twice")
        if not CHUNK_BYTES < total <= MESSAGE_SIZE_MAX:
            raise LimitExceeded(f"a message of {total} bytes in several frames")
        if self._credit_spent + total > WINDOW_BYTES:
            raise LimitExceeded("more begun than there was credit for")
        self._credit_spent += total
        self._unfinished[stream] = _Unfinished(total, now)
        return self._add(stream, payload[FIRST.size :], now)

    def go_on(self, payload: memoryview, now: float) -> bytes | None:
        """Take a MORE frame; return the message if this completes it. Raises MalformedPacket."""
        if len(payload) <= U32.size:
            raise MalformedPacket("a message continued without bytes")
        (stream,) = U32.unpack_from(payload)
        if stream not in self._unfinished:
            raise MalformedPacket("a message continued that was not begun")
        return self._add(stream, payload[U32.size :], now)

    def is_stalled(self, now: float, stall_seconds: float) -> bool:
        """Has a begun message stopped, or does it come too slowly to be meant?"""
        oldest = next(iter(self._unfinished.values()), None)
        if oldest is None:
            return False
        slowest_seconds = stall_seconds + WINDOW_BYTES / RATE_BYTES_MIN
        return now - self._moved_at > stall_seconds or now - oldest.began_at > slowest_seconds

    def excuse(self, now: float) -> None:
        """Nothing could arrive until now, for reasons of our own."""
        self._moved_at = now

    def _add(self, stream: int, chunk: memoryview, now: float) -> bytes | None:
        unfinished = self._unfinished[stream]
        self._moved_at = now
        if len(unfinished.received) + len(chunk) > unfinished.total:
            raise MalformedPacket("a message longer than announced")
        unfinished.received += chunk
        if len(unfinished.received) < unfinished.total:
            return None
        del self._unfinished[stream]
        self._credit_spent -= unfinished.total
        return bytes(unfinished.received)
