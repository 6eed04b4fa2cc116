"""What waits for one peer, and how it is cut into frames.

Small messages go first. Larger ones take turns, one chunk each, so that neither a 4 MiB block nor
a stream of them holds up the others; and after every chunk's worth of small messages one chunk
of a large one leaves, so small ones cannot starve them either. Messages of one size class that fit
a frame keep their order. The queue outlives links: what one link did not finish starts anew on
the next.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from epost.daemon.tls.frames import (
    CHUNK_BYTES,
    FIRST,
    SMALL_BYTES,
    U32,
    WINDOW_BYTES,
    Frame,
    header,
)
from epost.foundation.errors import LimitExceeded

MESSAGE_OVERHEAD_BYTES: Final = 128
"""Charged for every message, so that many tiny ones are bounded too."""
SMALL_RESERVE_BYTES: Final = 1024 * 1024
"""Room above the bound for small messages: signs of life pass when the queue is full of blocks."""


class QueueBudget:
    """Bounds the bytes that wait for all peers together."""

    __slots__ = ("bytes_max", "used")

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self.used = 0


@dataclass(slots=True)
class _Large:
    """A message above SMALL_BYTES on its way."""

    message: bytes
    sent: int = 0
    stream: int = 0


class Outgoing:
    """The queue of one peer; at most `bytes_max` wait, charged to a common budget as well."""

    def __init__(self, *, bytes_max: int, budget: QueueBudget) -> None:
        self._bytes_max = bytes_max
        self._budget = budget
        self._bytes = 0
        self._small: deque[bytes] = deque()
        self._relayed: deque[bytes] = deque()
        self._taking_turns: deque[_Large] = deque()
        self._waiting_for_credit: deque[_Large] = deque()
        self._credit = WINDOW_BYTES
        self._last_stream = 0

    @property
    def bytes_waiting(self) -> int:
        """How much waits, overhead included; 0 means empty."""
        return self._bytes

    def push(self, message: bytes) -> bool:
        """Queue a message; False if it does not fit within the bounds."""
        is_small = len(message) <= SMALL_BYTES
        cost = len(message) + MESSAGE_OVERHEAD_BYTES
        bytes_max = self._bytes_max + (SMALL_RESERVE_BYTES if is_small else 0)
        if self._bytes + cost > bytes_max or self._budget.used + cost > self._budget.bytes_max:
            return False
        self._charge(cost)
        if is_small:
            self._small.append(message)
        elif len(message) <= CHUNK_BYTES:
            self._taking_turns.append(_Large(message))
        else:
            self._waiting_for_credit.append(_Large(message))
        return True

    def push_relayed(self, frame: bytes) -> bool:
        """Queue a whole frame of a tunnel between two others; False if it does not fit.

        These leave in order, after small messages, and do not outlive the link.
        """
        cost = len(frame) + MESSAGE_OVERHEAD_BYTES
        used = self._budget.used + cost
        if self._bytes + cost > self._bytes_max or used > self._budget.bytes_max:
            return False
        self._charge(cost)
        self._relayed.append(frame)
        return True

    def next_batch(self) -> bytes:
        """Return the next bytes to write: about a chunk of small messages, one of relayed frames,
        and a chunk of a large message; or nothing."""
        parts: list[bytes | memoryview] = []
        size = 0
        while self._small and size < CHUNK_BYTES:
            message = self._small.popleft()
            parts += (header(Frame.WHOLE, len(message)), message)
            size += len(message) + MESSAGE_OVERHEAD_BYTES
        self._charge(-size)
        parts += self._take_relayed()
        self._spend_credit()
        if self._taking_turns:
            parts += self._cut(self._taking_turns.popleft())
        return b"".join(parts)

    def grant(self, credit: int) -> None:
        """Take credit back from the peer; raises LimitExceeded if it was never spent."""
        self._credit += credit
        if self._credit > WINDOW_BYTES:
            raise LimitExceeded("more credit than the window")

    def restart(self) -> None:
        """Begin on another link: unfinished messages anew, the whole window open."""
        self._drop_relayed()
        turns = self._taking_turns
        unfinished = [large for large in turns if len(large.message) > CHUNK_BYTES]
        self._taking_turns = deque(large for large in turns if len(large.message) <= CHUNK_BYTES)
        for large in sorted(unfinished, key=lambda large: large.stream, reverse=True):
            large.sent = 0
            self._waiting_for_credit.appendleft(large)
        self._credit = WINDOW_BYTES
        self._last_stream = 0

    def clear(self) -> None:
        """Drop everything."""
        self._charge(-self._bytes)
        self._small.clear()
        self._relayed.clear()
        self._taking_turns.clear()
        self._waiting_for_credit.clear()

    def _take_relayed(self) -> list[bytes]:
        frames: list[bytes] = []
        size = 0
        while self._relayed and size < CHUNK_BYTES:
            frames.append(self._relayed.popleft())
            size += len(frames[-1]) + MESSAGE_OVERHEAD_BYTES
        self._charge(-size)
        return frames

    def _drop_relayed(self) -> None:
        self._charge(-sum(len(frame) + MESSAGE_OVERHEAD_BYTES for frame in self._relayed))
        self._relayed.clear()

    def _charge(self, size: int) -> None:
        self._bytes += size
        self._budget.used += size

    def _spend_credit(self) -> None:
        while self._waiting_for_credit:
            large = self._waiting_for_credit[0]
            if len(large.message) > self._credit:
                return
            self._credit -= len(large.message)
            self._last_stream += 1
            large.stream = self._last_stream
            self._taking_turns.append(self._waiting_for_credit.popleft())

    def _cut(self, large: _Large) -> tuple[bytes, bytes | memoryview]:
        total = len(large.message)
        chunk = memoryview(large.message)[large.sent : large.sent + CHUNK_BYTES]
        if total <= CHUNK_BYTES:
            head = header(Frame.WHOLE, total)
        elif large.sent == 0:
            head = header(Frame.FIRST, FIRST.size + len(chunk)) + FIRST.pack(large.stream, total)
        else:
            head = header(Frame.MORE, U32.size + len(chunk)) + U32.pack(large.stream)
        large.sent += len(chunk)
        if large.sent == total:
            self._charge(-total - MESSAGE_OVERHEAD_BYTES)
        else:
            self._taking_turns.append(large)
        return head, chunk
