"""Runs a scenario from its seed and reports; what `epost simulate` calls."""

from __future__ import annotations

import traceback

from epost.foundation.errors import ConfigError
from epost.simulation.clock import run
from epost.simulation.defects import DEFECTS, Defect, defect_named
from epost.simulation.invariants.violations import Invariant, Violated
from epost.simulation.report import Report
from epost.simulation.scenarios.mail import MailConfig, MailScenario

SCENARIOS = {"mail": "an office writes mails while its machines come and go"}


def run_scenario(
    name: str,
    *,
    seed: int,
    minutes: float,
    broken: str | None = None,
    config: MailConfig | None = None,
) -> Report:
    """Run a scenario to its end or its first violation; raises ConfigError for unknown names."""
    if name not in SCENARIOS:
        raise ConfigError(f"no scenario {name!r}; there are: {', '.join(SCENARIOS)}")
    try:
        defect = defect_named(broken)
    except KeyError as error:
        names = ", ".join(defect.name for defect in DEFECTS)
        raise ConfigError(f"nothing to break is called {broken!r}; there are: {names}") from error
    return run(_run(name, seed, minutes, defect, config))


def describe_scenarios() -> str:
    """Return the names of scenarios, invariants and defects, with a sentence each."""
    lines = ["Scenarios (--scenario):"]
    lines += [f"  {name:20} {text}" for name, text in SCENARIOS.items()]
    lines.append("\nInvariants:")
    lines += [f"  {invariant.title:20} {invariant.value}" for invariant in Invariant]
    lines.append("\nDefects (--break), and the invariant that notices:")
    for defect in DEFECTS:
        assert defect.breaks is not None
        lines.append(f"  {defect.name:20} {defect.text} ({defect.breaks.title})")
    return "\n".join(lines)


async def _run(
    name: str, seed: int, minutes: float, defect: Defect, config: MailConfig | None
) -> Report:
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
