"""Rings by global knowledge agree with the product's rules and with what the protocol builds."""

from __future__ import annotations

from random import Random

import pytest

from epost.foundation.ids import number
from epost.pastry.routing import ID_BITS
from epost.pastry.routing_table import RoutingTable, closest_to_slot
from epost.simulation.overlay.figure import Target
from epost.simulation.overlay.hops import (
    leaf_sets_wrong,
    measure_hops,
    protocol_ring,
    static_hops,
)
from epost.simulation.overlay.oracle_ring import OracleRing, closest_in, constrained, nearest_in
from epost.simulation.overlay.proximity import Delays, nearest_replica_ranks, stretch
from epost.simulation.overlay.topology import Plane, Sphere, Topology, TransitStub


def test_hops_in_a_ring_with_ideal_tables_are_those_of_the_model() -> None:
    assert Target.within(2.49, 0.03).is_met_by(static_hops(1_000, 3_000, seed=1).value)


@pytest.mark.no_cover  # tracing takes twice the time, and other tests run the same lines
def test_a_ring_built_by_joins_has_right_leaf_sets_and_as_few_hops_as_an_ideal_one() -> None:
    ring, lookups, counter = protocol_ring(150, seed=1)
    hops = measure_hops(ring, lookups, counter, 800)
    assert leaf_sets_wrong(ring) == 0
    assert lookups.answered == lookups.asked == 800
    assert not lookups.wrong
    assert Target.within(static_hops(150, 3_000, seed=2).value, 0.05).is_met_by(hops.value)


def test_the_oracle_s_constrained_table_is_what_the_product_keeps_when_it_meets_everybody() -> None:
    ring = OracleRing(400, Random(3), choice=constrained)
    for node in range(0, 400, 80):
        owner = ring.nodes[node].id
        table = RoutingTable(owner, 4, closest_to_slot(owner, 4))
        for other in ring.nodes:
            table.offer(other)
        assert set(table) == set(ring.state(node).table)


def test_the_oracle_s_leaf_sets_are_the_nodes_beside_each_node() -> None:
    ring = OracleRing(50, Random(4))
    leaves = {number(node.node_id) for node in ring.state(0).leaf_set}
    assert leaves == {ring.ids[step] for step in (*range(1, 9), *range(-8, 0))}


def test_rings_smaller_than_a_leaf_set_route_in_one_hop() -> None:
    ring = OracleRing(7, Random(5))
    for key in (0, ring.ids[3], 1 << 159):
        assert len(ring.route(2, key)) <= 2
        assert ring.route(2, key)[-1] == ring.closest(key, 1)[0]


def test_the_closest_of_sorted_ids_go_around_the_end_and_ties_to_the_smaller() -> None:
    assert closest_in([1, 5, 9], 7, 2) == [5, 9]
    assert closest_in([1, 5, (1 << ID_BITS) - 2], 0, 2) == [1, (1 << ID_BITS) - 2]


def test_proximity_selection_makes_routes_short_and_finds_near_replicas() -> None:
    random = Random(6)
    sphere = Sphere(1_000, random)
    near = OracleRing(1_000, random, leaf_set_size=32, choice=nearest_in(sphere))
    anybody = OracleRing(1_000, random, leaf_set_size=32)
    near_delays, any_delays = Delays(), Delays()
    stretch(near, sphere, 800, random, near_delays)
    assert near_delays.stretch.estimate().value < 1.45
    assert near_delays.per_hop[0].value < near_delays.per_hop[1].value
    stretch(anybody, sphere, 800, random, any_delays)
    assert any_delays.stretch.estimate().value > 2.0
    ranks = nearest_replica_ranks(near, sphere, 500, random)
    assert ranks.total() == 500
    assert ranks[0] > 325


@pytest.mark.parametrize("make", [Sphere, Plane, TransitStub])
def test_delays_are_symmetric_and_the_nearest_candidate_is_the_nearest(make: type) -> None:
    topology: Topology = make(60, Random(7))
    others = range(1, 60)
    assert topology.delay(0, 0) == pytest.approx(0.0, abs=1e-6)
    assert all(topology.delay(0, n) == pytest.approx(topology.delay(n, 0)) for n in others)
    nearest = topology.nearest(0, others)
    assert topology.delay(0, nearest) == min(topology.delay(0, n) for n in others)
