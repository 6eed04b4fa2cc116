"""A small office from evening to morning (200 desktops: `epost simulate --scenario office-day`)."""

from __future__ import annotations

import pytest

from epost.simulation.clock import run
from epost.simulation.defects import SOUND, Defect, defect_for
from epost.simulation.invariants.violations import Violated
from epost.simulation.scenarios.office_day import HOUR, OfficeDayConfig, OfficeDayScenario

SMALL = OfficeDayConfig(
    machines=24,
    blocks=400,
    evening_seconds=HOUR / 6,
    night_seconds=2 * HOUR,
    # With 32 machines or fewer nobody stops copying: five hold what twenty-four did.
    disk_bytes=10_000_000,
)


async def _run(defect: Defect) -> OfficeDayScenario:
    scenario = OfficeDayScenario(1, defect, SMALL)
    try:
        await scenario.run(1.0)
    except Violated:
        assert scenario.findings.violations
    return scenario


@pytest.mark.long
def test_most_machines_of_a_small_office_sleep_and_nothing_is_lost() -> None:
    scenario = run(_run(SOUND))
    assert not scenario.findings.violations
    figures = scenario.figures()
    assert figures["fullest disk, percent"] < 100
    assert figures["blocks ring-durable"] > 300
    assert figures["complete after seconds"] < 600


@pytest.mark.long
def test_an_office_that_copies_without_a_cap_is_noticed() -> None:
    violations = run(_run(defect_for("copying-capped", "office-day"))).findings.violations
    assert {violation.invariant.title for violation in violations} == {"copying-capped"}
