"""`make figures`: runs the papers' experiments with our code and writes what came out.

`docs/figures.json` holds one object per row and is the memory between runs: an experiment that runs
again replaces its own rows. The table of `docs/figures.md` between its two markers is made from it,
and so are the plots in `docs/plots`.
Whether a target is met is computed from the figure and the target each time. An experiment whose
rows in the file come from this very code is not run again, so that what was interrupted goes on
where it stopped.

    python benchmarks/figures/run.py [--quick] [--again] [--only NAME ...] [--json FILE]
        [--page FILE]
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from epost.simulation.overlay.catalogue import EXPERIMENTS, Scale
from epost.simulation.overlay.figure import HEADER, REPORTED, Figure, Target
from epost.simulation.overlay.statistics import exactly

import past_space  # isort: skip - beside this script
from plots import write_plots  # isort: skip - as well

HOUSE = Path(__file__).resolve().parents[2]
DOCS = HOUSE / "docs"
CODE = ("src/epost", "benchmarks/figures")
"""What the figures follow from."""
PAST = "past"
NAMES = [*EXPERIMENTS, PAST]
BEGIN, END = "<!-- figures: made by make figures -->\n", "<!-- end of figures -->\n"


def main() -> None:
    """Run what is asked for, in the order of the catalogue."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="small sizes: the shape only")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--again", action="store_true", help="also what this code has run before")
    parser.add_argument("--json", type=Path, default=DOCS / "figures.json")
    parser.add_argument("--page", type=Path, help="a page whose table is written anew")
    arguments = parser.parse_args()
    gc.set_threshold(1_000_000, 50, 50)  # millions of small objects live until the end
    scale = Scale.QUICK if arguments.quick else Scale.FULL
    code, rows = code_version(), read(arguments.json)
    left = [n for n in arguments.only if arguments.again or not is_done(rows, n, scale, code)]
    say(f"{len(arguments.only) - len(left)} of {len(arguments.only)} experiments are done")
    for number, name in enumerate(left, 1):
        say(f"experiment {number} of {len(left)}: {name}")
        figures = run(name, scale)
        rows = keep(arguments.json, name, scale, figures, code)
        if arguments.page:
            write_table(arguments.page, rows)
            write_plots(rows, arguments.page.parent / "plots")
        gc.collect()


def say(text: str) -> None:
    """Tell whoever waits."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def code_version() -> str:
    """Return the names of the code's trees in git; empty if it differs from the last commit."""

    def git(*words: str) -> str:
        command = ["git", "-C", str(HOUSE), *words]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()

    if git("status", "--porcelain", "--", *CODE):
        return ""
    return " ".join(git("rev-parse", "--short=12", f"HEAD:{path}") for path in CODE).strip()


def is_done(rows: Sequence[dict], name: str, scale: Scale, code: str) -> bool:
    """Tell whether all rows of an experiment come from this code at this scale."""
    own = [row for row in rows if row["name"] == name]
    wanted = (again(name, scale), code)
    return bool(code and own) and all((r["again"], r.get("code")) == wanted for r in own)


def again(name: str, scale: Scale) -> str:
    """Return the command that runs an experiment."""
    quick = " --quick" if scale is Scale.QUICK else ""
    return f"python benchmarks/figures/run.py --only {name}{quick}"


def read(file: Path) -> list[dict]:
    """Return the rows of earlier runs."""
    return json.loads(file.read_text()) if file.exists() else []


def run(name: str, scale: Scale) -> Sequence[Figure]:
    """Run one experiment; what it says of its progress goes to stderr."""
    began = time.process_time()

    def progress(text: str) -> None:
        say(f"{name} {time.process_time() - began:6.0f} s  {text}")

    figures = past(scale) if name == PAST else EXPERIMENTS[name].run(scale, progress)
    seconds = time.process_time() - began
    timed = [figure.timed(seconds) for figure in figures]
    for figure in timed:
        sys.stdout.write(figure.row() + "\n")
    sys.stdout.flush()
    return timed


def past(scale: Scale) -> Sequence[Figure]:
    """Fill disks (past_space.py), and give its rows the form of the others."""
    seeds = [1, 2] if scale is Scale.FULL else [1]
    return [
        Figure(
            row["experiment"],
            row["n"],
            row["trials"],
            exactly(row["ours"]),
            Target(at_least=row["target"]["min"]) if row["target"] else REPORTED,
            row["published"],
            seeds[: row["trials"]],
        )
        for row in past_space.rows(quick=scale is Scale.QUICK, seeds=seeds)
    ]


def keep(file: Path, name: str, scale: Scale, figures: Sequence[Figure], code: str) -> list[dict]:
    """Put the rows of one experiment into the file in place of its former ones."""
    origin = {"name": name, "again": again(name, scale), "code": code}
    own = [figure.as_dict() | origin for figure in figures]
    rows = [row for row in read(file) if row["name"] != name] + own
    rows.sort(key=lambda row: NAMES.index(row["name"]))
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(rows, indent=1) + "\n")
    return rows


def write_table(page: Path, rows: Sequence[dict]) -> None:
    """Put the table of all rows between the markers of a page."""
    before, _, rest = page.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    table = "\n".join([HEADER, *(Figure.from_dict(row).row() for row in rows)])
    page.write_text(f"{before}{BEGIN}\n{table}\n\n{END}{after}")


if __name__ == "__main__":
    main()
