from epost.foundation.ids import NodeId, number
from epost.pastry.routing_table import RoutingTable, closest_to_slot
from tests.support.conversation import peer, spot

OWNER = NodeId(spot(0.5))


def test_a_node_goes_where_its_digits_part_from_the_owners() -> None:
    table = RoutingTable(OWNER, 4)
    assert table.offer(peer(0.1))  # digits 1..
    assert table.offer(peer(0.52))  # digits 85..
    assert list(table.rows()) == [0, 1]
    assert table.entry(0, 1) == number(spot(0.1))
    assert table.entry(0, 2) is None
    assert table.row_of(spot(0.52)) == 1
    assert sorted(table.entries_from(1)) == [number(spot(0.52))]
    assert list(table) == [peer(0.1), peer(0.52)]


def test_the_first_node_of_a_slot_stays_but_may_move() -> None:
    table = RoutingTable(OWNER, 4)
    table.offer(peer(0.1))
    assert not table.wants(spot(0.11))
    assert not table.offer(peer(0.11))
    assert not table.offer(peer(0.1, port=5000))
    assert table.get(spot(0.1)) == peer(0.1, port=5000)
    assert len(table) == 1


def test_the_owner_is_never_entered() -> None:
    table = RoutingTable(OWNER, 4)
    assert not table.offer(peer(0.5))


def test_removing_names_the_row_with_the_hole() -> None:
    table = RoutingTable(OWNER, 4)
    table.offer(peer(0.1))
    table.offer(peer(0.2))
    assert table.remove(spot(0.1)) == 0
    assert table.remove(spot(0.1)) is None
    assert table.row(0) == [peer(0.2)]
    assert table.remove(spot(0.2)) == 0
    assert list(table.rows()) == []
    assert spot(0.2) not in table


def test_the_constrained_table_keeps_the_node_closest_to_the_point_of_the_slot() -> None:
    table = RoutingTable(OWNER, 4, closest_to_slot(OWNER, 4))
    assert table.offer(
        peer(0.07)
    )  # slot 1 of row 0; its point has the owner's digits behind: .0625
    assert table.rival_of(spot(0.063)) == peer(0.07)
    assert table.offer(peer(0.063))
    assert not table.wants(spot(0.12))
    assert list(table) == [peer(0.063)]
    assert spot(0.07) not in table
    assert table.rival_of(spot(0.063)) is None
