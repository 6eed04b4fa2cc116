"""Who the replicas of a key are, among nodes shown by honest and other nodes."""

from hypothesis import given
from hypothesis import strategies as st

from epost.foundation.ids import RING_SIZE
from epost.pastry.root_sets import arc_around, diverse_first_hops, replica_roots

NODES = st.sets(st.integers(0, RING_SIZE - 1), max_size=30)


def test_the_arc_around_a_key_is_clockwise_and_has_as_many_on_either_side() -> None:
    nodes = [10, 20, 30, 40, 50, 60]
    assert arc_around(35, nodes, 2) == [20, 30, 40, 50]
    assert arc_around(5, nodes, 2) == [50, 60, 10, 20]


def test_the_arc_of_a_small_ring_is_all_of_it_and_begins_after_the_widest_gap() -> None:
    assert arc_around(35, [10, 20, 60], 2) == [10, 20, 60]
    assert arc_around(35, [], 2) == []


def test_replica_roots_are_the_closest_first_and_a_tie_goes_to_the_smaller_id() -> None:
    assert replica_roots(35, [10, 30, 40, 60], 3) == [30, 40, 10]
    assert replica_roots(0, [RING_SIZE - 1, 1, 2], 2) == [1, RING_SIZE - 1]


@given(NODES, st.integers(0, RING_SIZE - 1), st.integers(1, 8))
def test_the_arc_holds_the_replica_roots(nodes: set[int], key: int, size: int) -> None:
    arc = arc_around(key, nodes, size)
    assert set(replica_roots(key, nodes, size)) <= set(arc)
    assert len(arc) == len(set(arc))


def test_first_hops_are_spread_over_the_leaf_set() -> None:
    assert diverse_first_hops(range(16), 4) == [0, 4, 8, 12]
    assert diverse_first_hops([1, 2], 4) == [1, 2]


def test_first_hops_beyond_the_leaf_set_come_from_the_deepest_rows_each_node_once() -> None:
    rows = [[7, 8], [5, 2], [6]]
    assert diverse_first_hops([1, 2], 5, rows) == [1, 2, 6, 5, 7]
    assert diverse_first_hops([1, 2], 9, rows) == [1, 2, 6, 5, 7, 8]
