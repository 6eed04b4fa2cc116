"""Moves the write-ahead log of an SQLite database into its file, on a thread of its own.

SQLite does it within the commit that makes the log long, which then waits for the disk for as long
as a hundred others. Passive: commits go on meanwhile, and the log begins anew with the first that
finds all of it moved.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing, suppress

import apsw


class Checkpoints:
    """One database's; whoever writes asks, as from a WAL hook."""

    def __init__(self, connect: Callable[[], apsw.Connection], *, name: str) -> None:
        """`connect` opens a connection that flushes as the writing one does."""
        self._connect = connect
        self._asked = threading.Event()
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def ask(self) -> None:
        """Checkpoint soon."""
        self._asked.set()

    def close(self) -> None:
        """Wait for a checkpoint that is under way."""
        self._is_closing = True
        self._asked.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            self._asked.wait()
            self._asked.clear()
            if self._is_closing:
                return
            # A failure here is met again, and reported, by the next transaction.
            with suppress(apsw.Error), closing(self._connect()) as connection:
                connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
