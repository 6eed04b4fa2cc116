"""Runs a scenario of the simulator for many seeds: resumable, in several processes.

    python benchmarks/campaign.py --seeds 1-1000 --minutes 10 --workers 2

Each finished seed is a line of the state file (JSON); started again with the same file, the
campaign goes on with the seeds that are not in it. A failing seed is printed with the command that
shows it again. Exit 0 only if no invariant was violated by any seed in the file.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

from epost.simulation.run import run_scenario


@dataclass(frozen=True)
class Outcome:
    """One seed's run; `command` shows it again."""

    seed: int
    minutes: float
    machines: int
    held: bool
    cpu_seconds: float
    violations: tuple[str, ...]
    command: str
    trace: str
    figures: Mapping[str, float] = field(default_factory=dict)
    """What happened, in numbers; state files of former versions have none."""


def run_seed(seed: int, *, scenario: str, minutes: float) -> Outcome:
    """Run one seed to its end."""
    begun = time.process_time()
    report = run_scenario(scenario, seed=seed, minutes=minutes)
    return Outcome(
        seed=seed,
        minutes=minutes,
        machines=int(report.figures["machines"]),
        held=report.held,
        cpu_seconds=round(time.process_time() - begun, 2),
        violations=tuple(str(violation) for violation in report.violations),
        command=report.command,
        trace=report.trace,
        figures=report.figures,
    )


def read_state(path: Path) -> list[Outcome]:
    """Return what earlier starts of this campaign have finished."""
    if not path.exists():
        return []
    return [Outcome(**json.loads(line)) for line in path.read_text().splitlines()]


def run_campaign(
    seeds: Sequence[int], path: Path, *, scenario: str, minutes: float, workers: int
) -> None:
    """Run the seeds that are not in the state file yet, and write each as it ends."""
    done = {outcome.seed for outcome in read_state(path)}
    left = [seed for seed in seeds if seed not in done]
    work = partial(run_seed, scenario=scenario, minutes=minutes)
    begun = time.monotonic()
    with path.open("a") as state:
        for count, outcome in enumerate(_in_processes(work, left, workers), 1):
            state.write(json.dumps(asdict(outcome)) + "\n")
            state.flush()
            pace = (time.monotonic() - begun) / count
            print(
                f"seed {outcome.seed}: {'held' if outcome.held else 'VIOLATED'},"
                f" {outcome.machines} machines, {outcome.cpu_seconds:.1f} s of CPU;"
                f" {count} of {len(left)}, {pace * (len(left) - count) / 60:.0f} min left",
                flush=True,
            )
            if not outcome.held:
                print("\n".join((*outcome.violations, f"  {outcome.command}")), flush=True)


def _in_processes(work: partial[Outcome], seeds: Sequence[int], workers: int) -> Iterator[Outcome]:
    if workers == 1:
        yield from map(work, seeds)
        return
    with multiprocessing.Pool(workers, maxtasksperchild=20) as pool:
        yield from pool.imap_unordered(work, seeds)


def summary(outcomes: Sequence[Outcome]) -> str:
    """Return how many seeds ran, how long, and which failed."""
    failed = [outcome for outcome in outcomes if not outcome.held]
    machines = [outcome.machines for outcome in outcomes] or [0]
    lines = [
        f"{len(outcomes)} seeds, {sum(o.minutes for o in outcomes) / 60:.1f} virtual hours of"
        f" trouble, {min(machines)}-{max(machines)} machines,"
        f" {sum(o.cpu_seconds for o in outcomes) / 60:.1f} min of CPU: {len(failed)} failed"
    ]
    lines += [f"  {outcome.command}" for outcome in failed]
    for name in dict.fromkeys(name for outcome in outcomes for name in outcome.figures):
        spread = _spread([outcome.figures.get(name, 0) for outcome in outcomes])
        lines.append(f"  {name:26} {spread}")
    return "\n".join(lines)


def _spread(values: Sequence[float]) -> str:
    return f"{sum(values):12,.0f} in all, {min(values):,.0f}-{max(values):,.0f} in one run"


def parse_seeds(text: str) -> Sequence[int]:
    """Return the seeds of `1-100` or `3,7,9`."""
    first, dash, last = text.partition("-")
    if dash:
        return range(int(first), int(last) + 1)
    return [int(seed) for seed in text.split(",")]


def main(arguments: Iterable[str] | None = None) -> int:
    """Run, print the summary."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--scenario", default="storage")
    parser.add_argument("--seeds", type=parse_seeds, default=range(1, 1001))
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--state", type=Path, default=Path("campaign.jsonl"))
    options = parser.parse_args(None if arguments is None else list(arguments))
    run_campaign(
        options.seeds,
        options.state,
        scenario=options.scenario,
        minutes=options.minutes,
        workers=options.workers,
    )
    outcomes = read_state(options.state)
    print(summary(outcomes))
    return 0 if all(outcome.held for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
