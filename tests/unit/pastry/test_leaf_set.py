import pytest

from epost.foundation.ids import NodeId, closeness, number, point
from epost.pastry.leaf_set import LeafSet, arc_among
from tests.support.conversation import peer, spot

OWNER = NodeId(spot(0.5))


def leaf_set(*shares: float, size_max: int = 4) -> LeafSet:
    leaves = LeafSet(OWNER, size_max)
    for share in shares:
        if leaves.admits(spot(share)):
            leaves.add(peer(share))
    return leaves


def test_it_keeps_the_nearest_on_either_side_in_clockwise_order() -> None:
    leaves = leaf_set(0.9, 0.6, 0.1, 0.4, 0.7, 0.3)
    assert list(leaves) == [peer(0.6), peer(0.7), peer(0.3), peer(0.4)]
    assert leaves.is_full


def test_a_nearer_node_displaces_the_farthest_of_its_side() -> None:
    leaves = leaf_set(0.6, 0.7, 0.3, 0.4)
    assert leaves.admits(spot(0.65))
    assert leaves.add(peer(0.65)) == peer(0.7)
    assert not leaves.admits(spot(0.7))


def test_neither_its_owner_nor_a_member_is_admitted() -> None:
    leaves = leaf_set(0.6)
    assert not leaves.admits(OWNER)
    assert not leaves.admits(spot(0.6))


def test_removing_makes_room() -> None:
    leaves = leaf_set(0.6, 0.7, 0.3, 0.4)
    assert leaves.remove(spot(0.7)) == peer(0.7)
    assert leaves.remove(spot(0.7)) is None
    assert spot(0.7) not in leaves
    assert leaves.admits(spot(0.9))
    assert len(leaves) == 3


def test_only_its_own_side_replaces_a_lost_member() -> None:
    leaves = leaf_set(0.51, 0.52, 0.48, 0.49)
    assert not leaves.lacks_members
    leaves.remove(spot(0.48))
    assert leaves.lacks_members
    assert not leaves.admits(spot(0.53))
    assert leaves.missing_of([spot(0.53), spot(0.47), spot(0.46)]) == {spot(0.47)}
    assert leaves.add(peer(0.515)) == peer(0.52)
    assert leaves.add(peer(0.46)) is None
    assert not leaves.lacks_members
    assert leaves.add(peer(0.47)) == peer(0.46)
    assert list(leaves) == [peer(0.51), peer(0.515), peer(0.47), peer(0.49)]


def test_a_set_that_lacks_members_spans_those_it_has() -> None:
    leaves = leaf_set(0.51, 0.52, 0.48, 0.49)
    for share in (0.48, 0.49):
        leaves.remove(spot(share))
    assert leaves.neighbourhood.span == (number(OWNER), number(spot(0.52)))
    assert not leaves.covers(spot(0.5), 1)
    assert leaves.adviser() == peer(0.51)
    leaves.close()
    assert leaves.neighbourhood.span is None
    assert leaves.admits(spot(0.53))


def test_a_member_may_move() -> None:
    leaves = leaf_set(0.6)
    assert not leaves.refresh(peer(0.6))
    assert leaves.refresh(peer(0.6, port=5000))
    assert leaves.get(spot(0.6)) == peer(0.6, port=5000)
    assert not leaves.refresh(peer(0.7)), "a stranger is not entered"
    assert leaves.get(spot(0.7)) is None


def test_its_neighbours_are_the_nearest_on_each_side() -> None:
    assert list(leaf_set().neighbours()) == []
    assert list(leaf_set(0.9).neighbours()) == [peer(0.9)]
    leaves = leaf_set(0.6, 0.7, 0.3, 0.4)
    assert list(leaves.neighbours()) == [peer(0.6), peer(0.4)]
    assert list(leaves.neighbours(reach=2)) == [peer(0.6), peer(0.7), peer(0.3), peer(0.4)]


def test_the_adviser_on_a_loss_sits_on_the_same_side() -> None:
    assert leaf_set().adviser(spot(0.6)) is None
    eight = (0.51, 0.52, 0.53, 0.54, 0.46, 0.47, 0.48, 0.49)
    leaves = leaf_set(*eight, size_max=8)
    leaves.remove(spot(0.54))
    assert leaves.adviser(spot(0.54)) == peer(0.53)
    leaves = leaf_set(*eight, size_max=8)
    leaves.remove(spot(0.47))
    assert leaves.adviser(spot(0.47)) == peer(0.46)


def test_only_those_are_missing_who_would_stay() -> None:
    leaves = leaf_set(0.6, 0.7, 0.4)
    strangers = [spot(share) for share in (0.1, 0.2, 0.3, 0.6, 0.9)]
    assert leaves.missing_of([*strangers, OWNER]) == {spot(0.3)}
    assert leaf_set().missing_of([spot(0.1), OWNER]) == {spot(0.1)}


def test_a_small_ring_is_covered_whole() -> None:
    assert leaf_set(0.6, 0.7).covers(spot(0.1), 3)


@pytest.mark.parametrize(
    ("key", "size", "is_covered"),
    [
        (0.5, 3, True),
        (0.55, 3, True),
        (0.68, 2, False),  # an unknown node just beyond 0.7 may be closer than 0.6
        (0.8, 1, False),
        (0.1, 1, False),
        (0.5, 6, False),
    ],
)
def test_a_full_set_covers_keys_away_from_its_ends(key: float, size: int, is_covered: bool) -> None:
    assert leaf_set(0.6, 0.7, 0.3, 0.4).covers(spot(key), size) is is_covered


def test_the_closest_include_the_owner() -> None:
    leaves = leaf_set(0.6, 0.7, 0.3, 0.4)
    assert list(leaves.closest(spot(0.52), 2, peer(0.5))) == [peer(0.5), peer(0.6)]


def test_an_arc_reaches_half_way_to_the_kth_nodes() -> None:
    start, end = arc_among(OWNER, [spot(s) for s in (0.5, 0.6, 0.8, 0.4, 0.1)], 2)
    assert number(start) == pytest.approx(number(spot(0.3)), rel=1e-9)
    assert number(end) == pytest.approx(number(spot(0.65)), rel=1e-9)


def test_an_arc_is_the_whole_ring_while_there_are_at_most_k_nodes() -> None:
    assert arc_among(OWNER, [spot(0.6), spot(0.7)], 3) == (OWNER, OWNER)
    start, end = arc_among(OWNER, [spot(0.6), spot(0.7), spot(0.8)], 3)
    assert start != end


@pytest.mark.parametrize("k", [1, 2, 3])
def test_an_arc_holds_exactly_the_keys_for_which_the_node_is_among_the_k_closest(k: int) -> None:
    ids = [point(value) for value in (3, 10, 11, 20, 32)]
    for node in ids:
        start, end = arc_among(NodeId(node), ids, k)
        for value in range(40):
            key = point(value)
            offset, reach = (number(p) - number(start) for p in (key, end))
            is_within = 0 < offset % 2**160 <= reach % 2**160
            among = sorted(ids, key=lambda one, key=key: closeness(key, one))[:k]
            assert is_within == (node in among), (k, number(node), value)


def test_the_size_of_the_ring_is_estimated_from_how_densely_it_lies_around() -> None:
    leaf_set = LeafSet(peer(0.5).id, 16)
    assert leaf_set.ring_size_estimate == 1
    for step in (*range(-8, 0), *range(1, 9)):
        leaf_set.add(peer(0.5 + step / 1000))
    assert leaf_set.ring_size_estimate == pytest.approx(1000)
