"""Storage nodes under every kind of trouble: short runs (for long ones: benchmarks/campaign.py)."""

import pytest

from epost.simulation.clock import run
from epost.simulation.defects import SOUND, defect_named
from epost.simulation.invariants.violations import Violated
from epost.simulation.run import run_scenario
from epost.simulation.scenarios.storage import StorageConfig, StorageScenario

SMALL = StorageConfig(machines=16, settling_seconds=30.0, calm_seconds=60.0, healing_seconds=200.0)


async def _run(seed: int, minutes: float, broken: str | None = None) -> StorageScenario:
    scenario = StorageScenario(seed, defect_named(broken) if broken else SOUND, SMALL)
    try:
        await scenario.run(minutes)
    except Violated:
        assert scenario.findings.violations
    return scenario


@pytest.mark.no_cover  # tracing takes twice the time, and other tests run the same lines
def test_a_small_ring_bears_two_minutes_of_trouble() -> None:
    scenario = run(_run(3, 2.0))
    assert not scenario.findings.violations
    assert scenario.figures()["blocks ring-durable"] > 60


@pytest.mark.no_cover  # tracing takes twice the time, and other tests run the same lines
@pytest.mark.parametrize(
    ("defect", "invariant"),
    [
        ("drop-replica", "blocks-stay"),
        ("accept-old-version", "newest-wins"),
        ("skip-disk-sync", "durable-first"),
        ("garble-blocks", "only-authentic"),
        ("roll-back", "never-back"),
        ("no-repair", "sets-complete"),
    ],
)
def test_what_is_broken_on_purpose_is_noticed(defect: str, invariant: str) -> None:
    violations = run(_run(1, 8.0, defect)).findings.violations
    assert invariant in {violation.invariant.title for violation in violations}


@pytest.mark.no_cover
def test_a_seed_replays_exactly() -> None:
    first, second = (run(_run(5, 1.0)).world.trace.digest() for _ in range(2))
    assert first == second


@pytest.mark.long
@pytest.mark.no_cover
def test_an_invariant_is_broken_by_its_own_name_in_a_ring_too_large_to_know_everybody() -> None:
    report = run_scenario("storage", seed=1, minutes=3.0, broken="roots-deliver")
    assert {violation.invariant.title for violation in report.violations} == {"roots-deliver"}
    assert report.broken == "deliver-early"
