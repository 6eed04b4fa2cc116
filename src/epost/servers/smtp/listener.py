"""The submission listener: makes a session for each connection and knows those that are open."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import aiosmtpd.smtp

from epost.foundation.errors import EpostError
from epost.servers.smtp.services import SubmissionServices
from epost.servers.smtp.session import SubmissionSession

T = TypeVar("T")


class SubmissionListener:
    """A protocol factory: `loop.create_server(listener, host, port)`.

    With `ssl=` for implicit TLS (port 465), without for STARTTLS and plain loopback.
    """

    def __init__(self, services: SubmissionServices) -> None:
        self._services = services
        aiosmtpd.smtp.log.disabled = True  # it writes addresses
        self._sessions: dict[object, SubmissionSession] = {}
        self._running: dict[asyncio.Task[Any], None] = {}

    def __call__(self) -> asyncio.Protocol:
        """Return the protocol of a new connection."""
        return SubmissionSession(self._services, self)

    @property
    def session_count(self) -> int:
        """How many connections are open."""
        return len(self._sessions)

    def admit(self, session: object) -> bool:
        """Count a new connection; False if there are too many."""
        assert isinstance(session, SubmissionSession)
        if len(self._sessions) >= self._services.config.connections_max:
            return False
        self._sessions[session] = session
        return True

    def forget(self, session: object) -> None:
        """Take note that a connection has ended."""
        self._sessions.pop(session, None)

    async def to_the_end(self, work: Coroutine[Any, Any, T]) -> T:
        """Run work that goes on when the connection is lost.

        Half a submission would be worse than one whose reply nobody hears.
        """
        task = asyncio.get_running_loop().create_task(work)
        self._running[task] = None
        task.add_done_callback(lambda done: self._running.pop(done, None))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(_report_mistake)  # nobody else hears of it any more
            raise

    async def close(self) -> None:
        """End all sessions, after the submissions that have begun; close the server first."""
        sessions = tuple(self._sessions.values())
        for session in sessions:
            session.shut_down()
        await asyncio.gather(*self._running, return_exceptions=True)
        await asyncio.gather(*(session.ended() for session in sessions))


def _report_mistake(task: asyncio.Task[Any]) -> None:
    """Report what is not an ordinary refusal; there is no client left to tell."""
    error = None if task.cancelled() else task.exception()
    if error is not None and not isinstance(error, EpostError):
        context = {"message": "submission failed", "exception": error, "task": task}
        task.get_loop().call_exception_handler(context)
