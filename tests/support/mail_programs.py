"""Unmodified mail programs: where they are needed, and how they are run."""

from __future__ import annotations

import imaplib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SECONDS = 120


def needs(program: str) -> pytest.MarkDecorator:
    """Skip loudly where a program is missing; with REQUIRE_CLIENTS=1 fail instead."""
    missing = shutil.which(program) is None
    if missing:
        sys.stderr.write(f"\n*** {program} is NOT INSTALLED: its tests are skipped ***\n")
    required = os.environ.get("REQUIRE_CLIENTS") == "1"
    return pytest.mark.skipif(missing and not required, reason=f"{program} is not installed")


def run(
    *command: str, home: Path, stdin: str = "", may_end_with: tuple[int, ...] = (0,)
) -> subprocess.CompletedProcess[str]:
    """Run a program with a home of its own; its exit status must be one of those named."""
    result = subprocess.run(
        command,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        env={"HOME": str(home), "PATH": os.environ["PATH"], "TERM": "dumb", "LC_ALL": "C.UTF-8"},
        check=False,
    )
    assert result.returncode in may_end_with, result.stdout + result.stderr
    return result


def uids(client: imaplib.IMAP4, folder: str, *criteria: str) -> list[bytes]:
    """Return the UIDs that a search finds in a folder."""
    assert client.select(folder)[0] == "OK"
    return client.uid("SEARCH", *criteria)[1][0].split()
