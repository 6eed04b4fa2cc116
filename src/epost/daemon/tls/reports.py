"""Reporting nodes as unreachable: soon, once, and never from within a call to `send`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from epost.foundation.ids import NodeId


class Reports:
    """The nodes that are about to be reported."""

    def __init__(self, report: Callable[[NodeId], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._report = report
        self._due: dict[NodeId, None] = {}

    def add(self, node: NodeId) -> None:
        """Report a node in the next turn of the loop."""
        if not self._due:
            self._loop.call_soon(self._report_all)
        self._due[node] = None

    def _report_all(self) -> None:
        nodes, self._due = self._due, {}
        for node in nodes:
            self._report(node)
