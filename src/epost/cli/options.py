"""Options that many commands share, and how they print, ask, and stop."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from epost.foundation.errors import ConfigError

if TYPE_CHECKING:
    from epost.daemon.authority.authority import Authority
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
        show_default="~/.local/share/epost/node",
    ),
]
AuthorityDir = Annotated[
    Path,
    typer.Option(
        "--authority-dir",
        help="The folder with the authority's keys.",
        default_factory=lambda: home() / "authority",
        show_default="~/.local/share/epost/authority",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
Site = Annotated[
    str,
    typer.Option(help="The building or site where it stands: copies are spread over sites."),
]
Listen = Annotated[str, typer.Option(help="Where other daemons reach this one: host:port.")]
Advertise = Annotated[
    list[str] | None, typer.Option(help="Address others should use, if not --listen.")
]
WordsFile = Annotated[
    Path | None, typer.Option(help="A file with the 24 words; else they are asked for.")
]


def print_json(value: object) -> None:
    """Print for scripts."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def print_line(value: object) -> None:
    """Print a line for scripts at once: more follow when something has happened."""
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def stop(text: str) -> NoReturn:
    """End with a message for people."""
    raise ConfigError(text)


def ask_first(question: str, *, yes: bool) -> None:
    """Ask before what cannot be undone, unless --yes was said; a no ends the command."""
    if not yes:
        typer.confirm(question, abort=True)


def read_text(path: Path) -> str:
    """Return what somebody wrote to a file; raises ConfigError if it is no text."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        stop(f"{path}: this is not a text file")


def read_words(words_file: Path | None, prompt: str = "The 24 words") -> str:
    """Return the words of a file, or ask for them."""
    if words_file is not None:
        return read_text(words_file)
    return str(typer.prompt(prompt, hide_input=True))


def say(text: str) -> None:
    """Tell what is going on, beside what the command prints."""
    sys.stderr.write(text + "\n")


def ask_daemon(data_dir: Path, command: str, **arguments: Any) -> dict[str, Any]:
    """Return the answer of the running daemon; raises ConfigError, NoDaemon and what it refuses."""
    from epost.daemon.control import ask
    from epost.daemon.folder import NodeFolder

    NodeFolder(data_dir).require_enrolled()
    return ask(data_dir, command, **arguments)


def open_authority(directory: Path) -> Authority:
    """Return the authority of a folder, to be used as a context; raises ConfigError."""
    from epost.daemon.authority.authority import Authority
    from epost.daemon.authority.world import system_world

    return Authority.open(directory, system_world())


def standing_at(site: str) -> NodeConfig:
    """Return the settings of a new machine at a site."""
    from epost.daemon.config import NodeConfig, RingSection

    return NodeConfig(ring=RingSection(site=site))
