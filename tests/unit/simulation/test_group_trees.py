"""The Scribe experiment at a small size."""

from random import Random

import pytest

from epost.simulation.group_trees import LIMIT, group_figures, group_sizes, grow_trees
from epost.simulation.overlay.oracle_ring import OracleRing, nearest_in
from epost.simulation.overlay.topology import Sphere


def test_the_largest_group_has_everybody_and_the_next_ones_fewer() -> None:
    assert group_sizes(10_000, 150)[:2] == [10_000, 4204]
    assert group_sizes(10_000, 150)[-1] == 19


@pytest.mark.no_cover  # tracing takes twice the time, and other tests run the same lines
def test_all_members_are_reached_and_the_root_is_a_better_place_to_publish() -> None:
    random = Random(1)
    topology = Sphere(300, random)
    ring = OracleRing(300, random, choice=nearest_in(topology))
    trees = grow_trees(ring, topology, groups=8, limit=LIMIT, seed=1)
    for delays in (trees.from_root, trees.from_member):
        assert delays.reached == delays.wanted
        assert len(delays.rmd) == 8
    assert sum(trees.from_root.rad) < sum(trees.from_member.rad)
    assert max(trees.children) <= LIMIT
    assert sum(trees.children) >= sum(group_sizes(300, 8)) - 8


@pytest.mark.long
def test_the_quick_form_gives_every_row() -> None:
    said: list[str] = []
    figures = group_figures(said.append, full=False)
    assert len(figures) == 24
    assert all(figure.met is not False for figure in figures)
    assert len(said) == 2
