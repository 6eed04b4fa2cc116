"""The command line: `epost ...`. Commands import what they need when they run."""

from __future__ import annotations

import sys

from epost.foundation.errors import EpostError


def main() -> None:
    """Run the command line; errors of ePOST print as one plain message and exit with 1."""
    from epost.cli.commands import app

    try:
        app()
    except EpostError as error:
        print(f"epost: {error}", file=sys.stderr)  # noqa: T201 - this is the command line
        sys.exit(1)
