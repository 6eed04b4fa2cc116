"""`make figures`: runs the papers' experiments with our code and writes what came out.

`docs/figures.json` holds one object per row and is the memory between runs: an experiment that runs
again replaces its own rows. The table of `docs/figures.md` between its two markers is made from it,
and so are the plots in `docs/plots`.
Whether a target is met is computed from the figure and the target each time.

    python benchmarks/figures/run.py [--quick] [--only NAME ...] [--json FILE] [--page FILE]
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from epost.simulation.overlay.catalogue import EXPERIMENTS, Scale
from epost.simulation.overlay.figure import HEADER, REPORTED, Figure, Target
from epost.simulation.overlay.statistics import exactly

import past_space  # isort: skip - beside this script
from plots import write_plots  # isort: skip - as well

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAST = "past"
NAMES = [*EXPERIMENTS, PAST]
BEGIN, END = "<!-- figures: made by make figures -->\n", "<!-- end of figures -->\n"


def main() -> None:
    """Run what is asked for, in the order of the catalogue."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="small sizes: the shape only")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--json", type=Path, default=DOCS / "figures.json")
    parser.add_argument("--page", type=Path, help="a page whose table is written anew")
    arguments = parser.parse_args()
    gc.set_threshold(1_000_000, 50, 50)  # millions of small objects live until the end
    scale = Scale.QUICK if arguments.quick else Scale.FULL
    for name in arguments.only:
        figures = run(name, scale)
        rows = keep(arguments.json, name, scale, figures)
        if arguments.page:
            write_table(arguments.page, rows)
            write_plots(rows, arguments.page.parent / "plots")
        gc.collect()


def run(name: str, scale: Scale) -> Sequence[Figure]:
    """Run one experiment; what it says of its progress goes to stderr."""
    began = time.process_time()

    def progress(text: str) -> None:
        sys.stderr.write(f"{name} {time.process_time() - began:6.0f} s  {text}\n")

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


def keep(file: Path, name: str, scale: Scale, figures: Sequence[Figure]) -> list[dict]:
    """Put the rows of one experiment into the file in place of its former ones."""
    rows = json.loads(file.read_text()) if file.exists() else []
    command = f"python benchmarks/figures/run.py --only {name}"
    if scale is Scale.QUICK:
        command += " --quick"
    own = [figure.as_dict() | {"name": name, "again": command} for figure in figures]
    rows = [row for row in rows if row["name"] != name] + own
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
