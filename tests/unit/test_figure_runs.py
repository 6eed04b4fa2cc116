"""`make figures` goes on where it was interrupted."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

FIGURES = Path(__file__).parents[2] / "benchmarks" / "figures"


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    sys.path.insert(0, str(FIGURES))
    try:
        return runpy.run_path(str(FIGURES / "run.py"), run_name="figures")
    finally:
        sys.path.remove(str(FIGURES))


def test_an_experiment_is_done_if_all_its_rows_come_from_this_code_at_this_scale(
    script: dict[str, Any],
) -> None:
    is_done, again, scale = script["is_done"], script["again"], script["Scale"]
    ran = {"name": "hops-static", "again": again("hops-static", scale.FULL), "code": "abc"}
    rows = [ran, ran]
    assert is_done(rows, "hops-static", scale.FULL, "abc")
    assert not is_done(rows, "hops-static", scale.FULL, "abd")
    assert not is_done(rows, "hops-static", scale.QUICK, "abc")
    assert not is_done(rows, "proximity", scale.FULL, "abc")
    assert not is_done([*rows, ran | {"code": "older"}], "hops-static", scale.FULL, "abc")


def test_rows_without_a_commit_are_never_done(script: dict[str, Any]) -> None:
    is_done, again, scale = script["is_done"], script["again"], script["Scale"]
    ran = {"name": "hops-static", "again": again("hops-static", scale.FULL), "code": ""}
    assert not is_done([ran], "hops-static", scale.FULL, "")
    assert not is_done([{k: ran[k] for k in ("name", "again")}], "hops-static", scale.FULL, "abc")


def test_rows_say_which_code_they_come_from(script: dict[str, Any], tmp_path: Path) -> None:
    figures = script["EXPERIMENTS"]  # the figures themselves do not matter here
    file = tmp_path / "figures.json"
    name = next(iter(figures))
    rows = script["keep"](file, name, script["Scale"].FULL, [_figure(script)], "abc")
    assert script["read"](file) == rows
    assert script["is_done"](rows, name, script["Scale"].FULL, "abc")


def _figure(script: dict[str, Any]) -> Any:
    return script["Figure"]("an experiment", 1, 1, script["exactly"](1.0))
