"""Options that many commands share, and how they print and stop."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from epost.foundation.errors import ConfigError


def home() -> Path:
    """Return the folder under which data and authority lie by default (XDG base directories)."""
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "epost"


DataDir = Annotated[
    Path,
    typer.Option(
        "--data-dir",
        help="The folder of this machine's node.",
        default_factory=lambda: home() / "node",
    ),
]
AuthorityDir = Annotated[
    Path,
    typer.Option(
        "--authority-dir",
        help="The folder with the authority's keys.",
        default_factory=lambda: home() / "authority",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
Listen = Annotated[str, typer.Option(help="Where other daemons reach this one: host:port.")]


def print_json(value: object) -> None:
    """Print for scripts."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def stop(text: str) -> NoReturn:
    """End with a message for people."""
    raise ConfigError(text)
