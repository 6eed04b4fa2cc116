"""The door of the daemon: one request, one answer, for this user only."""

import asyncio
import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from epost.daemon.control import ControlServer, NoDaemon, ask, socket_path
from epost.foundation.errors import ConfigError, NoSuchBlock


async def _echo(request: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"you_said": request["word"]}


async def _fail(request: Mapping[str, Any]) -> Mapping[str, Any]:
    raise NoSuchBlock("no such block here")


COMMANDS = {"echo": _echo, "fail": _fail}


def _serving(data_dir: Path, conversation: Any) -> Any:
    async def run() -> Any:
        server = ControlServer(socket_path(data_dir), COMMANDS)
        await server.start()
        try:
            return await asyncio.to_thread(conversation)
        finally:
            await server.close()

    return asyncio.run(run())


def test_a_command_is_answered(tmp_path: Path) -> None:
    answer = _serving(tmp_path, lambda: ask(tmp_path, "echo", word="hello"))
    assert answer == {"you_said": "hello"}


def test_errors_of_commands_and_unknown_ones_come_back_as_errors(tmp_path: Path) -> None:
    def talk() -> None:
        with pytest.raises(ConfigError, match="no such block here"):
            ask(tmp_path, "fail")
        with pytest.raises(ConfigError, match="unknown command"):
            ask(tmp_path, "sing")

    _serving(tmp_path, talk)


def test_garbage_closes_the_connection_and_disturbs_nobody(tmp_path: Path) -> None:
    def talk() -> dict[str, Any]:
        for garbage in (b"\xff\xfe\n", b"[]\n", b"{" * 1000 + b"\n", b"x" * 5_000_000 + b"\n"):
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(10)
                connection.connect(str(socket_path(tmp_path)))
                try:
                    connection.sendall(garbage)
                    assert b"you_said" not in connection.recv(1000)
                except OSError:
                    continue
        return ask(tmp_path, "echo", word="still here")

    assert _serving(tmp_path, talk) == {"you_said": "still here"}


def test_without_a_daemon_the_error_says_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="epost run --data-dir"):
        ask(tmp_path, "status")


def test_a_daemon_that_is_too_slow_is_not_said_to_be_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("epost.daemon.control.ANSWER_TIMEOUT_SECONDS", 0.01)
    socket_path(tmp_path).parent.mkdir()
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(socket_path(tmp_path)))
        silent.listen()
        with pytest.raises(ConfigError, match="runs, but has not answered"):
            ask(tmp_path, "status")
        silent.close()
        with pytest.raises(NoDaemon):
            ask(tmp_path, "status")


def test_a_second_daemon_on_one_folder_is_refused_but_a_dead_socket_is_not(
    tmp_path: Path,
) -> None:
    async def run() -> None:
        first = ControlServer(socket_path(tmp_path), COMMANDS)
        await first.start()
        with pytest.raises(ConfigError, match="another daemon"):
            await asyncio.to_thread(
                lambda: asyncio.run(ControlServer(socket_path(tmp_path), COMMANDS).start())
            )
        await first.close()
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(socket_path(tmp_path)))
        second = ControlServer(socket_path(tmp_path), COMMANDS)
        await second.start()
        await second.close()

    asyncio.run(run())


def test_a_long_path_gets_a_short_socket(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 90) / ("e" * 90)
    deep.mkdir(parents=True)
    assert len(str(socket_path(deep))) <= 100
    assert _serving(deep, lambda: ask(deep, "echo", word="x")) == {"you_said": "x"}
    assert json.dumps(str(socket_path(deep)))


@pytest.mark.parametrize("request_bytes", [b"", b"\n"])
def test_who_asks_for_nothing_is_hung_up_on_and_the_next_is_answered(
    tmp_path: Path, request_bytes: bytes
) -> None:
    def talk() -> None:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            connection.connect(str(socket_path(tmp_path)))
            connection.sendall(request_bytes)
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(100) == b""
        assert ask(tmp_path, "echo", word="x") == {"you_said": "x"}

    _serving(tmp_path, talk)
