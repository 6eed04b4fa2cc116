"""Taking connections: through the gate, the handshake and HELLO, each with its time limit."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from epost.daemon.tls.config import TransportConfig
from epost.daemon.tls.gate import Gate
from epost.daemon.tls.observed import AcceptFailed, LinkRefused
from epost.daemon.tls.session import Session
from epost.daemon.tls.tls_link import Links, TlsLink
from epost.foundation.errors import CallTimedOut, EpostError, Overloaded
from epost.foundation.ports import Observer

ACCEPT_PAUSE_SECONDS: Final = 0.5

Begin = Callable[[TlsLink], Session]


class Acceptor:
    """Serves listening sockets; a place at the gate is held until HELLO held or failed."""

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        context: ssl.SSLContext,
        links: Links,
        config: TransportConfig,
        *,
        observer: Observer,
        begin: Begin,
    ) -> None:
        """`begin` starts the session of a link whose handshake is done."""
        self._listeners = tuple(listeners)
        self._context = context
        self._links = links
        self._config = config
        self._observer = observer
        self._begin = begin
        self._loop = asyncio.get_running_loop()
        self.gate = Gate(config, self._loop.time())
        self._tasks: dict[asyncio.Task[None], None] = {}

    def start(self) -> None:
        """Begin to accept."""
        for listener in self._listeners:
            self._run(self._accept(listener))

    async def close(self) -> None:
        """Accept no more; handshakes under way are given up."""
        while self._tasks:
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        for listener in self._listeners:
            listener.close()

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks[task] = None
        task.add_done_callback(self._tasks.pop)

    async def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, source = await self._loop.sock_accept(listener)
            except OSError as error:
                self._observer.record(AcceptFailed(str(error)))
                await asyncio.sleep(ACCEPT_PAUSE_SECONDS)
                continue
            host = source[0]
            if self.gate.enter(host, self._loop.time()):
                self._run(self._welcome(connection, host))
            else:
                connection.close()
                self._observer.record(LinkRefused(host, Overloaded("too many connections")))

    async def _welcome(self, connection: socket.socket, host: str) -> None:
        link = TlsLink(self._links)
        try:
            await self._handshake(connection, link)
            session = self._begin(link)
            async with asyncio.timeout(self._config.hello_seconds):
                await session.ready
            self.gate.know(host)
        except EpostError as error:  # the session has said so to the peer and closed the link
            self._observer.record(LinkRefused(host, error))
        except TimeoutError:
            link.abort()
            self._observer.record(LinkRefused(host, CallTimedOut("no HELLO in time")))
        except OSError as error:  # also ssl.SSLError
            link.abort()
            self._observer.record(LinkRefused(host, error))
        except asyncio.CancelledError:
            link.abort()
            raise
        finally:
            self.gate.leave(host)

    async def _handshake(self, connection: socket.socket, link: TlsLink) -> None:
        await self._loop.connect_accepted_socket(
            lambda: link,
            connection,
            ssl=self._context,
            ssl_handshake_timeout=self._config.handshake_seconds,
            ssl_shutdown_timeout=self._config.linger_seconds,
        )
