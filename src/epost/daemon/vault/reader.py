"""The threads that read bodies: a few, so that a slow disk stops neither the loop nor others."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import apsw

from epost.daemon.vault.bodies import BodyFiles, read_parts
from epost.daemon.vault.database import DISK_ERRORS, open_to_read

READERS_MAX = 4


class BodyReader:
    """Reads bodies; each thread has a connection of its own."""

    def __init__(self, path: Path, files: BodyFiles) -> None:
        self._path = path
        self._files = files
        self._threads = ThreadPoolExecutor(READERS_MAX, thread_name_prefix="vault reader")
        self._own = threading.local()
        self._connections: list[apsw.Connection] = []

    def read(self, body: int, parts: int) -> asyncio.Future[Sequence[bytes] | None]:
        """Return the first parts of a body; None if they are not all there and sound.

        To be called on the loop's thread.
        """
        loop = asyncio.get_running_loop()
        return loop.run_in_executor(self._threads, self._read, body, parts)

    def finish(self) -> None:
        """Finish what is being read, end the threads; waits for them."""
        self._threads.shutdown()
        for connection in self._connections:
            connection.close()

    def _read(self, body: int, parts: int) -> Sequence[bytes] | None:
        with DISK_ERRORS:
            try:
                return read_parts(self._connection(), self._files, body, parts)
            except (apsw.CorruptError, apsw.IOError):
                return None

    def _connection(self) -> apsw.Connection:
        connection: apsw.Connection | None = getattr(self._own, "connection", None)
        if connection is None:
            connection = self._own.connection = open_to_read(self._path)
            self._connections.append(connection)
        return connection
