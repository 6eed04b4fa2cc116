"""The experiment with caches, small: popular blocks are found sooner, and full disks cache less."""

from random import Random

import pytest

from epost.past.config import PastConfig
from epost.simulation.caching import LEAF_SET, RULES, CachingRing, Catalogue, Load, Outcome
from epost.simulation.overlay.oracle_ring import OracleRing

NODES = 150


def outcome(config: PastConfig, used_part: float) -> Outcome:
    random = Random(1)
    ring = OracleRing(NODES, random, leaf_set_size=LEAF_SET)
    catalogue = Catalogue(20 * NODES, ring, random)
    load = Load(6_000, NODES / 60, used_part)
    return CachingRing(ring, catalogue, load, config).run(load, Random(1))


@pytest.mark.no_cover  # tracing takes twice the time, and other tests run the same lines
def test_caches_save_hops_and_take_load_off_the_busiest_node() -> None:
    without, once, twice = (outcome(config, 0.5) for config in RULES.values())
    assert (without.hits, without.cached_octets) == (0, 0)
    assert once.mean_hops < twice.mean_hops < without.mean_hops
    assert once.fills > 4 * twice.fills
    assert twice.hits > 0.1 * twice.lookups
    assert twice.most_asked < without.most_asked


@pytest.mark.no_cover
def test_as_disks_fill_the_caches_give_way() -> None:
    half, full = (outcome(PastConfig(), part) for part in (0.5, 0.99))
    assert full.cached_octets < half.cached_octets / 5
    assert full.hits < half.hits
