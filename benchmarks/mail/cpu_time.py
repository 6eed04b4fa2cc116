"""CPU time of a server, which says more than the clock while a machine does other things."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

AT_REST_SECONDS = 0.02
"""What a server does right after its answer counts as well."""


def cpu_clock(roots: Iterable[int]) -> Callable[[], float]:
    """Return a clock that counts the CPU seconds of processes and of all they have started.

    What has ended meanwhile is not counted: compare only while a connection stays open.
    """
    pids = tuple(roots)

    def seconds() -> float:
        time.sleep(AT_REST_SECONDS)
        return sum(map(_nanoseconds, _with_descendants(pids))) / 1e9

    return seconds


def _with_descendants(roots: Iterable[int]) -> Iterator[int]:
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            after_name = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        children.setdefault(int(after_name[1]), []).append(int(stat.parent.name))
    waiting = list(roots)
    while waiting:
        pid = waiting.pop()
        yield pid
        waiting += children.get(pid, [])


def _nanoseconds(pid: int) -> int:
    total = 0
    for task in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        try:
            total += int(task.read_text().split()[0])
        except OSError:
            continue  # it has just ended
    return total
