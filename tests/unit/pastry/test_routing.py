from epost.foundation.ids import NodeId, number
from epost.pastry.leaf_set import LeafSet
from epost.pastry.routing import next_hop
from epost.pastry.routing_table import RoutingTable
from tests.support.conversation import peer, spot

OWNER = NodeId(spot(0.5))  # digits 8000...


def at(share: float) -> int:
    return number(spot(share))


def surroundings(leaves: list[float], entries: list[float]) -> tuple[LeafSet, RoutingTable]:
    leaf_set, table = LeafSet(OWNER, 4), RoutingTable(OWNER, 4)
    for share in leaves:
        leaf_set.add(peer(share))
    for share in entries:
        table.offer(peer(share))
    return leaf_set, table


def test_a_node_alone_is_the_root_of_every_key() -> None:
    leaf_set, table = surroundings([], [])
    assert next_hop(leaf_set.neighbourhood, at(0.1), table) == at(0.5)


def test_within_the_leaf_set_the_message_goes_to_the_root_itself() -> None:
    leaf_set, table = surroundings([0.51, 0.52, 0.48, 0.49], [0.1])
    assert next_hop(leaf_set.neighbourhood, at(0.512), table) == at(0.51)
    assert next_hop(leaf_set.neighbourhood, at(0.501), table) == at(0.5)


def test_a_suspected_root_stays_the_root() -> None:
    leaf_set, table = surroundings([0.51, 0.52, 0.48, 0.49], [])
    hop = next_hop(leaf_set.neighbourhood, at(0.512), table, usable=lambda node: False)
    assert hop == at(0.51)


def test_beyond_the_leaf_set_the_table_gains_a_digit() -> None:
    leaf_set, table = surroundings([0.51, 0.52, 0.48, 0.49], [0.13, 0.9])
    assert next_hop(leaf_set.neighbourhood, at(0.15), table) == at(0.13)


def test_without_a_table_entry_a_closer_node_of_no_shorter_prefix_is_taken() -> None:
    leaf_set, table = surroundings([0.51, 0.52, 0.48, 0.49], [0.8])
    assert next_hop(leaf_set.neighbourhood, at(0.9), table) == at(0.8)
    leaf_set, table = surroundings([0.51, 0.52, 0.48, 0.49], [])
    assert next_hop(leaf_set.neighbourhood, at(0.9), table) == at(0.52)


def test_a_suspected_table_entry_is_avoided() -> None:
    leaf_set, table = surroundings([0.51, 0.52, 0.48, 0.49], [0.13, 0.2])
    hop = next_hop(leaf_set.neighbourhood, at(0.15), table, usable=lambda n: n != at(0.13))
    assert hop == at(0.2)


def test_if_all_ways_are_suspected_the_best_of_them_is_named_rather_than_the_owner() -> None:
    leaf_set, table = surroundings([0.51, 0.52, 0.48, 0.49], [0.13])
    hop = next_hop(leaf_set.neighbourhood, at(0.15), table, usable=lambda node: False)
    assert hop == at(0.13)
