"""Users with several machines, old backups, clones and lying delegates: short runs.

For long ones: benchmarks/campaign.py --scenario services.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from epost.simulation.clock import run
from epost.simulation.defects import SOUND, defect_named
from epost.simulation.invariants.violations import Violated
from epost.simulation.scenarios.services import ServicesScenario
from epost.simulation.services.settings import ServicesConfig, stretched

WHOLE = ServicesConfig()
SMALL = ServicesConfig(
    machines=16,
    users=5,
    further_machines=(1,),
    # As much of it in a small organisation as a large one has.
    forks=replace(WHOLE.forks, backup_every=4.0, restore_every=8.0, clone_every=8.0),
    correspondence=replace(WHOLE.correspondence, mail_every_seconds=40.0, text_size_max=500),
    on_holiday=2,
    holiday_seconds=80.0,
    settling_seconds=20.0,
)


async def _run(
    seed: int, minutes: float, broken: str | None = None, config: ServicesConfig = SMALL
) -> ServicesScenario:
    scenario = ServicesScenario(seed, defect_named(broken) if broken else SOUND, config)
    try:
        await scenario.run(minutes)
    except Violated:
        assert scenario.findings.violations
    return scenario


def test_nothing_is_lost_or_doubled_among_old_disks_clones_and_lying_delegates() -> None:
    scenario = run(_run(1, 3.0))
    assert not scenario.findings.violations
    figures = scenario.figures()
    assert figures["told of two machines"] > 0
    assert figures["of these liars"] >= 16 // 3
    assert figures["of these ring-durable"] > 5
    assert figures["receipts claimed"] > 0
    assert figures["presences replayed"] > 0
    assert figures["rollbacks seen through"] > 0


@pytest.mark.no_cover  # tracing takes twice the time, and other tests run the same lines
@pytest.mark.parametrize(
    ("defect", "invariant", "seed", "minutes"),
    [
        pytest.param("silent-delegates", "delegates-deliver", 2, 3.0, marks=pytest.mark.long),
        pytest.param("hear-no-flags", "devices-agree", 1, 3.0, marks=pytest.mark.long),
        ("sign-unconfirmed", "mails-arrive", 1, 3.0),
        ("accept-old-version", "newest-wins", 1, 3.0),
        ("move-by-copy", "mails-arrive", 1, 2.0),
        pytest.param("forget-versions", "newest-wins", 1, 3.0, marks=pytest.mark.long),
        pytest.param("forge-receipt", "notices-wait", 1, 3.0, marks=pytest.mark.long),
    ],
)
def test_what_is_broken_on_purpose_is_noticed(
    defect: str, invariant: str, seed: int, minutes: float
) -> None:
    violations = run(_run(seed, minutes, defect)).findings.violations
    assert invariant in [violation.invariant.title for violation in violations]


def test_a_seed_replays_exactly_whatever_the_hash_seed() -> None:
    script = (
        "from epost.simulation.clock import run;"
        "from tests.simulation.test_services import _run;"
        "print(run(_run(7, 0.5)).world.trace.digest())"
    )
    traces = {
        subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            check=True,
        ).stdout
        for hash_seed in ("0", "1")
    }
    assert len(traces) == 1


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_nothing_is_lost_in_days() -> None:
    config = replace(stretched(WHOLE), machines=16, users=6, further_machines=(1, 1), on_holiday=2)
    scenario = run(_run(1, 2 * 1440.0, config=config))
    assert not scenario.findings.violations
