"""Serves Thunderbird's configuration file where programs look for it; it holds no secrets."""

from __future__ import annotations

import socket

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from epost.daemon.embedded_server import EmbeddedServer
from epost.daemon.mail_programs.client_settings import ClientSettings, as_autoconfig
from epost.daemon.tls.listening import listen
from epost.foundation.ids import Address

PATHS = ("/mail/config-v1.1.xml", "/.well-known/autoconfig/mail/config-v1.1.xml")


class AutoconfigServer:
    """One HTTP port for the file, in the daemon's own loop."""

    def __init__(self, address: Address, settings: ClientSettings) -> None:
        self._address = address
        self._file = as_autoconfig(settings)
        self._socket: socket.socket | None = None
        self._server: EmbeddedServer | None = None

    def bind(self) -> None:
        """Take the port; raises ConfigError if it is taken."""
        self._socket = listen(self._address, purpose="[mail] autoconfig")

    def release(self) -> None:
        """Give up a port that was taken and never served."""
        if self._socket is not None and self._server is None:
            self._socket.close()

    def start(self) -> None:
        """Serve the port that `bind` has taken."""
        assert self._socket is not None
        app = Starlette(routes=[Route(path, self._answer) for path in PATHS])
        self._server = EmbeddedServer(app, self._socket)

    async def close(self) -> None:
        """Stop serving."""
        if self._server is not None:
            await self._server.close()

    async def _answer(self, _: Request) -> Response:
        return Response(self._file, media_type="application/xml")
