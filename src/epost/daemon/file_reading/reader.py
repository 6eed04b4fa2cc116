"""Reads attached files in a process of its own, the real twin of `ReadFile`.

The process starts when there is work, and ends when there has been none for a while, when it has
read many files, and when it takes too long. What it had found of a file until then is the text.
"""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Sequence
from contextlib import suppress

from epost.apps.mail.attached.kinds import FILE_CHARACTERS_MAX, FileKind
from epost.daemon.file_reading.frames import (
    PIECE_BYTES_MAX,
    READY,
    REQUEST,
    SIZE,
)
from epost.foundation.errors import UnavailableError

COMMAND = (sys.executable, "-P", "-m", "epost.daemon.file_reading.child")
FILES_PER_PROCESS_MAX = 200
START_SECONDS_MAX = 30.0
READ_SECONDS_MAX = 60.0
"""Beside the limit of its CPU time: on a busy machine it may get little of that."""
IDLE_SECONDS = 60.0
_ENVIRONMENT = ("PYTHONPATH", "LD_LIBRARY_PATH")


class FileReadingProcess:
    """Reads one file at a time."""

    def __init__(
        self,
        *,
        command: Sequence[str] = COMMAND,
        read_seconds_max: float = READ_SECONDS_MAX,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        self._command = command
        self._read_seconds_max = read_seconds_max
        self._idle_seconds = idle_seconds
        self._turn = asyncio.Lock()
        self._process: Process | None = None
        self._files_read = 0
        self._idle: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The process that runs at present, if any."""
        return self._process.pid if self._process else None

    async def __call__(self, kind: FileKind, octets: bytes) -> str:
        """Return the text of a file; raises UnavailableError if the process does not start."""
        async with self._turn:
            self._is_used_now()
            process = self._process or await self._start()
            pieces: list[bytes] = []
            is_whole = False
            try:
                async with asyncio.timeout(self._read_seconds_max):
                    await _ask(process, kind, octets)
                    await _receive(process, pieces)
                is_whole = True
            except (TimeoutError, OSError, EOFError):
                pass  # what was found until then is the text
            finally:
                self._files_read += 1
                if not is_whole or self._files_read >= FILES_PER_PROCESS_MAX:
                    await self._end()
            self._idle = asyncio.create_task(self._end_when_idle())
            return b"\n".join(pieces).decode("utf-8", "replace")[:FILE_CHARACTERS_MAX]

    async def close(self) -> None:
        """End the process."""
        self._is_used_now()
        await self._end()

    def _is_used_now(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    async def _end_when_idle(self) -> None:
        await asyncio.sleep(self._idle_seconds)
        async with self._turn:
            await self._end()

    async def _start(self) -> Process:
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        try:
            process = self._process = await asyncio.create_subprocess_exec(
                *self._command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env=environment
            )
            assert process.stdout is not None
            async with asyncio.timeout(START_SECONDS_MAX):
                await process.stdout.readexactly(len(READY))
        except (TimeoutError, OSError, EOFError) as error:
            await self._end()
            raise UnavailableError("the process that reads files does not start") from error
        except BaseException:
            await self._end()
            raise
        self._files_read = 0
        return process

    async def _end(self) -> None:
        if process := self._process:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            self._process = None


async def _ask(process: Process, kind: FileKind, octets: bytes) -> None:
    assert process.stdin is not None
    process.stdin.write(REQUEST.pack(kind, len(octets)))
    process.stdin.write(octets)
    await process.stdin.drain()


async def _receive(process: Process, pieces: list[bytes]) -> None:
    """Collect pieces until the empty one; raises OSError if the process says too much."""
    assert process.stdout is not None
    room = PIECE_BYTES_MAX
    while size := SIZE.unpack(await process.stdout.readexactly(SIZE.size))[0]:
        if size > room:
            raise OSError("more text than was asked for")
        pieces.append(await process.stdout.readexactly(size))
        room -= size
