"""Reading from no link while the node has too much to do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from epost.daemon.tls.session import Session


class Overload:
    """The sessions that are held until the node has caught up."""

    def __init__(self, is_overloaded: Callable[[], bool], pause_seconds: float) -> None:
        """The node is looked at again after each pause."""
        self._loop = asyncio.get_running_loop()
        self._is_overloaded = is_overloaded
        self._pause_seconds = pause_seconds
        self._held: list[Session] = []

    def must_hold(self, session: Session) -> bool:
        """Tell whether a session must stop reading; then it is resumed in time."""
        if not self._is_overloaded():
            return False
        if not self._held:
            self._loop.call_later(self._pause_seconds, self._resume)
        self._held.append(session)
        return True

    def _resume(self) -> None:
        if self._is_overloaded():
            self._loop.call_later(self._pause_seconds, self._resume)
            return
        held, self._held = self._held, []
        for session in held:
            session.resume()
