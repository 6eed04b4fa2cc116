"""The daemons of a demo as operating-system processes: started, watched, stopped; never revived."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from epost.daemon.control import ask
from epost.daemon.demo.state import log_file
from epost.daemon.files import make_private_folder
from epost.foundation.errors import ConfigError, UnavailableError

START_TIMEOUT_SECONDS = 60.0
STOP_TIMEOUT_SECONDS = 10.0
POLL_SECONDS = 0.1
LOG_LINES_SHOWN = 12


class Daemons:
    """The processes of one demo by node name."""

    def __init__(self) -> None:
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def pids(self) -> dict[str, int]:
        """The process ids of all daemons that were started, alive or killed."""
        return {name: process.pid for name, process in self._processes.items()}

    def is_running(self, name: str) -> bool:
        """Is the daemon of this node alive?"""
        process = self._processes.get(name)
        return process is not None and process.poll() is None

    def start(self, name: str, data_dir: Path) -> None:
        """Start the daemon on a data folder; its output goes to its log file."""
        _stop_leftover(data_dir)
        path = log_file(data_dir)
        make_private_folder(path.parent)
        command = [sys.executable, "-m", "epost.daemon", "run", "--data-dir", str(data_dir)]
        with path.open("ab") as log:
            self._processes[name] = subprocess.Popen(  # noqa: S603 - our own program
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the demo, which stops them in order
                env=os.environ | {"PYTHONUNBUFFERED": "1"},
            )

    def wait_until_ready(self, name: str, data_dir: Path) -> dict[str, Any]:
        """Wait until the daemon answers; raises UnavailableError with the end of its log."""
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            if not self.is_running(name):
                break
            try:
                return ask(data_dir, "status")
            except ConfigError:
                time.sleep(POLL_SECONDS)
        raise UnavailableError(f"{name} did not start. The end of its log:\n{_tail(data_dir)}")

    def stop_all(self) -> Iterator[str]:
        """Ask all daemons to stop, then insist; yields the names as they are gone."""
        running = [n for n in self._processes if self.is_running(n)]
        for name in running:
            self._processes[name].send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_TIMEOUT_SECONDS
        for name in running:
            process = self._processes[name]
            try:
                process.wait(timeout=max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            yield name


def _stop_leftover(data_dir: Path) -> None:
    # A demo that was itself killed leaves its daemons behind, holding the ports.
    try:
        pid = int(ask(data_dir, "status")["pid"])
    except ConfigError:
        return
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        try:
            ask(data_dir, "status")
        except ConfigError:
            return
        time.sleep(POLL_SECONDS)
    os.kill(pid, signal.SIGKILL)


def _tail(data_dir: Path) -> str:
    try:
        lines = log_file(data_dir).read_text(errors="replace").splitlines()
    except OSError:
        return "(no log)"
    return "\n".join(lines[-LOG_LINES_SHOWN:])
