"""The HTTP server inside the daemon: loaded when somebody asks, and what it is loaded without."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import urllib.request

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from epost.daemon.embedded_server import EmbeddedServer

SELDOM_NEEDED = ("uvicorn", "plistlib", "xml.etree", "epost.daemon.authority.upkeep")


async def hello(_: object) -> PlainTextResponse:
    return PlainTextResponse("hello")


def served() -> tuple[EmbeddedServer, int]:
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    app = Starlette(routes=[Route("/", hello)])
    return EmbeddedServer(app, listening), listening.getsockname()[1]


def answer(port: int) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60) as response:
        return bytes(response.read())


def test_who_comes_before_the_server_is_loaded_is_answered_like_all_others() -> None:
    async def scene() -> None:
        server, port = served()
        asked = (asyncio.to_thread(answer, port) for _ in range(3))
        assert await asyncio.gather(*asked) == [b"hello"] * 3
        assert await asyncio.to_thread(answer, port) == b"hello"
        await server.close()
        await server.close()

    asyncio.run(scene())


def test_a_server_that_nobody_asked_closes_and_gives_up_its_port() -> None:
    async def scene() -> None:
        server, port = served()
        await asyncio.sleep(0)
        await server.close()
        with socket.socket() as again:
            again.bind(("127.0.0.1", port))

    asyncio.run(scene())


def test_a_daemon_starts_without_what_few_need() -> None:
    program = "import sys, epost.daemon.process; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True
    ).stdout.split()
    assert "epost.daemon.process" in loaded
    assert not set(SELDOM_NEEDED).intersection(loaded)
