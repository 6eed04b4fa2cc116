"""The daemon's own door: a Unix socket in a 0700 folder, one JSON request and answer per line.

The command line talks to a running daemon here. On Linux the peer's uid is checked as well
(SO_PEERCRED): folder modes can be changed by mistake.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import socket
import struct
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from epost.daemon.files import make_private_folder
from epost.daemon.hanging_up import Conversations, stop_listening
from epost.foundation.errors import ConfigError, EpostError

REQUEST_SIZE_MAX = 4 * 1024 * 1024
SOCKET_PATH_MAX = 100
ANSWER_TIMEOUT_SECONDS = 60.0

Command = Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]


def socket_path(data_dir: Path) -> Path:
    """Return where the socket of a data folder lies (elsewhere if its path is too long)."""
    path = data_dir.resolve() / "control" / "socket"
    if len(os.fsencode(path)) <= SOCKET_PATH_MAX:
        return path
    name = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"epost-{os.getuid()}-{name}" / "socket"


class ControlServer:
    """Serves commands by name."""

    def __init__(self, path: Path, commands: Mapping[str, Command]) -> None:
        """`path` comes from `socket_path`."""
        self._path = path
        self._commands = dict(commands)
        self._server: asyncio.Server | None = None
        self._conversations = Conversations()

    async def start(self) -> None:
        """Begin to listen; a dead socket of an earlier run is replaced, a live one an error."""
        make_private_folder(self._path.parent)
        if self._path.exists() and _answers(self._path):
            raise ConfigError(
                f"{self._path}: another daemon runs on this data folder. Stop it first."
            )
        self._path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(
            self._welcome, path=str(self._path), limit=REQUEST_SIZE_MAX
        )

    async def close(self) -> None:
        """Stop listening, hang up on those still connected, and remove the socket."""
        if self._server is None:
            return
        await stop_listening(self._server)
        self._path.unlink(missing_ok=True)
        await self._conversations.hang_up()

    def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._conversations.begin(self._serve(reader, writer), writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if not _is_own_user(writer.get_extra_info("socket")):
                return
            line = await asyncio.wait_for(reader.readline(), ANSWER_TIMEOUT_SECONDS)
            writer.write(json.dumps(await self._answer(line)).encode() + b"\n")
            await writer.drain()
        except (ValueError, TimeoutError, ConnectionError):
            pass
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _answer(self, line: bytes) -> Mapping[str, Any]:
        request = json.loads(line)
        if not isinstance(request, dict):
            raise ValueError("a request is a JSON object")
        command = self._commands.get(request.get("command", ""))
        if command is None:
            return {"error": "unknown command; the daemon may be of another version"}
        try:
            return await command(request)
        except EpostError as error:
            return {"error": str(error)}


class NoDaemon(ConfigError):  # noqa: N818 - as the errors of foundation are named
    """Nobody serves a data folder."""


def ask(data_dir: Path, command: str, **arguments: Any) -> dict[str, Any]:
    """Ask the daemon of a data folder; raises NoDaemon, or ConfigError if it refuses."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(ANSWER_TIMEOUT_SECONDS)
        try:
            connection.connect(str(socket_path(data_dir)))
        except PermissionError as error:
            raise ConfigError(
                f"{data_dir} is another user's: only she may ask its daemon"
            ) from error
        except OSError as error:
            raise NoDaemon(
                f"no daemon runs on {data_dir}. Start it: epost run --data-dir {data_dir}"
            ) from error
        line = _answer_to(connection, {"command": command, **arguments}, data_dir)
    if not line:
        raise ConfigError(f"the daemon on {data_dir} closed without an answer; see its log")
    answer: dict[str, Any] = json.loads(line)
    if "error" in answer:
        raise ConfigError(answer["error"])
    return answer


def _answer_to(connection: socket.socket, request: Mapping[str, Any], data_dir: Path) -> bytes:
    try:
        connection.sendall(json.dumps(request).encode() + b"\n")
        with connection.makefile("rb") as file:
            return file.readline()
    except TimeoutError as error:
        raise ConfigError(
            f"the daemon on {data_dir} runs, but has not answered within "
            f"{ANSWER_TIMEOUT_SECONDS:.0f} s; see its log"
        ) from error
    except OSError:
        return b""  # it has ended meanwhile


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True


def _is_own_user(connection: socket.socket) -> bool:
    if not hasattr(socket, "SO_PEERCRED"):
        return True  # elsewhere the folder's mode decides
    credentials = connection.getsockopt(
        socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")
    )
    _, uid, _ = struct.unpack("3i", credentials)
    return uid in (os.getuid(), 0)
