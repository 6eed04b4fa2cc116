"""Where a replica goes when disks are nearly full."""

from hypothesis import given
from hypothesis import strategies as st

from epost.past.space.placement import DIVERTED_PART, PRIMARY_PART, fits, roomiest


def test_a_block_fits_if_it_is_small_beside_the_room_that_is_left() -> None:
    assert fits(10, 100, PRIMARY_PART)
    assert not fits(11, 100, PRIMARY_PART)
    assert fits(5, 100, DIVERTED_PART)
    assert not fits(6, 100, DIVERTED_PART)
    assert not fits(1, 0, PRIMARY_PART)


def test_the_node_with_the_most_room_keeps_a_diverted_replica() -> None:
    nodes = [("ann", 300), ("ben", 900), ("cat", 900), ("dan", 100)]
    assert roomiest(nodes, 45, DIVERTED_PART) == "ben"
    assert roomiest(nodes, 46, DIVERTED_PART) is None
    assert roomiest([], 1, DIVERTED_PART) is None


@given(st.lists(st.integers(0, 1 << 40)), st.integers(1, 1 << 30))
def test_who_is_chosen_takes_it_and_where_nobody_is_chosen_nobody_would(
    rooms: list[int], size: int
) -> None:
    chosen = roomiest(enumerate(rooms), size, DIVERTED_PART)
    if chosen is None:
        assert not any(fits(size, room, DIVERTED_PART) for room in rooms)
    else:
        assert rooms[chosen] == max(rooms)
        assert fits(size, rooms[chosen], DIVERTED_PART)
