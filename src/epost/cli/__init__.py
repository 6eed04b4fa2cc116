"""The command line: `epost ...`. Commands import what they need when they run."""

from __future__ import annotations

import sys
from typing import NoReturn

from epost.foundation.errors import EpostError


def main() -> None:
    """Run the command line; errors of ePOST and of the system print one plain message.

    The exit code is 1 then.
    """
    from epost.cli.commands import app

    try:
        app()
    except EpostError as error:
        _fail(str(error))
    except OSError as error:
        _fail(words_of(error))


def words_of(error: OSError) -> str:
    """Return what the system refused: a file that cannot be written, a full disk."""
    reason = error.strerror or str(error) or type(error).__name__
    return f"{error.filename}: {reason}" if error.filename else reason


def _fail(text: str) -> NoReturn:
    print(f"epost: {text}", file=sys.stderr)  # noqa: T201 - this is the command line
    sys.exit(1)
