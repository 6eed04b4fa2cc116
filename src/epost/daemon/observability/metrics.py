"""`/metrics` for Prometheus on loopback, for this user's programs and holders of the token.

Gauges are the numbers of `epost status`, counters and histograms those of `counters.py`; labels
carry no names and no addresses.
"""

from __future__ import annotations

import hmac
import secrets
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from epost.daemon.embedded_server import EmbeddedServer
from epost.daemon.files import write_private
from epost.foundation.errors import ConfigError
from epost.foundation.ids import Address
from epost.servers.access import PeerCheck

Numbers = Callable[[], Mapping[str, tuple[str, float]]]
"""Returns name -> (help text, value) of every gauge."""

TOKEN_FILE = "metrics-token"  # noqa: S105 - where it lies, not what it is
TOKEN_BYTES = 32


def read_token(data_dir: Path) -> str:
    """Return the bearer token of a data folder, made at first use (mode 0600).

    For a Prometheus under another uid: name a copy of the file as `credentials_file`.
    """
    path = data_dir / TOKEN_FILE
    if not path.exists():
        write_private(path, secrets.token_urlsafe(TOKEN_BYTES).encode() + b"\n")
    return path.read_text().strip()


class Gauges(Collector):
    """Asks for the numbers each time that somebody looks."""

    def __init__(self, numbers: Numbers) -> None:
        self._numbers = numbers

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield every gauge."""
        for name, (text, value) in self._numbers().items():
            yield GaugeMetricFamily(f"epost_{name}", text, value=value)


class MetricsServer:
    """Serves `/metrics` in the daemon's own loop."""

    def __init__(
        self, registry: CollectorRegistry, *, token: str, peer_check: PeerCheck | None
    ) -> None:
        """Without a `peer_check` (no way to tell the peer's uid) the token alone opens."""
        self._registry = registry
        self._authorization = f"Bearer {token}".encode()
        self._peer_check = peer_check
        self._server: EmbeddedServer | None = None
        self.port = 0

    async def start(self, address: Address) -> None:
        """Listen; raises ConfigError if the port is taken."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((address.host, address.port))
            listener.listen()  # a bound port alone can be bound again
        except OSError as error:
            listener.close()
            raise ConfigError(
                f"metrics port {address.port} on {address.host}: {error.strerror}. "
                "Change [metrics] listen, or stop the other program."
            ) from error
        self.port = listener.getsockname()[1]
        app = Starlette(routes=[Route("/metrics", self._metrics)])
        self._server = EmbeddedServer(app, listener)

    async def close(self) -> None:
        """Stop serving."""
        if self._server is not None:
            await self._server.close()

    async def _metrics(self, request: Request) -> Response:
        if not await self._is_allowed(request):
            text = "only for the user who runs this daemon, or with the token in its data folder\n"
            return PlainTextResponse(text, 403)
        return Response(generate_latest(self._registry), media_type="text/plain; version=0.0.4")

    async def _is_allowed(self, request: Request) -> bool:
        host = request.headers.get("host", "")
        if host not in {f"127.0.0.1:{self.port}", f"localhost:{self.port}", f"[::1]:{self.port}"}:
            return False  # a browser led here by a foreign name (DNS rebinding)
        offered = request.headers.get("authorization", "").encode()
        if hmac.compare_digest(offered, self._authorization):
            return True
        peer = request.client
        if peer is None or self._peer_check is None:
            return False
        return await self._peer_check.allowed(peer.host, peer.port, self.port)
