"""A bar on the terminal that tells how far a long run has come."""

from __future__ import annotations

import sys
import time

WIDTH = 30
REDRAWN_SECONDS = 0.5


class Progress:
    """One bar; on a terminal it is drawn over itself, elsewhere a line is written now and then."""

    def __init__(self, what: str, goal: float) -> None:
        self._what = what
        self._goal = goal
        self._start = time.monotonic()
        self._drawn = 0.0
        self._on_terminal = sys.stderr.isatty()

    def show(self, done: float, remark: str = "") -> None:
        """Tell how much is done; `remark` stands behind it."""
        now = time.monotonic()
        pause = REDRAWN_SECONDS if self._on_terminal else 20 * REDRAWN_SECONDS
        if now - self._drawn < pause and done < self._goal:
            return
        self._drawn = now
        share = min(1.0, done / self._goal)
        bar = "#" * round(share * WIDTH)
        spent = now - self._start
        left = f"{spent / share - spent:.0f} s left" if share else "beginning"
        line = f"{self._what} [{bar:<{WIDTH}}] {share:4.0%}, {spent:.0f} s, {left}  {remark}"
        end = "\n" if done >= self._goal or not self._on_terminal else ""
        sys.stderr.write(f"\r{line:<110}{end}" if self._on_terminal else f"{line}\n")
        sys.stderr.flush()
