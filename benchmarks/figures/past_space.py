"""PAST near full disks: 2,250 nodes, 1.86 million files of heavy-tailed sizes (SOSP 2001, 5.1).

`python benchmarks/figures/past_space.py [--quick] [--seeds 1,2]` prints what came out with and
without diversion, and the rows of docs/figures.json. Quick: a tenth of the ring and of the files.
"""

from __future__ import annotations

import argparse
import json
from random import Random
from statistics import mean

from epost.simulation.filling import NO_DIVERSION, NODES, Filling, Rules, fill

K, LEAF_SET = 5, 32
SUCCESS_MIN, USED_MIN = 0.993, 0.98
PUBLISHED = {
    "with": "99.34 % success, 98.2 % full, 16.10 % of replicas and 3.47 % of files diverted "
    "[remembered]",
    "without": "48.9 % success, 60.8 % full [remembered]",
}
AGAIN = "python benchmarks/figures/past_space.py"


def trials(nodes: int, seeds: list[int], rules: Rules) -> list[Filling]:
    """Fill a ring once for each seed."""
    return [fill(nodes, k=K, leaf_set=LEAF_SET, rules=rules, random=Random(s)) for s in seeds]


def rows(*, quick: bool, seeds: list[int]) -> list[dict[str, object]]:
    """Return the rows of the figure; `met` is for the reader to compute again."""
    nodes = NODES // 10 if quick else NODES
    diverting = trials(nodes, seeds, Rules())
    plain = trials(nodes, seeds[:1], NO_DIVERSION)
    success = mean(trial.success for trial in diverting)
    used = mean(trial.used_part for trial in diverting)
    name = "PAST, heavy-tailed sizes, t_pri=.1, t_div=.05"
    return [
        {
            "experiment": f"{name}: insertions that succeed",
            "n": nodes,
            "trials": len(diverting),
            "published": PUBLISHED["with"],
            "ours": round(success, 5),
            "target": {"min": SUCCESS_MIN},
            "met": success >= SUCCESS_MIN,
            "again": AGAIN,
        },
        {
            "experiment": f"{name}: part of the disks in use at the end",
            "n": nodes,
            "trials": len(diverting),
            "published": PUBLISHED["with"],
            "ours": round(used, 5),
            "target": {"min": USED_MIN},
            "met": used >= USED_MIN,
            "again": AGAIN,
        },
        {
            "experiment": "PAST, the same without diversion: insertions that succeed",
            "n": nodes,
            "trials": len(plain),
            "published": PUBLISHED["without"],
            "ours": round(plain[0].success, 5),
            "target": None,
            "met": None,
            "again": AGAIN,
        },
    ]


def describe(title: str, filling: Filling) -> str:
    """Return one line about a trial."""
    return (
        f"{title}: {filling.offered} files, {filling.success:.2%} inserted, disks "
        f"{filling.used_part:.2%} full, {filling.diverted / filling.replicas:.2%} of replicas and "
        f"{filling.elsewhere / filling.offered:.2%} of files diverted"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seeds", default="1,2")
    arguments = parser.parse_args()
    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    nodes = NODES // 10 if arguments.quick else NODES
    for seed in seeds:
        for title, rules in (("with diversion", Rules()), ("without", NO_DIVERSION)):
            if rules is NO_DIVERSION and seed != seeds[0]:
                continue
            (trial,) = trials(nodes, [seed], rules)
            print(describe(f"seed {seed}, {title}", trial), flush=True)
            for used, failed in trial.curve[90:]:
                print(f"    {used:.0%} full: {failed:.3%} of the insertions so far failed")
    if arguments.quick:
        print(json.dumps(rows(quick=True, seeds=seeds), indent=1))


if __name__ == "__main__":
    main()
