"""Who counts, and what is known of the ring from one node's leaf set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import pytest

from epost.foundation.ids import Id, NodeHandle, clockwise_distance, closeness
from epost.past.arcs import replica_arc
from epost.past.config import PastConfig
from epost.past.ring_view import RingView, find_gap, gone_together, judge, left_at_once
from tests.support.organisation import seed_of

RING = sorted(seed_of(f"node {n}")[:20] for n in range(30))
HALF, K = 8, 3
CONFIG = PastConfig(repair_delay_seconds=100.0, mass_absence_ring_min=4)


@dataclass(frozen=True)
class Seen:
    node: NodeHandle
    live: bool = True
    absent_since: float | None = None


@dataclass
class LeafSet:
    """What a node in the middle of the ring knows: HALF nodes on either side."""

    me: bytes

    @property
    def known(self) -> list[bytes]:
        at = RING.index(self.me)
        return [RING[(at + offset) % len(RING)] for offset in range(-HALF, HALF + 1)]

    def covers(self, key: Id, size: int) -> bool:
        assert size == 1
        span = clockwise_distance(self.known[0], self.known[-1])
        return clockwise_distance(self.known[0], key) <= span


def handle(node_id: bytes) -> NodeHandle:
    return NodeHandle(bytes(20), node_id, ())


def view_from(me: bytes) -> RingView:
    leaf_set = LeafSet(me)
    judged = judge([Seen(handle(n)) for n in leaf_set.known], me, 0.0, CONFIG)
    gap = find_gap(judged.counted, leaf_set)
    assert gap is not None
    span = judged.counted[gap:] + judged.counted[:gap]
    return RingView(me, K, span, judged.live, is_whole=False)


@pytest.mark.parametrize("me", RING[::5])
def test_a_leaf_set_tells_the_arcs_of_its_inner_nodes(me: bytes) -> None:
    view = view_from(me)
    assert list(view.span) == LeafSet(me).known
    assert view.own_arc == replica_arc(me, RING, K)
    for node in view.span[K:-K]:
        assert view.arc(node) == replica_arc(node, RING, K)


@pytest.mark.parametrize("me", RING[::5])
def test_what_two_nodes_share_is_known_to_both(me: bytes) -> None:
    view = view_from(me)
    for node in view.span:
        shared = view.arc(node).shared_with(view.own_arc)
        assert shared == replica_arc(node, RING, K).shared_with(replica_arc(me, RING, K))


def test_only_places_near_enough_have_known_replicas() -> None:
    view = view_from(RING[10])
    near, far = RING[10], RING[25]
    assert view.knows_replicas(near)
    assert not view.knows_replicas(far)
    truth = sorted(RING, key=lambda node: closeness(near, node))[:K]
    assert view.replicas(near) == truth
    assert view.absent_replica(near) == b""


def test_the_absent_count_until_the_repair_delay_is_over() -> None:
    me, *others = RING[:5]
    members = [
        Seen(handle(others[0])),
        Seen(handle(others[1]), live=False, absent_since=950.0),
        Seen(handle(others[2]), live=False, absent_since=900.0),
        Seen(handle(others[3]), live=False),
        Seen(handle(me)),
    ]
    judged = judge(members, me, 1000.0, CONFIG)
    assert list(judged.counted) == sorted([me, others[0], others[1]])
    assert [node.node_id for node in judged.live] == [others[0]]
    view = RingView(me, K, judged.counted, judged.live, is_whole=True)
    assert view.absent_replica(me) == others[1]
    assert all(a < b for a, b in pairwise(view.span))


def absent(nodes: Sequence[bytes], since: float) -> list[Seen]:
    return [Seen(handle(node), live=False, absent_since=since) for node in nodes]


def test_who_left_with_many_others_is_excused_in_larger_rings_only() -> None:
    gone, here = absent(RING[:4], 990.0), [Seen(handle(n)) for n in RING[4:10]]
    assert gone_together(gone + here, 10, 1000.0, CONFIG) == set(RING[:4])
    assert not gone_together(gone + here, 4, 1000.0, CONFIG)
    assert not gone_together(gone[:2] + here, 10, 1000.0, CONFIG)


def test_the_excuse_lasts_for_a_long_weekend_and_is_not_for_who_leaves_alone_later() -> None:
    night, here = absent(RING[:4], 990.0), [Seen(handle(n)) for n in RING[4:10]]
    hours = 50 * 3600.0
    alone = absent(RING[10:11], 990.0 + hours - 2000.0)
    assert gone_together(night + alone + here, 12, 990.0 + hours, CONFIG) == set(RING[:4])
    judged = judge(night + alone + here, RING[11], 990.0 + hours, CONFIG, frozenset(RING[:4]))
    assert set(judged.counted) == {*RING[:10], RING[11]}
    late = 990.0 + CONFIG.mass_absence_seconds_max
    assert not gone_together(night + here, 12, late, CONFIG)


def test_a_block_is_out_of_reach_only_if_its_holders_left_before_copies_were_made() -> None:
    here = [Seen(handle(n)) for n in RING[9:]]
    one_by_one = [Seen(handle(n), False, 200.0 * at) for at, n in enumerate(RING[:9])]
    assert not left_at_once(here, K, 150.0)
    assert not left_at_once(here + one_by_one, K, 150.0)
    assert not left_at_once(here + one_by_one, K, 400.0)
    assert left_at_once(here + one_by_one, K, 401.0)
    assert not left_at_once(here + absent(RING[: K - 1], 990.0), K, 150.0)
    assert left_at_once(here + absent(RING[:K], 990.0), K, 150.0)


def test_a_whole_ring_has_no_gap() -> None:
    class Everything:
        def covers(self, key: Id, size: int) -> bool:
            return True

    assert find_gap(RING, Everything()) is None
