"""One stored attachment, several who refer to it: it stays as long as any of them wants it, and is
freed when none has for long enough, whatever the clock does meanwhile."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from epost.foundation.durations import DAY_MS
from epost.foundation.ports import Role
from epost.past.leases.sweep import GRACE_MS
from epost.past.shelf import RENEWAL_MS_MIN
from epost.past.tickets import LEASE_MS_MAX
from tests.support.past_ring import PastRing, in_ring
from tests.unit.past.leases.test_sweep import A_DAY, BLOCK, DAY, FREEING, HANDLE

TRASH_MS = int(1000 * FREEING.trash_seconds)
STEADY_SECONDS = FREEING.steady_clock_seconds + 3600.0
NEW_CONTENT = "insert"

Step = tuple[str, int]
steps = st.lists(
    st.one_of(
        st.just((NEW_CONTENT, 0)),
        st.tuples(st.just("renew"), st.integers(0, 500)),
        st.tuples(st.just("pass"), st.integers(0, 300)),
        st.tuples(st.just("pass with a wrong clock"), st.integers(0, 300)),
    ),
    max_size=7,
)


@dataclass
class Holders:
    """What those who refer to the block may rely on; times in ms since 1970."""

    until: int = 0
    trash_since: int | None = None

    def insert(self, now: int) -> None:
        self._want(now + DAY_MS)

    def renew(self, now: int, until: int, *, is_here: bool) -> None:
        until = min(until, now + LEASE_MS_MAX)
        if is_here and until >= self.until + RENEWAL_MS_MIN:
            self._want(until)

    def _want(self, until: int) -> None:
        self.until = max(self.until, until)


class Store:
    """A machine that keeps the block alone."""

    def __init__(self, ring: PastRing) -> None:
        self.ring = ring
        self.node = ring.node("ann")
        self.holders = Holders()

    @property
    def now(self) -> int:
        return self.node.around.clock.wall_ms()

    @property
    def role(self) -> Role | None:
        return self.ring.roles(HANDLE).get("ann")

    async def take(self, step: Step) -> None:
        what, days = step
        if what == NEW_CONTENT:
            await self.node.store.insert(HANDLE.kind, BLOCK, mirror=False)
            self.holders.insert(self.now)
            await self.ring.world.run_for(1.0)
        elif what == "renew":
            until = self.now + days * DAY_MS
            self.holders.renew(self.now, until, is_here=self.role is not None)
            self.node.replica._renewals.prolong([HANDLE], until, self.node.around.clock.now())
            self.node.driver.wake()
            await self.ring.world.run_for(1.0)
        else:
            self.ring.clocks_are_sound = what == "pass"
            self.ring.hosts["ann"].clock.skew_seconds += days * DAY
            await self.ring.world.run_for(STEADY_SECONDS)
        self.check(is_inserted=what == NEW_CONTENT)

    def check(self, *, is_inserted: bool) -> None:
        now, holders = self.now, self.holders
        if is_inserted or (now <= holders.until + GRACE_MS and self.role is not None):
            assert self.role == Role.REPLICA, "somebody relies on it"
        if self.role != Role.TRASH:
            gone = holders.trash_since is not None and self.role is None
            assert not gone or now - holders.trash_since >= TRASH_MS, "freed too early"
            holders.trash_since = None
        elif holders.trash_since is None:
            assert now > holders.until + GRACE_MS, "in the trash too early"
            holders.trash_since = now


@pytest.mark.no_cover  # tracing takes twice the time, and other tests run the same lines
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps)
def test_a_block_stays_while_anybody_wants_it_and_is_freed_afterwards(taken: list[Step]) -> None:
    async def story(ring: PastRing) -> None:
        store = Store(ring)
        await store.take((NEW_CONTENT, 0))
        for step in taken:
            await store.take(step)
        ring.clocks_are_sound = True
        for days in ((store.holders.until - store.now) // DAY_MS + 2, 1):
            await store.take(("pass", max(days, 1)))
        assert store.role is None
        counts = ring.hosts["ann"].vault.counts()
        assert (counts.blocks, counts.bytes) == (0, 0)
        assert ring.hosts["ann"].vault.notes("past.leases") == []
        assert store.node.replica.attribution().used.octets == 0

    in_ring(story, ["ann"], config=FREEING, pushes=False, lifetimes=A_DAY)
