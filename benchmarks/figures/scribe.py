"""Scribe on a large ring, by itself: `python benchmarks/figures/scribe.py [--quick] [--seed 1]`.

Prints the rows that `make figures` enters in docs/figures.md; see `epost.simulation.group_trees`.
"""

from __future__ import annotations

import argparse
import sys

from epost.simulation.group_trees import group_figures
from epost.simulation.overlay.figure import HEADER
from epost.simulation.overlay.topology import TOPOLOGIES


def main() -> None:
    """Print the rows as a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the nodes")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--topology", choices=sorted(TOPOLOGIES), default="transit-stub")
    arguments = parser.parse_args()

    def progress(text: str) -> None:
        sys.stderr.write(text + "\n")

    figures = group_figures(
        progress, full=not arguments.quick, seed=arguments.seed, internet=arguments.topology
    )
    rows = "\n".join(figure.row() for figure in figures)
    sys.stdout.write(f"{HEADER}\n{rows}\n")


if __name__ == "__main__":
    main()
