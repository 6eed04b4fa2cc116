"""Fetching blocks that this node should hold from others that do: bounded, rate-limited.

Only what was asked for is taken, so nobody can store here by calling it repair.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from epost.foundation.codec import encode
from epost.foundation.effects import Outbox
from epost.foundation.ids import Handle, NodeHandle, NodeId
from epost.foundation.wire import Application
from epost.past.config import PULLS_WAITING_MAX, PastConfig
from epost.past.messages import WANTED_MAX, Want


@dataclass(slots=True)
class _Pull:
    sources: list[NodeHandle] = field(default_factory=list)
    asked: NodeId | None = None
    deadline: float = 0.0


class Pulls:
    """The blocks that are missing here, and whom they were asked of."""

    def __init__(self, outbox: Outbox, config: PastConfig) -> None:
        self._outbox = outbox
        self._config = config
        self._waiting: dict[Handle, _Pull] = {}
        self._asked: dict[Handle, _Pull] = {}
        self._budget = float(config.repair_bytes_per_second)
        self._budget_at = 0.0

    def __len__(self) -> int:
        return len(self._waiting) + len(self._asked)

    def __contains__(self, handle: Handle) -> bool:
        return handle in self._waiting or handle in self._asked

    @property
    def is_crowded(self) -> bool:
        """Should comparisons pause until more of what they found has arrived?"""
        return len(self) >= PULLS_WAITING_MAX // 2

    def add(self, handle: Handle, source: NodeHandle) -> None:
        """Want a block from a node that has it; another node that has it is a second source."""
        pull = self._waiting.get(handle) or self._asked.get(handle)
        if pull is None:
            if len(self) >= PULLS_WAITING_MAX:
                return
            pull = self._waiting[handle] = _Pull()
        if source not in pull.sources and pull.asked != source.id:
            pull.sources.append(source)

    def pump(self, now: float) -> None:
        """Ask for as much as the bounds allow; give up on what did not come in time."""
        self._expire(now)
        self._refill(now)
        by_source: dict[NodeHandle, list[Handle]] = {}
        while self._waiting and len(self._asked) < self._config.pulls_open_max and self._budget > 0:
            handle, pull = next(iter(self._waiting.items()))
            del self._waiting[handle]
            if not pull.sources:
                continue
            source = pull.sources.pop(0)
            pull.asked = source.id
            pull.deadline = now + self._config.pull_timeout_seconds
            self._asked[handle] = pull
            by_source.setdefault(source, []).append(handle)
        for source, handles in by_source.items():
            for at in range(0, len(handles), WANTED_MAX):
                body = encode(Want(tuple(handles[at : at + WANTED_MAX])))
                self._outbox.notify(source, Application.PAST, body)

    def is_expected(self, handle: Handle, sender: NodeId) -> bool:
        """Was this block asked of this node?"""
        pull = self._asked.get(handle)
        return pull is not None and pull.asked == sender

    def done(self, handle: Handle, size: int) -> None:
        """A block that was asked for has come."""
        del self._asked[handle]
        self._budget -= size

    def failed(self, handle: Handle, sender: NodeId) -> None:
        """The node asked cannot give the block, or gave a bad one: ask the next."""
        if self.is_expected(handle, sender):
            self._ask_next(handle, self._asked.pop(handle))

    def _expire(self, now: float) -> None:
        late = [handle for handle, pull in self._asked.items() if now >= pull.deadline]
        for handle in late:
            self._ask_next(handle, self._asked.pop(handle))

    def _ask_next(self, handle: Handle, pull: _Pull) -> None:
        pull.asked = None
        if pull.sources:
            self._waiting[handle] = pull

    def _refill(self, now: float) -> None:
        per_second = self._config.repair_bytes_per_second
        self._budget = min(float(per_second), self._budget + (now - self._budget_at) * per_second)
        self._budget_at = now
