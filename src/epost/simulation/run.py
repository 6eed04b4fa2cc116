"""Runs a scenario from its seed and reports; what `epost simulate` calls."""

from __future__ import annotations

import gc
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from epost.foundation.errors import ConfigError
from epost.simulation.clock import run
from epost.simulation.defects import DEFECTS, Defect, Family, defect_for
from epost.simulation.invariants.violations import Invariant, Violated
from epost.simulation.report import Report
from epost.simulation.scenarios.mail import CALM, MailConfig, MailScenario
from epost.simulation.scenarios.office_day import OfficeDayScenario
from epost.simulation.scenarios.scenario import Scenario
from epost.simulation.scenarios.services import ServicesScenario
from epost.simulation.scenarios.storage import StorageScenario
from epost.simulation.services.settings import SMALL, ServicesConfig, stretched
from epost.simulation.verifying import verified_once

COLLECTION_AFTER = 50_000
"""New objects until the collector looks for circles; usually 700."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One scenario of `--scenario`: what it is about, and how to make a run of it."""

    family: Family
    text: str
    make: Callable[[int, Defect], Scenario]
    """From the seed and what is broken on purpose; called inside the virtual loop."""


SCENARIOS = {
    "mail": Kind("mail", "an office writes mails while its machines come and go", MailScenario),
    "mail-calm": Kind(
        "mail",
        "the same machines and trouble with an eighth of the mails: an hour costs a third",
        lambda seed, defect: MailScenario(seed, defect, CALM),
    ),
    "office-day": Kind(
        "office-day", "200 desktops, most asleep from 18:00 to 08:00", OfficeDayScenario
    ),
    "services": Kind(
        "services", "users with several machines, old backups and clones", ServicesScenario
    ),
    "services-small": Kind(
        "services",
        "the same with 24 machines and 6 users",
        lambda seed, defect: ServicesScenario(seed, defect, SMALL),
    ),
    "services-weeks": Kind(
        "services",
        "the same with everything stretched: for weeks (--minutes 43200)",
        lambda seed, defect: ServicesScenario(seed, defect, stretched(ServicesConfig())),
    ),
    "services-weeks-small": Kind(
        "services",
        "the same with 24 machines and 6 users",
        lambda seed, defect: ServicesScenario(seed, defect, stretched(SMALL)),
    ),
    "storage": Kind(
        "storage", "storage nodes under every kind of trouble, liars included", StorageScenario
    ),
}


def run_scenario(
    name: str,
    *,
    seed: int,
    minutes: float,
    broken: str | None = None,
    config: MailConfig | None = None,
) -> Report:
    """Run a scenario to its end or its first violation; raises ConfigError for unknown names.

    `broken` is a defect, or an invariant that one is to violate. `config` sets up the
    scenario "mail" in another way than usual.
    """
    if name not in SCENARIOS:
        raise ConfigError(f"no scenario {name!r}; there are: {', '.join(SCENARIOS)}")
    defect = defect_for(broken, SCENARIOS[name].family)
    assert config is None or name == "mail", f"{name} is not set up by a MailConfig"
    with verified_once(), _rare_collections():
        return run(_run(name, seed, minutes, defect, config))


@contextmanager
def _rare_collections() -> Iterator[None]:
    """A hundred nodes leave few circles and many objects to look at: a twentieth of the time."""
    before = gc.get_threshold()
    gc.set_threshold(COLLECTION_AFTER, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def describe_scenarios() -> str:
    """Return the names of scenarios, invariants and defects, with a sentence each."""
    lines = ["Scenarios (--scenario):"]
    lines += [f"  {name:20} {kind.text}" for name, kind in SCENARIOS.items()]
    lines.append("\nInvariants (--break, with a defect of those below):")
    lines += [f"  {invariant.title:20} {invariant.value}" for invariant in Invariant]
    lines.append("\nDefects (--break), the invariant that notices, and in which scenarios:")
    for defect in DEFECTS:
        assert defect.breaks is not None
        where = ", ".join(defect.shows_in) or "hours of any"
        lines.append(f"  {defect.name:20} {defect.text} ({defect.breaks.title}; {where})")
    return "\n".join(lines)


async def _run(
    name: str, seed: int, minutes: float, defect: Defect, config: MailConfig | None
) -> Report:
    scenario: Scenario
    if config is None:
        scenario = SCENARIOS[name].make(seed, defect)
    else:
        scenario = MailScenario(seed, defect, config)
    findings = scenario.findings
    try:
        await scenario.run(minutes)
    except Violated:
        pass
    except Exception as error:
        text = "".join(traceback.format_exception(error)).rstrip()
        findings.violated(Invariant.NO_BUGS, text)
    return Report(
        scenario=name,
        seed=seed,
        minutes=minutes,
        broken=defect.name or None,
        trace=scenario.world.trace.digest(),
        figures=scenario.figures(),
        violations=tuple(findings.violations),
        last_events=tuple(str(event) for event in findings.last_events),
    )
