"""One named timer of a machine, kept at the earliest of the times it was asked for."""

from __future__ import annotations

from math import inf

from epost.foundation.effects import Outbox
from epost.foundation.wire import Application


class Alarm:
    """Many deadlines, one timer: rings at or before each of them, perhaps once too often."""

    def __init__(self, outbox: Outbox, application: Application, name: str) -> None:
        self._outbox = outbox
        self._application = application
        self._at: float | None = None
        self.name = name

    def set_by(self, at: float, now: float) -> None:
        """Ring at `at` at the latest."""
        if self._at is None or at < self._at:
            self._at = at
            self._outbox.set_timer(self._application, self.name, max(0.0, at - now))

    def set_now(self) -> None:
        """Ring in the next turn: for callers outside of a turn, who do not know the time."""
        self.set_by(-inf, 0.0)

    def rang(self) -> None:
        """The timer went off: nothing is set until `set_by` is called again."""
        self._at = None
