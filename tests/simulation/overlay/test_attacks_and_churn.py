"""Small forms of the experiments with failures, churn and accomplices; equal seeds, equal runs."""

from __future__ import annotations

from random import Random

import pytest

from epost.simulation.overlay.adversaries import Infiltrated
from epost.simulation.overlay.catalogue import EXPERIMENTS, Scale
from epost.simulation.overlay.churn import SESSIONS, churn
from epost.simulation.overlay.figure import Target
from epost.simulation.overlay.lookups import Lookups
from epost.simulation.overlay.oracle_ring import OracleRing, constrained
from epost.simulation.overlay.protocol_ring import ProtocolRing
from epost.simulation.overlay.silent_failures import silent_failures
from epost.simulation.overlay.topology import Sphere


class Nobody:
    """Hears nothing (Observer)."""

    def record(self, event: object) -> None:
        pass


def unheard(_text: str) -> None:
    """Tell nobody of the progress."""


@pytest.mark.no_cover  # tracing takes twice the time, and other tests run the same lines
def test_the_density_test_errs_as_often_as_published() -> None:
    figures = EXPERIMENTS["density"].run(Scale.QUICK, unheard)
    assert [figure.trials for figure in figures] == [10_000] * 3
    assert [figure.met for figure in figures] == [True] * 3


def test_redundant_routes_find_the_correct_roots_where_most_plain_ones_fail() -> None:
    random = Random(1)
    ring = OracleRing(1_000, random, leaf_set_size=32, choice=constrained)
    among = Infiltrated(ring, 0.25, random)
    redundant = among.measure(60, unheard, always_redundant=True)
    assert redundant.plain < 45
    assert redundant.searches == redundant.redundant == 60


def test_a_search_believes_a_correct_root_and_doubts_a_forged_one() -> None:
    random = Random(2)
    ring = OracleRing(1_000, random, leaf_set_size=32, choice=constrained)
    outcome = Infiltrated(ring, 0.3, random).measure(30, unheard, always_redundant=False)
    assert outcome.searches == 30
    assert 0 < outcome.redundant < 30


@pytest.mark.no_cover
def test_a_tenth_that_falls_silent_costs_few_hops_and_no_look_up() -> None:
    found = silent_failures(100, 500, 1, unheard, upkeep_seconds=70.0)
    assert found.failed == 10
    assert found.leaf_sets_wrong == found.lost == 0
    assert found.at_once.value < found.before.value * 1.15
    assert found.rpcs_per_failed > 0


def test_under_churn_every_look_up_arrives_at_the_right_node() -> None:
    outcome = churn(60, 10.0, 100.0, lambda random: random.expovariate(1 / 300.0), 1, unheard)
    assert outcome.crashes > 8
    assert outcome.lookups.asked > 800
    assert outcome.lookups.lost == 0
    assert not outcome.lookups.wrong
    assert 40 < outcome.members_mean < 70
    assert 0 < outcome.control < 5


def test_sessions_have_the_published_mean() -> None:
    random = Random(3)
    for session in SESSIONS.values():
        mean = sum(session(random) for _ in range(40_000)) / 40_000
        assert Target.within(2.3 * 3600, 0.04).is_met_by(mean)


def test_equal_seeds_give_equal_rings_message_by_message() -> None:
    def sent(seed: int) -> tuple[float, dict[str, int]]:
        random, lookups = Random(seed), Lookups()
        ring = ProtocolRing(Sphere(30, random), random, Nobody(), equip=lookups.equip, loss=0.05)
        ring.grow(30, 20.0)
        lookups.ask_steadily(20.0, ring.now + 5)
        ring.run(30.0)
        return lookups.seconds.value, dict(ring.sent)

    assert sent(5) == sent(5)
    assert sent(5) != sent(6)
