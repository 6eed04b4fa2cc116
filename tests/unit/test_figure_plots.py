"""The plots of docs/figures.json: well-formed drawings that judge rows as the table does."""

from __future__ import annotations

import json
import runpy
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PLOTS = runpy.run_path(str(ROOT / "benchmarks" / "figures" / "plots.py"), run_name="plots")
ROWS = json.loads((ROOT / "docs" / "figures.json").read_text())


def row(ours: float, at_least: float | None, at_most: float | None) -> dict[str, Any]:
    return {"ours": ours, "target": {"at_least": at_least, "at_most": at_most}}


@pytest.mark.parametrize(
    ("ours", "at_least", "at_most", "used"),
    [(0.25, None, 0.5, 0.5), (4.0, 2.0, None, 0.5), (2.6, 2.4, 2.8, 0.0), (2.8, 2.4, 2.8, 1.0),
     (0.0, None, 0.0, 0.0), (1.0, None, 0.0, 1.0)],
)  # fmt: skip
def test_a_target_that_is_just_met_is_used_up(
    ours: float, at_least: float | None, at_most: float | None, used: float
) -> None:
    assert PLOTS["strain"](row(ours, at_least, at_most)) == pytest.approx(used)


def test_every_plot_is_well_formed_and_every_target_is_in_it(tmp_path: Path) -> None:
    PLOTS["write_plots"](ROWS, tmp_path / "plots")
    drawn = {file.stem: file.read_text() for file in (tmp_path / "plots").glob("*.svg")}
    assert set(drawn) == {"targets", "hops", "malicious"}
    for text in drawn.values():
        ElementTree.fromstring(text)
    assert drawn["targets"].count("<rect") - 1 == sum(r["met"] is not None for r in ROWS)
