"""The commits of a node that are under way, and the sends that wait for them.

Durable before acknowledged: it is decided here and nowhere else. A durable send rides on the newest
commit under way; commits finish in order, so durable sends leave in the order in which they were
asked for. What nobody waits for is written soon, in one flush with what somebody does wait for;
and for what nobody is ever told of (`write_later`), neither sends nor stories wait.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from epost.foundation.effects import SendWhenDurable
from epost.foundation.ports import Vault, Write


@dataclass(slots=True)
class _Commit:
    """A commit under way: what may leave after it, and the bytes of the messages it came from."""

    done: asyncio.Future[None]
    bytes_held: int
    sends: list[SendWhenDurable] = field(default_factory=list)


class Commits:
    """Hands writes to the vault and lets durable sends leave when these are on disk."""

    def __init__(
        self,
        vault: Vault,
        *,
        send: Callable[[SendWhenDurable], None],
        on_done: Callable[[int, BaseException | None], bool],
    ) -> None:
        """`on_done` is given the bytes held for a commit that is over, and why it failed, if it
        did; it answers whether sends may still leave."""
        self._vault = vault
        self._send = send
        self._on_done = on_done
        self._under_way: deque[_Commit] = deque()
        self._newest: _Commit | None = None
        """Of those under way that somebody may come to wait for."""
        self._is_hurried = True

    @property
    def are_done(self) -> bool:
        """Is everything on disk that was asked for?"""
        return not self._under_way

    def write(self, writes: Sequence[Write], bytes_held: int, *, is_awaited: bool) -> None:
        """Commit; `bytes_held` are those of the message that it came from."""
        commit = self._vault.commit if is_awaited else self._vault.commit_soon
        self._newest = self._begin(commit(writes), bytes_held)
        self._is_hurried = is_awaited

    def write_later(self, writes: Sequence[Write]) -> None:
        """Commit soon, in order; nothing waits for it but what is asked for by `write`."""
        self._begin(self._vault.commit_soon(writes), 0)

    def send_after(self, sends: Sequence[SendWhenDurable]) -> None:
        """Send once all that was asked for so far by `write` is on disk."""
        if not sends:
            return
        if self._newest is not None:
            self._hurry().sends.extend(sends)
            return
        for send in sends:
            self._send(send)

    async def written(self) -> None:
        """Return when all that `write` was asked for is on disk; raises DiskFull or OSError."""
        if self._newest is not None:
            await asyncio.shield(self._hurry().done)

    async def all_written(self) -> None:
        """Return when really all is on disk; raises DiskFull or OSError."""
        if self._under_way:
            self.write((), 0, is_awaited=True)
            await self.written()

    def _begin(self, done: asyncio.Future[None], bytes_held: int) -> _Commit:
        commit = _Commit(done, bytes_held)
        self._under_way.append(commit)
        done.add_done_callback(self._on_committed)
        return commit

    def _hurry(self) -> _Commit:
        """Somebody waits now for what nobody waited for: a commit of nothing takes it along."""
        if not self._is_hurried:
            self.write((), 0, is_awaited=True)
        assert self._newest is not None, "asked only while one is under way"
        return self._newest

    def _on_committed(self, done: asyncio.Future[None]) -> None:
        commit = self._under_way.popleft()
        assert commit.done is done, "commits must finish in order"
        if commit is self._newest:
            self._newest = None
        if self._on_done(commit.bytes_held, done.exception()):
            for send in commit.sends:
                self._send(send)
