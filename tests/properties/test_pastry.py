"""Pastry's invariants for arbitrary rings (reference: Middleware 2001, section 2)."""

import contextlib
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from epost.foundation.errors import PeerError
from epost.foundation.ids import (
    RING_SIZE,
    Id,
    NodeHandle,
    NodeId,
    clockwise_distance,
    closeness,
    number,
    point,
    ring_distance,
)
from epost.pastry.leaf_set import LeafSet, arc_among
from epost.pastry.messages import PACKET
from epost.pastry.routing import next_hop, shared_digits
from epost.pastry.routing_table import RoutingTable
from epost.scribe.messages import PACKET as SCRIBE_PACKET

RING = b"ring" * 5

# Mostly crowded corners of the ring: there digits, ties and wrapping matter.
points = st.one_of(
    st.integers(0, 300),
    st.integers(RING_SIZE - 300, RING_SIZE - 1),
    st.integers(0, 255).map(lambda value: value << 152),
    st.integers(0, RING_SIZE - 1),
).map(point)
rings = st.lists(points, min_size=1, max_size=60, unique=True)


def handle(node_id: bytes) -> NodeHandle:
    return NodeHandle(RING, node_id, ())


def filled(owner: bytes, others: Sequence[bytes], size_max: int) -> LeafSet:
    leaves = LeafSet(NodeId(Id(owner)), size_max)
    for other in others:
        if leaves.admits(other):
            leaves.add(handle(other))
    return leaves


@given(rings, st.sampled_from([2, 4, 8]))
def test_a_leaf_set_is_the_nearest_on_either_side_in_whatever_order_they_come(
    ids: list[Id], size_max: int
) -> None:
    owner, *others = ids
    half = size_max // 2
    clockwise = sorted(others, key=lambda other: clockwise_distance(owner, other))
    expected = set(clockwise[:half]) | set(clockwise[-half:])
    assert {node.node_id for node in filled(owner, others, size_max)} == expected


@given(rings, rings, st.sampled_from([2, 4, 8]))
def test_asking_only_those_missing_gives_the_same_leaf_set(
    ids: list[Id], hints: list[Id], size_max: int
) -> None:
    owner, *others = ids
    one, other = (filled(owner, others, size_max) for _ in range(2))
    missing = one.missing_of(hints)
    for hint in hints:
        if hint in missing:
            assert one.admits(hint)
            one.add(handle(hint))
        if other.admits(hint):
            other.add(handle(hint))
    assert list(one) == list(other)


@given(rings, points, st.integers(1, 8))
def test_what_a_leaf_set_covers_it_answers_as_if_it_knew_the_whole_ring(
    ids: list[Id], key: Id, size: int
) -> None:
    owner, *others = ids
    leaves = filled(owner, others, 8)
    if leaves.covers(key, size):
        known = [node.node_id for node in leaves.closest(key, size, handle(owner))]
        assert known == sorted(ids, key=lambda one: closeness(key, one))[:size]


@given(rings, points, st.integers(1, 5))
def test_a_key_lies_in_the_arcs_of_exactly_the_k_closest(ids: list[Id], key: Id, k: int) -> None:
    closest = set(sorted(ids, key=lambda one: closeness(key, one))[:k])
    for node in ids:
        start, end = arc_among(NodeId(node), ids, k)
        is_within = start == end or 0 < clockwise_distance(start, key) <= clockwise_distance(
            start, end
        )
        assert is_within == (node in closest)


@settings(max_examples=60)
@given(rings, points, st.data())
def test_every_hop_makes_progress_and_the_last_is_the_root(
    ids: list[Id], key: Id, data: st.DataObject
) -> None:
    leaf_sets = {node: filled(node, [o for o in ids if o != node], 4) for node in ids}
    tables = {}
    for node in ids:
        tables[node] = RoutingTable(NodeId(node), 4)
        for other in data.draw(st.lists(st.sampled_from(ids), max_size=8)):
            tables[node].offer(handle(other))
    at: Id = data.draw(st.sampled_from(ids))
    for _ in range(len(ids) + 41):
        hop = point(next_hop(leaf_sets[at].neighbourhood, number(key), tables[at]))
        if hop == at:
            break
        shared = [shared_digits(number(one), number(key), 4) for one in (at, hop)]
        is_nearer = ring_distance(hop, key) <= ring_distance(at, key)
        assert shared[1] > shared[0] or is_nearer
        at = hop
    assert at == min(ids, key=lambda one: closeness(key, one))


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_at_worst_a_peers_error(data: bytes) -> None:
    for packets in (PACKET, SCRIBE_PACKET):
        with contextlib.suppress(PeerError):
            packets.decode(data)
