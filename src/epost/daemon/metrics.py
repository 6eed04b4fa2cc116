"""Counters for Prometheus on loopback: `/metrics`, for this user's programs only.

The numbers are those of `epost status`; labels carry no names and no addresses.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator, Mapping

import uvicorn
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from epost.foundation.errors import ConfigError
from epost.foundation.ids import Address
from epost.servers.access import PeerCheck

Numbers = Callable[[], Mapping[str, tuple[str, float]]]
"""Returns name -> (help text, value) of every gauge."""


class MetricsServer:
    """Serves `/metrics` in the daemon's own loop."""

    def __init__(self, numbers: Numbers, peer_check: PeerCheck) -> None:
        self._numbers = numbers
        self._peer_check = peer_check
        self._server: uvicorn.Server | None = None
        self._task: asyncio.Task[None] | None = None
        self.port = 0

    async def start(self, address: Address) -> None:
        """Listen; raises ConfigError if the port is taken."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((address.host, address.port))
        except OSError as error:
            listener.close()
            raise ConfigError(
                f"metrics port {address.port} on {address.host}: {error.strerror}. "
                "Change [metrics] listen, or stop the other program."
            ) from error
        self.port = listener.getsockname()[1]
        app = Starlette(routes=[Route("/metrics", self._metrics)])
        config = uvicorn.Config(
            app, log_config=None, lifespan="off", limit_concurrency=16, timeout_keep_alive=5
        )
        self._server = _Embedded(config)
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]))

    async def close(self) -> None:
        """Stop serving."""
        if self._server is not None and self._task is not None:
            self._server.should_exit = True
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _metrics(self, request: Request) -> Response:
        if not await self._is_own(request):
            return PlainTextResponse("only for the user who runs this daemon\n", 403)
        registry = CollectorRegistry()
        for name, (text, value) in self._numbers().items():
            Gauge(f"epost_{name}", text, registry=registry).set(value)
        return Response(generate_latest(registry), media_type="text/plain; version=0.0.4")

    async def _is_own(self, request: Request) -> bool:
        host = request.headers.get("host", "")
        if host not in {f"127.0.0.1:{self.port}", f"localhost:{self.port}", f"[::1]:{self.port}"}:
            return False  # a browser led here by a foreign name (DNS rebinding)
        peer = request.client
        return peer is not None and await self._peer_check.allowed(peer.host, peer.port, self.port)


class _Embedded(uvicorn.Server):
    """A server that leaves the process's signals to the daemon."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
