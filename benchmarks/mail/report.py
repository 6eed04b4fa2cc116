"""What a run has measured: a table for docs/benchmarks.md, and the same as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path


class Report:
    """Rows, printed as they come; with a path, written there too after each of them."""

    def __init__(self, title: str, path: Path | None = None) -> None:
        self._path = path
        self._rows: dict[str, Mapping[str, float]] = {}
        sys.stdout.write(f"| {title} | |\n|---|---|\n")

    def row(self, name: str, shown: str, **figures: float) -> None:
        """Tell one: `shown` in the table, `figures` (units in their names) in the file."""
        sys.stdout.write(f"| {name} | {shown} |\n")
        sys.stdout.flush()
        self._rows[name] = figures
        if self._path is not None:
            self._path.write_text(json.dumps(self._rows, indent=1) + "\n")
