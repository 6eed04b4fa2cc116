"""How much memory a process takes, watched while something else is done."""

from __future__ import annotations

import re
import threading
from pathlib import Path

SAMPLE_SECONDS = 0.25


class Memory(threading.Thread):
    """Samples of the resident memory of a process, in MB."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.pid = pid
        self._status = Path(f"/proc/{pid}/status")
        self._ended = threading.Event()
        self.latest = 0
        self.highest = 0
        self._highest_since = 0

    def __enter__(self) -> Memory:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def run(self) -> None:
        while not self._ended.wait(SAMPLE_SECONDS):
            self._sample()

    def _sample(self) -> None:
        try:
            found = re.search(r"VmRSS:\s+(\d+)", self._status.read_text())
        except OSError:  # the process has ended
            return
        if found:
            self.latest = int(found[1]) // 1024
            self.highest = max(self.highest, self.latest)
            self._highest_since = max(self._highest_since, self.latest)

    def highest_since(self) -> int:
        """Return the most there was since this was asked last."""
        self._sample()
        highest, self._highest_since = self._highest_since, 0
        return highest

    def end(self) -> int:
        """Stop watching; return the most there was."""
        self._ended.set()
        self.join()
        self._sample()
        return self.highest
