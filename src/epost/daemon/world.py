"""The real world: the machine's clocks, the system's randomness, and the event loop."""

from __future__ import annotations

import asyncio
import secrets
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

# Linux stops CLOCK_MONOTONIC while the machine sleeps, macOS does not.
_CLOCK_ID: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

SWITCH_SECONDS = 0.001
"""How long one thread may keep the others waiting: a commit must not wait for a busy loop."""


class SystemClock:
    """The clocks of this machine."""

    def now(self) -> float:
        """Return seconds since the machine booted, its sleep included."""
        return time.clock_gettime(_CLOCK_ID)

    def wall_ms(self) -> int:
        """Return milliseconds since 1970, as far as the machine knows."""
        return time.time_ns() // 1_000_000


class SystemEntropy:
    """The randomness of the operating system."""

    def token(self, size: int) -> bytes:
        """Return unpredictable bytes."""
        return secrets.token_bytes(size)


def run(story: Coroutine[Any, Any, T]) -> T:
    """Run the daemon's main story to its end, on uvloop where there is one."""
    sys.setswitchinterval(SWITCH_SECONDS)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(story)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory
