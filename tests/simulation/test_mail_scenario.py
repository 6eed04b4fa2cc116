"""Whole nodes in virtual time: nothing acknowledged is lost while machines come and go.

`make test` runs five seeds of a few virtual minutes; `make test-long` runs EPOST_SEEDS seeds (20)
of a virtual hour each, in as many processes as there are cores.
"""

import os
import subprocess
import sys

import pytest

from epost.simulation.churn import ChurnConfig
from epost.simulation.correspondence import CorrespondenceConfig
from epost.simulation.office import OfficeConfig
from epost.simulation.run import run_scenario
from epost.simulation.scenarios.mail import NODES, MailConfig

pytestmark = pytest.mark.timeout(1800)

SHORT_MINUTES = 2.0
SMALL = MailConfig(office=OfficeConfig(machines=24, users=6, nodes=NODES))


@pytest.mark.parametrize("seed", range(1, 6))
def test_every_invariant_holds_for_a_hundred_nodes(seed: int) -> None:
    report = run_scenario("mail", seed=seed, minutes=SHORT_MINUTES)
    assert report.held, report.text()


@pytest.mark.parametrize(
    ("defect", "invariant"),
    [
        ("drop-replica", "blocks-stay"),
        ("accept-old-version", "newest-wins"),
        ("skip-disk-sync", "durable-first"),
        ("forge-receipt", "notices-wait"),
    ],
)
def test_a_broken_system_is_caught_by_its_invariant(defect: str, invariant: str) -> None:
    report = run_scenario("mail", seed=1, minutes=30.0, broken=defect, config=SMALL)
    assert not report.held
    assert invariant in report.text()


def test_a_forger_does_not_sign_with_the_key_of_the_recipient_herself() -> None:
    """Her word settles a notice: with it this seed lost a mail, and seed 1 of 8 minutes did."""
    correspondence = CorrespondenceConfig(mail_every_seconds=10.0, forgery_every_seconds=0.5)
    churn = ChurnConfig(
        session_seconds_mean=60.0,
        down_seconds_min=60.0,
        disk_lost_part=0.0,
        repair_window_seconds=30.0,
    )
    config = MailConfig(
        office=OfficeConfig(machines=12, users=3, nodes=NODES),
        churn=churn,
        correspondence=correspondence,
        healing_seconds=180.0,
    )
    report = run_scenario("mail", seed=3, minutes=4.0, config=config)
    assert report.figures["receipts forged"] > 100
    assert report.held, report.text()


def test_a_seed_replays_exactly_whatever_the_hash_seed() -> None:
    traces = {_trace(hash_seed) for hash_seed in ("0", "1")}
    assert len(traces) == 1


def _trace(hash_seed: str) -> str:
    script = (
        "from epost.simulation.run import run_scenario;"
        "from epost.simulation.scenarios.mail import NODES, MailConfig;"
        "from epost.simulation.office import OfficeConfig;"
        "small = MailConfig(office=OfficeConfig(machines=24, users=6, nodes=NODES));"
        "print(run_scenario('mail', seed=7, minutes=2.0, config=small).trace)"
    )
    result = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONHASHSEED": hash_seed},
        check=True,
    )
    return result.stdout.strip()


@pytest.mark.long
@pytest.mark.parametrize("seed", range(1, 1 + int(os.environ.get("EPOST_SEEDS", "20"))))
def test_every_invariant_holds_for_a_virtual_hour(seed: int) -> None:
    report = run_scenario("mail", seed=seed, minutes=60.0)
    print(report.text())
    assert report.held, report.text()
