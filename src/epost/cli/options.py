"""Options that many commands share, and how they print and stop."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from epost.foundation.errors import ConfigError

if TYPE_CHECKING:
    from epost.daemon.config import NodeConfig


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
Site = Annotated[
    str,
    typer.Option(help="The building or site where it stands: copies are spread over sites."),
]
Listen = Annotated[str, typer.Option(help="Where other daemons reach this one: host:port.")]


def print_json(value: object) -> None:
    """Print for scripts."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def stop(text: str) -> NoReturn:
    """End with a message for people."""
    raise ConfigError(text)


def standing_at(site: str) -> NodeConfig:
    """Return the settings of a new machine at a site."""
    from epost.daemon.config import NodeConfig, RingSection

    return NodeConfig(ring=RingSection(site=site))
