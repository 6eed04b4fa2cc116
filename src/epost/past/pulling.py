"""Fetching blocks that this node should hold from others that do: bounded, rate-limited.

Only what was asked for is taken, so nobody can store here by calling it repair.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from epost.foundation.bounded import BoundedDict
from epost.foundation.codec import encode
from epost.foundation.effects import Outbox
from epost.foundation.ids import Handle, NodeHandle, NodeId
from epost.foundation.wire import Application
from epost.past.config import KEYS_LIMITED_MAX, PULLS_WAITING_MAX, PastConfig
from epost.past.limits import Distrust
from epost.past.messages import WANTED_MAX, Want

LOOKED_AT_MAX = 256
"""Missing blocks looked at in one turn for one whose sources are not busy."""


@dataclass(slots=True)
class _Pull:
    sources: list[NodeHandle] = field(default_factory=list)
    asked: NodeId | None = None
    deadline: float = 0.0


class Pulls:
    """The blocks that are missing here, and whom they were asked of."""

    def __init__(
        self, outbox: Outbox, config: PastConfig, may_copy: Callable[[], bool] = lambda: True
    ) -> None:
        """While `may_copy` says no, what is missing is remembered and not asked for."""
        self._outbox = outbox
        self._may_copy = may_copy
        self._config = config
        self._waiting: dict[Handle, _Pull] = {}
        self._asked: dict[Handle, _Pull] = {}
        self._unreliable = Distrust(
            config.broken_claims_max, config.broken_claims_seconds, config.unreliable_seconds
        )
        self._silences: BoundedDict[NodeId, int] = BoundedDict(KEYS_LIMITED_MAX)
        """How often a source has not answered since it last gave something."""
        self._open: Counter[NodeId] = Counter()
        self._now = 0.0
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
        """Want a block from a node that has it; another node that has it is a second source.

        Nothing is wanted from a node that did not keep its word lately.
        """
        if self._unreliable.is_refused(source.id, self._now):
            return
        pull = self._waiting.get(handle) or self._asked.get(handle)
        if pull is None:
            if len(self) >= PULLS_WAITING_MAX:
                return
            pull = self._waiting[handle] = _Pull()
        if source not in pull.sources and pull.asked != source.id:
            pull.sources.append(source)

    def pump(self, now: float) -> None:
        """Ask for as much as the bounds allow; give up on what did not come in time."""
        self._now = now
        if not self._waiting and not self._asked:
            return
        self._expire(now)
        self._refill(now)
        if not self._may_copy():
            return
        by_source: dict[NodeHandle, list[Handle]] = {}
        looked_at = min(len(self._waiting), LOOKED_AT_MAX)
        for _ in range(looked_at):
            if len(self._asked) >= self._config.pulls_open_max or self._budget <= 0:
                break
            handle, pull = next(iter(self._waiting.items()))
            del self._waiting[handle]
            source = self._choose(pull)
            if source is not None:
                self._ask(handle, pull, source)
                by_source.setdefault(source, []).append(handle)
            elif pull.sources:
                self._waiting[handle] = pull  # behind the others: its sources are busy
        for source, handles in by_source.items():
            for at in range(0, len(handles), WANTED_MAX):
                body = encode(Want(tuple(handles[at : at + WANTED_MAX])))
                self._outbox.notify(source, Application.PAST, body)

    def _choose(self, pull: _Pull) -> NodeHandle | None:
        """Take a source that is not to be avoided and has little to give at the moment."""
        limit = self._config.pulls_open_per_source_max
        pull.sources = self._reliable(pull)
        for source in pull.sources:
            if self._open[source.id] < limit:
                pull.sources.remove(source)
                return source
        return None

    def _ask(self, handle: Handle, pull: _Pull, source: NodeHandle) -> None:
        pull.asked = source.id
        pull.deadline = self._now + self._config.pull_timeout_seconds
        self._asked[handle] = pull
        self._open[source.id] += 1

    def is_expected(self, handle: Handle, sender: NodeId) -> bool:
        """Was this block asked of this node?"""
        pull = self._asked.get(handle)
        return pull is not None and pull.asked == sender

    def done(self, handle: Handle, size: int) -> None:
        """A block that was asked for has come, whether or not there is room for it here."""
        pull = self._end(handle)
        if pull.asked is not None:
            self._silences.remove(pull.asked)
        self._budget -= size

    def failed(self, handle: Handle, sender: NodeId) -> None:
        """The node asked cannot give the block, or gave a bad one: ask the next."""
        if self.is_expected(handle, sender):
            if self._unreliable.blame(sender, self._now):
                self._give_up_on_unreliable()
            self._ask_next(handle, self._end(handle))

    def left(self, gone: Collection[NodeId]) -> None:
        """These went away: what was asked of them, or would be, is asked of others at once.

        They are not called unreliable for it.
        """
        for handle in [handle for handle, pull in self._asked.items() if pull.asked in gone]:
            self._ask_next(handle, self._end(handle))
        for handle, pull in list(self._waiting.items()):
            pull.sources = [source for source in pull.sources if source.id not in gone]
            if not pull.sources:
                del self._waiting[handle]

    def _end(self, handle: Handle) -> _Pull:
        pull = self._asked.pop(handle)
        assert pull.asked is not None, "it was asked of somebody"
        self._open[pull.asked] -= 1
        if not self._open[pull.asked]:
            del self._open[pull.asked]
        return pull

    def _expire(self, now: float) -> None:
        late = [handle for handle, pull in self._asked.items() if now >= pull.deadline]
        for handle in late:
            pull = self._end(handle)
            if pull.asked is not None:
                self._was_silent(pull.asked, now)
            self._ask_next(handle, pull)

    def _was_silent(self, source: NodeId, now: float) -> None:
        """Once may be the network; again and again, and nothing between, it is the source."""
        times = (self._silences.get(source) or 0) + 1
        self._silences.put(source, times)
        if times >= self._config.silences_max:
            self._silences.remove(source)
            self._unreliable.refuse(source, now)
            self._give_up_on_unreliable()

    def _ask_next(self, handle: Handle, pull: _Pull) -> None:
        pull.asked = None
        if pull.sources:
            self._waiting[handle] = pull

    def _give_up_on_unreliable(self) -> None:
        """Want nothing more that only they claim to have: it leaves no room for what others do."""
        for handle, pull in list(self._waiting.items()):
            pull.sources = self._reliable(pull)
            if not pull.sources:
                del self._waiting[handle]

    def _reliable(self, pull: _Pull) -> list[NodeHandle]:
        return [s for s in pull.sources if not self._unreliable.is_refused(s.id, self._now)]

    def _refill(self, now: float) -> None:
        per_second = self._config.repair_bytes_per_second
        self._budget = min(float(per_second), self._budget + (now - self._budget_at) * per_second)
        self._budget_at = now
