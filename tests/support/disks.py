"""A disk of a few MiB for one node, and filling it up."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

BALLAST_STEP_BYTES = 64 * 1024


@contextlib.contextmanager
def small_disk(folder: Path, mib: int) -> Iterator[None]:
    """Put a folder on a disk of its own of a few MiB; skips where that is not allowed."""
    content = folder.with_name(folder.name + ".content")
    folder.rename(content)
    folder.mkdir(mode=0o700)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={mib}m,mode=700", "epost-tests", str(folder)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    try:
        if mounted.returncode != 0:
            folder.rmdir()
            content.rename(folder)
            sys.stderr.write(
                f"\n*** NO TMPFS HERE: a full disk is not tested: {mounted.stderr} ***\n"
            )
            pytest.skip("mounting a tmpfs needs root")
        subprocess.run(["cp", "-a", f"{content}/.", str(folder)], check=True)
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], capture_output=True, check=False)


@contextlib.contextmanager
def full_disk(folder: Path) -> Iterator[None]:
    """Fill the disk of a folder to the last block, for a while."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(os.urandom(BALLAST_STEP_BYTES))
    try:
        yield
    finally:
        ballast.unlink()
