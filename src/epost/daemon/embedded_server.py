"""An HTTP server inside the daemon's loop: uvicorn, without its hold on the process.

It is loaded when somebody connects for the first time: 3 MB that most daemons never need.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING

from starlette.applications import Starlette

if TYPE_CHECKING:
    from uvicorn import Server


class EmbeddedServer:
    """Serves an application at a socket that is bound already, until it is closed."""

    def __init__(self, app: Starlette, listening: socket.socket) -> None:
        self._app = app
        self._listening = listening
        self._server: Server | None = None
        listening.listen()  # who comes waits until the server is loaded
        listening.setblocking(False)
        self._task = asyncio.create_task(self._serve())

    async def close(self) -> None:
        """Stop serving."""
        if self._server is None:
            self._task.cancel()
        else:
            self._server.should_exit = True
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self._listening.close()

    async def _serve(self) -> None:
        await _readable(self._listening)
        await asyncio.to_thread(importlib.import_module, "uvicorn")
        self._server = _uvicorn(self._app)
        await self._server.serve(sockets=[self._listening])


async def _readable(listening: socket.socket) -> None:
    """Return when somebody has connected; the connection is left to be accepted."""
    loop, connected = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(listening, connected.set)
    try:
        await connected.wait()
    finally:
        loop.remove_reader(listening)


def _uvicorn(app: Starlette) -> Server:
    """Make a server that leaves the process's signals to the daemon."""
    from uvicorn import Config, Server

    class Uvicorn(Server):
        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

    return Uvicorn(
        Config(app, log_config=None, lifespan="off", limit_concurrency=16, timeout_keep_alive=5)
    )
