"""The simulated world of all nodes: clocks, entropy, observation, all drawn from one seed."""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from enum import Enum
from random import Random
from struct import pack

import msgspec

from epost.foundation.ids import Handle, short

EPOCH_MS = 1_800_000_000_000
"""Wall time at virtual second 0."""

EVENTS_KEPT = 200
"""How many of the last events a failed run prints."""


def derive(seed: int, *names: str) -> bytes:
    """Return 32 bytes for one purpose of a run; other names give independent bytes."""
    return hashlib.sha256("\x00".join((str(seed), *names)).encode()).digest()


def random_for(seed: int, *names: str) -> Random:
    """Return a random generator for one purpose, so that no purpose disturbs another."""
    return Random(int.from_bytes(derive(seed, *names), "big"))  # noqa: S311 - faults, not secrets


class SimulatedClock:
    """The clock of one node: virtual time, counted from its own boot, and a wall clock that may
    be wrong by `skew_seconds` (which a fault may change)."""

    def __init__(self, *, booted_seconds: float = 0.0, skew_seconds: float = 0.0) -> None:
        self._seconds = asyncio.get_running_loop().time
        self._booted_seconds = booted_seconds
        self.skew_seconds = skew_seconds

    def now(self) -> float:
        """Return seconds since the machine booted, `booted_seconds` at virtual second 0."""
        return self._booted_seconds + self._seconds()

    def wall_ms(self) -> int:
        """Return milliseconds since 1970 as this node believes."""
        return EPOCH_MS + round((self._seconds() + self.skew_seconds) * 1000)


class SimulatedEntropy:
    """Bytes that look random and are the same in every run of a seed."""

    def __init__(self, seed: int, *names: str) -> None:
        self._key = derive(seed, "entropy", *names)
        self._drawn = 0

    def token(self, size: int) -> bytes:
        """Return the next bytes: SHAKE-256 over the key and a counter."""
        self._drawn += 1
        return hashlib.shake_256(self._key + self._drawn.to_bytes(8, "big")).digest(size)


class Observed(msgspec.Struct, frozen=True):
    """One event, when and by whom; by nobody (an empty name) if the world did it."""

    seconds: float
    node: str
    event: object

    def __str__(self) -> str:
        return f"{self.seconds:12.6f} {self.node:12} {_shown(self.event)}"


def _shown(value: object) -> str:
    """Return a value for people: ids and digests by their first digits, enums by name."""
    match value:
        case bytes():
            return short(value)
        case Handle():
            return str(value)
        case Enum():
            return value.name or str(value.value)
        case tuple():
            return f"({', '.join(map(_shown, value))})"
        case _ if is_dataclass(value):
            shown = [f"{f.name}={_shown(getattr(value, f.name))}" for f in fields(value) if f.repr]
            return f"{type(value).__name__}({', '.join(shown)})"
        case _:
            return repr(value)


class Trace:
    """All that was observed in a run: a hash of everything, the last events, and listeners.

    Events must print themselves without memory addresses and without the order of sets: two runs
    of a seed must have one hash.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._hash = hashlib.blake2b(digest_size=32)
        self._listeners: list[Callable[[Observed], None]] = []
        self.last: deque[Observed] = deque(maxlen=EVENTS_KEPT)
        self.count = 0

    def listen(self, listener: Callable[[Observed], None]) -> None:
        """Call a checker for every event from now on."""
        self._listeners.append(listener)

    def record(self, node: str, event: object) -> None:
        """Add an event of a node (or of the world) to the trace."""
        observed = Observed(self._loop.time(), node, event)
        self._hash.update(f"{observed.seconds!r}{node}{event!r}".encode())
        self.count += 1
        self.last.append(observed)
        for listener in self._listeners:
            listener(observed)

    def absorb(self, *facts: bytes) -> None:
        """Let frequent facts (messages) count in the hash only."""
        sizes = pack(f">d{len(facts)}I", self._loop.time(), *map(len, facts))
        self._hash.update(b"".join((sizes, *facts)))
        self.count += 1

    def digest(self) -> str:
        """Return the hash of everything so far."""
        return self._hash.hexdigest()


class SimulatedObserver:
    """Hands the events of one node to the trace, until the node has crashed."""

    def __init__(self, trace: Trace, node: str) -> None:
        self._trace = trace
        self._node = node
        self._is_muted = False

    def record(self, event: object) -> None:
        """Add an event to the trace."""
        if not self._is_muted:
            self._trace.record(self._node, event)

    def mute(self) -> None:
        """Hear nothing more: what a crashed process does while it is torn down never happened."""
        self._is_muted = True
