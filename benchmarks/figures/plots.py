"""Plots of the rows of docs/figures.json, as SVG without any library.

`write_plots` is called by run.py whenever it has written the page; alone:

    python benchmarks/figures/plots.py
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

DOCS = Path(__file__).resolve().parents[2] / "docs"
WIDTH, LABEL_WIDTH, BAR_WIDTH, ROW_HEIGHT = 960, 520, 220, 18
OURS, THEIRS, MISSED, INK = "#3465a4", "#babdb6", "#cc0000", "#2e3436"

Row = Mapping[str, Any]


@dataclass
class Drawing:
    """Shapes on a white sheet."""

    width: float
    height: float
    shapes: list[str] = field(default_factory=list)

    def rectangle(self, x: float, y: float, width: float, height: float, colour: str) -> None:
        size = f'width="{max(width, 0.5):.1f}" height="{height:.1f}"'
        self.shapes.append(f'<rect x="{x:.1f}" y="{y:.1f}" {size} fill="{colour}"/>')

    def line(self, x1: float, y1: float, x2: float, y2: float, colour: str = INK) -> None:
        ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
        self.shapes.append(f'<line {ends} stroke="{colour}"/>')

    def dot(self, x: float, y: float, colour: str) -> None:
        self.shapes.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>')

    def text(self, x: float, y: float, words: str, *, end: bool = False, size: int = 12) -> None:
        anchor = ' text-anchor="end"' if end else ""
        place = f'x="{x:.1f}" y="{y:.1f}" font-size="{size}"'
        self.shapes.append(f'<text {place}{anchor} fill="{INK}">{escape(words)}</text>')

    def __str__(self) -> str:
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width:.0f}" '
            f'height="{self.height:.0f}" font-family="sans-serif">'
        )
        paper = '<rect width="100%" height="100%" fill="white"/>'
        return "\n".join((head, paper, *self.shapes, "</svg>", ""))


def strain(row: Row) -> float | None:
    """Return how much of the room that a target leaves is used: above 1 it is missed."""
    low, high, ours = row["target"]["at_least"], row["target"]["at_most"], row["ours"]
    if low is not None and high is not None:
        return abs(ours - (low + high) / 2) / ((high - low) / 2)
    if high is not None:
        return ours / high if high else float(ours > 0)
    if low is not None:
        return low / ours if ours else math.inf
    return None


def targets(rows: Sequence[Row]) -> Drawing:
    """Draw every target and how near to it we are."""
    judged = [(row, used) for row in rows if (used := strain(row)) is not None]
    drawing = Drawing(WIDTH, 60 + ROW_HEIGHT * len(judged))
    drawing.text(10, 20, "How much of what a target allows is used (1: just met)", size=14)
    full = BAR_WIDTH / 1.2
    for number, (row, used) in enumerate(judged):
        y = 36 + number * ROW_HEIGHT
        label = f"{row['experiment']}, N = {row['n']:,}"
        drawing.text(LABEL_WIDTH - 8, y + 12, label, end=True, size=11)
        bar = min(used, 1.2) * full
        drawing.rectangle(LABEL_WIDTH, y + 2, bar, 12, OURS if used <= 1 else MISSED)
        drawing.text(LABEL_WIDTH + bar + 6, y + 12, f"{row['ours']:.4g}", size=11)
    drawing.line(LABEL_WIDTH + full, 30, LABEL_WIDTH + full, drawing.height - 20)
    return drawing


def hops(rows: Sequence[Row]) -> Drawing:
    """Draw mean hops over the number of nodes, with the published values beside ours."""
    drawing = Drawing(640, 420)
    drawing.text(10, 20, "Mean hops, l = 16", size=14)
    for value in range(6):
        drawing.line(60, _up(value), 620, _up(value), THEIRS)
        drawing.text(50, _up(value) + 4, str(value), end=True)
    for size in (1_000, 10_000, 100_000):
        drawing.text(_along(size) + 20, 400, f"{size:,}", end=True)
    kinds = (("mean hops, l=16, tables", OURS, "tables by global knowledge"),
             ("mean hops, l=16, built", INK, "built by the protocol"))  # fmt: skip
    for place, (prefix, colour, name) in enumerate(kinds):
        drawing.dot(80, 50 + 20 * place, colour)
        drawing.text(92, 54 + 20 * place, name)
        for row in _starting(rows, prefix):
            drawing.dot(_along(row["n"]), _up(row["ours"]), colour)
    drawing.text(92, 94, "published or recomputed (bar)")
    drawing.rectangle(74, 88, 12, 3, MISSED)
    for row in _starting(rows, "mean hops, l=16"):
        middle = (row["target"]["at_least"] + row["target"]["at_most"]) / 2
        drawing.rectangle(_along(row["n"]) - 9, _up(middle) - 1, 18, 3, MISSED)
    return drawing


def malicious(rows: Sequence[Row]) -> Drawing:
    """Draw how many routes succeed among accomplices, with and without redundancy."""
    ours = [row for row in rows if row["name"] == "malicious" and row["ours"] <= 1]
    drawing = Drawing(WIDTH, 60 + ROW_HEIGHT * len(ours))
    drawing.text(10, 20, "Shares of routes and searches among accomplices", size=14)
    for number, row in enumerate(ours):
        y = 36 + number * ROW_HEIGHT
        drawing.text(LABEL_WIDTH - 8, y + 12, row["experiment"], end=True, size=11)
        bar = row["ours"] * BAR_WIDTH
        drawing.rectangle(LABEL_WIDTH, y + 2, bar, 12, OURS)
        text = f"{row['ours']:.4g} (published {row['published']})"
        drawing.text(LABEL_WIDTH + bar + 6, y + 12, text, size=11)
    return drawing


PLOTS = {"targets": targets, "hops": hops, "malicious": malicious}


def write_plots(rows: Sequence[Row], folder: Path) -> None:
    """Write all plots of some rows into a folder."""
    folder.mkdir(exist_ok=True)
    for name, draw in PLOTS.items():
        (folder / f"{name}.svg").write_text(str(draw(rows)))


def _starting(rows: Sequence[Row], prefix: str) -> Iterable[Row]:
    return (row for row in rows if row["experiment"].startswith(prefix))


def _along(nodes: int) -> float:
    return 80 + (math.log10(nodes) - 2.7) * 220


def _up(value: float) -> float:
    return 380 - value * 60


if __name__ == "__main__":
    write_plots(json.loads((DOCS / "figures.json").read_text()), DOCS / "plots")
