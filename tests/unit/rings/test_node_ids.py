"""Node ids are drawn over the points whose neighbours are at other sites."""

import random

from epost.foundation.ids import RING_SIZE, number, point
from epost.rings.node_ids import Placed, draw_node_id
from epost.simulation.world import SimulatedEntropy

ENTROPY = SimulatedEntropy(1, "ids")


def ring(*sites: bytes) -> list[Placed]:
    step = RING_SIZE // len(sites)
    return [Placed(point(n * step), site) for n, site in enumerate(sites)]


def neighbours(members: list[Placed], drawn: bytes, k: int) -> list[bytes]:
    after = sorted(members, key=lambda m: (number(m.node_id) - number(drawn)) % RING_SIZE)
    return [m.site for m in after[:k] + after[-k:]]


def test_the_neighbours_are_at_other_sites_where_that_is_possible() -> None:
    members = ring(*[b"a"] * 6, *[b"b"] * 6)
    for _ in range(200):
        drawn = draw_node_id(members, b"a", 2, ENTROPY)
        assert b"a" not in neighbours(members, drawn, 2)
        assert drawn not in {m.node_id for m in members}


def test_where_it_is_not_possible_any_free_point_will_do() -> None:
    for members in (ring(b"a"), ring(b"a", b"a"), ring(b"a", b"b", b"a", b"b")):
        drawn = {draw_node_id(members, b"a", 2, ENTROPY) for _ in range(100)}
        assert len(drawn) == 100
        assert not drawn & {m.node_id for m in members}
    assert draw_node_id([], b"a", 3, ENTROPY) != draw_node_id([], b"a", 3, ENTROPY)


def test_the_draw_is_uniform_over_the_allowed_points() -> None:
    members = ring(b"a", b"b", b"b", b"b", b"b", b"b", b"b", b"b")
    quarters = [0] * 8
    for _ in range(4000):
        quarters[number(draw_node_id(members, b"a", 1, ENTROPY)) * 8 // RING_SIZE] += 1
    assert quarters[0] == quarters[7] == 0
    assert all(550 < count < 790 for count in quarters[1:7])


def test_members_in_any_order_give_the_same_draw() -> None:
    members = ring(*[b"a"] * 4, *[b"b"] * 8)
    shuffled = random.Random(1).sample(members, len(members))
    first = draw_node_id(members, b"a", 2, SimulatedEntropy(9, "x"))
    assert first == draw_node_id(shuffled, b"a", 2, SimulatedEntropy(9, "x"))
